/**
 * How many tokens a request can take at most, where nobody counts them better; and how long its answer can be.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Tool from "effect/ai/Tool"
import type * as Prompt from "effect/ai/Prompt"
import type { Asked, Request, Settings } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import { toolSchema } from "../../providers/internal/toolSchema.ts"

export interface TokenCounter {
  /** The tokens of a request: no fewer than the provider will count. */
  readonly request: (asked: Asked) => Effect.Effect<number>
  /** The tokens of a part of an answer: no fewer than the provider will count. */
  readonly text: (asked: Asked, text: string) => Effect.Effect<number>
}

// No byte makes more than one token, and what is around messages and tools has fewer tokens than its JSON has bytes.
export const CountTokens: Context.Reference<TokenCounter> = Context.Reference<TokenCounter>(
  "effect-bulwark/budget/Budget/CountTokens",
  {
    defaultValue: () => ({
      request: (asked) => Effect.sync(() => requestBytes(asked.request)),
      text: (_, text) => Effect.sync(() => bytes(text))
    })
  }
)

/** The length of a text in UTF-8. */
const bytes = (text: string): number => {
  let length = text.length
  for (let n = 0; n < text.length; n++) {
    const unit = text.charCodeAt(n)
    // A pair of surrogates is four bytes of two units.
    if (unit > 0x7f) length += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return length
}

/** What providers add unseen where there are tools or a format: instructions of some hundred tokens. */
const unseen = 1_000

/** What is around a message. */
const aroundMessage = 50

/** More than any provider takes a picture for. What stands behind an address is taken for one. */
const picture = 50_000

const requestBytes = ({ prompt, responseFormat, settings, tools }: Request): number => {
  let sum = json(settings.extra)
  for (const message of prompt.content) {
    sum += aroundMessage
    if (typeof message.content === "string") sum += bytes(message.content)
    else for (const part of message.content) sum += part.type === "file" ? fileTokens(part) : json(part)
  }
  for (const tool of tools) sum += json([tool.name, Tool.getDescription(tool), toolSchema(tool).jsonSchema])
  if (responseFormat.type === "json") sum += json(structuredOutput(responseFormat.schema).jsonSchema)
  return sum + (tools.length > 0 || responseFormat.type === "json" ? unseen : 0)
}

const json = (value: unknown): number => bytes(JSON.stringify(value) ?? "")

const fileTokens = ({ data, mediaType }: Prompt.FilePart): number => {
  if (data instanceof URL) return picture
  const size = typeof data === "string" ? data.length : Math.ceil(data.length / 3) * 4
  return mediaType.startsWith("image/") ? Math.min(size, picture) : size
}

const boundFields = ["max_tokens", "max_completion_tokens", "max_output_tokens"]

const natural = (value: unknown): number | undefined =>
  typeof value === "number" && value > 0 && Number.isFinite(value) ? Math.ceil(value) : undefined

/** How long the answer can be by what the settings say, those fields that they add to the request by themselves included. */
export const boundOf = (settings: Settings): number | undefined => {
  const { extra, maxOutputTokens } = settings
  if (extra === undefined) return maxOutputTokens
  const config = extra.generationConfig
  const said = [
    ...boundFields.map((field) => natural(extra[field])),
    natural(typeof config === "object" && config !== null && "maxOutputTokens" in config ? config.maxOutputTokens : 0)
  ].filter((bound) => bound !== undefined)
  // They win over what they stand for; of several it is not known which one the provider reads.
  return said.length === 0 ? maxOutputTokens : Math.max(...said)
}

/** How many answers are asked for. */
export const answersOf = (settings: Settings): number => natural(settings.extra?.n) ?? 1
