/**
 * What a whole request becomes in tokens: its messages with what is around them, its tools, the schema of its answer.
 */
import type { ProviderOptions } from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import { toolSchema } from "../../providers/internal/toolSchema.ts"
import { about, type Amount, exactly, none, sum, times } from "./tokensAmount.ts"
import type { Family, Share } from "./tokensFamily.ts"
import { fileTokens } from "./tokensFile.ts"
import { foreignCharacters, type TextCounter } from "./tokensText.ts"

/** Counts for the models of one family. */
export interface Meter {
  readonly text: (text: string) => Amount
  /** The tokens themselves where the family has the encoding and there are tables, otherwise as many zeros. */
  readonly encode: (text: string) => ReadonlyArray<number>
  readonly message: (message: Prompt.Message) => Amount
  /** A part of a message, without what is around it. */
  readonly part: (part: Prompt.Part) => Amount
  readonly request: (
    messages: ReadonlyArray<Prompt.Message>,
    tools: ReadonlyArray<Tool.Any>,
    responseFormat: ProviderOptions["responseFormat"]
  ) => Amount
}

// Of what an estimate from characters alone gives, measured on prose, code, data and 20 languages.
const estimated: Share = { expected: 0.8, bound: 1.15 }

// An encoding could have joined what was cut apart, or the other way round.
const cut: Share = { expected: 0, bound: 2 }

export const makeMeter = (family: Family, counter: TextCounter): Meter => {
  // Messages and tools are immutable values: what has been said before is counted once, however long the conversation becomes.
  const messages = new WeakMap<Prompt.Message, Amount>()
  const tools = new WeakMap<Tool.Any, Amount>()
  const own = family.encoded && counter.exact

  const text = (words: string): Amount => {
    if (words === "") return none
    const { cuts, tokens } = counter.count(words)
    if (own) return cuts === 0 ? exactly(tokens) : about(tokens, tokens + cut.bound * cuts)
    const foreign = foreignCharacters(words)
    const base: Share = counter.exact ? { expected: 1, bound: 1 } : estimated
    return about(
      tokens * base.expected * family.text.expected + foreign * family.foreign.expected,
      tokens * base.bound * family.text.bound + foreign * family.foreign.bound
    )
  }

  const around = ({ bound, expected }: Share): Amount =>
    family.documented && own && bound === expected ? exactly(bound) : about(expected, bound)

  const json = (value: () => unknown): Amount => {
    const { bound, expected } = text(stringify(value))
    return about(expected * family.json.expected, bound * family.json.bound)
  }

  const result = (part: Prompt.ToolResultPart): Amount =>
    part.modelOutput === undefined
      ? text(typeof part.result === "string" ? part.result : stringify(() => part.result))
      : sum(part.modelOutput.map(partOf))

  const partOf = (part: Prompt.Part): Amount => {
    switch (part.type) {
      case "text":
        return text(part.text)
      case "reasoning":
        return family.thinks(part) ? text(part.text) : none
      case "file":
        return fileTokens(family, part, text)
      // What a provider executed itself is not sent to another one.
      case "tool-call":
        return part.providerExecuted ? none : sum([
          around(family.call),
          text(part.name),
          text(typeof part.params === "string" ? part.params : stringify(() => part.params))
        ])
      case "tool-result":
        return part.providerExecuted ? none : sum([around(family.call), text(part.name), result(part)])
      default:
        return none
    }
  }

  const messageOf = (message: Prompt.Message): Amount => {
    let amount = messages.get(message)
    if (amount === undefined) {
      amount = sum([
        // Results of tools that were called together may become messages of their own.
        times(around(family.message), message.role === "tool" ? Math.max(1, message.content.length) : 1),
        ...(typeof message.content === "string" ? [text(message.content)] : message.content.map(partOf)),
        ...(message.content.length > 1 && typeof message.content !== "string"
          // Nobody says what stands between two parts.
          ? [about(0, 2 * (message.content.length - 1))]
          : [])
      ])
      messages.set(message, amount)
    }
    return amount
  }

  const toolOf = (tool: Tool.Any): Amount => {
    let amount = tools.get(tool)
    if (amount === undefined) {
      amount = sum([about(family.tool.expected, family.tool.bound), json(() => definitionOf(tool))])
      tools.set(tool, amount)
    }
    return amount
  }

  return {
    text,
    encode: (words) => own ? counter.encode(words) : zeros(Math.ceil(text(words).bound)),
    message: messageOf,
    part: partOf,
    request: (messages, tools, responseFormat) =>
      sum([
        around(family.request),
        ...messages.map(messageOf),
        ...(tools.length === 0 ? [] : [about(family.tools.expected, family.tools.bound), ...tools.map(toolOf)]),
        ...(responseFormat.type === "text" ? [] : [
          about(10, 30),
          json(() => ({
            name: responseFormat.objectName,
            schema: structuredOutput(responseFormat.schema).jsonSchema
          }))
        ])
      ])
  }
}

/** What stands for tokens that nobody knows. */
export const zeros = (length: number): ReadonlyArray<number> => Array.from({ length }, () => 0)

const definitionOf = (tool: Tool.Any): unknown => ({
  name: tool.name,
  description: Tool.getDescription(tool),
  ...(Tool.isProviderDefined(tool) ? undefined : { parameters: toolSchema(tool).jsonSchema })
})

/** What cannot be written as JSON is refused by the provider's adapter, which says where it stands. */
const stringify = (value: () => unknown): string => {
  try {
    return JSON.stringify(value()) ?? "null"
  } catch {
    return ""
  }
}
