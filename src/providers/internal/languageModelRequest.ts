/**
 * A request of ours in the words of `effect/ai`'s `LanguageModel`, as far as it has words for it.
 */
import * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Settings } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import type { Request } from "../Provider.ts"
import { Unencodable } from "./unencodable.ts"

/** The first setting of a request that nothing passes on. */
export const unsupportedSetting = (
  settings: Settings,
  supported: ReadonlySet<keyof Settings>
): Unencodable | undefined => {
  for (const name of Object.keys(settings) as Array<keyof Settings>) {
    if (isSet(settings[name]) && !supported.has(name)) {
      return new Unencodable(
        name,
        `a LanguageModel takes no \`${name}\` with the request: leave it out, or pass it on with \`withRequest\` ` +
          "and name it in `settings`"
      )
    }
  }
  return undefined
}

const isSet = (value: Settings[keyof Settings]): boolean =>
  value !== undefined && (typeof value !== "object" || Object.keys(value).length > 0)

/** What is asked of any of a model's methods. Tools are not run by it: their calls are parts of the answer, as they came. */
export const textOptions = (request: Request) => ({
  prompt: request.prompt,
  // (The names of tools are not in the types of a request.)
  toolChoice: request.toolChoice as LanguageModel.ToolChoice<never>,
  toolkit: toolkitOf(request),
  disableToolCallResolution: true as const,
  toolCallValidation: "deferred" as const
})

/**
 * The tools, without handlers. A model that does not resolve calls asks for a handler all the same where the prompt holds an
 * approval that is not resolved.
 */
const toolkitOf = ({ tools }: Request): Toolkit.WithHandler<{}> => ({
  tools: Toolkit.make(...tools).tools,
  handle: (name: string) =>
    Effect.fail(
      AiError.make({
        module: "LanguageModelProvider",
        method: "handle",
        reason: new AiError.ToolkitRequiredError({ pendingApprovals: [name] })
      })
    )
})

/**
 * What is asked for JSON of a schema.
 *
 * The model is given the schema's encoded side, in the form in which our own adapters ask for it: however its package rewrites
 * schemas, the text of the answer then is what the schema itself decodes.
 */
export const objectOptions = (
  request: Request,
  format: LanguageModel.ProviderOptions["responseFormat"] & { type: "json" }
) => ({
  ...textOptions(request),
  objectName: format.objectName,
  schema: encodedSide(format.schema)
})

type JsonSide = Schema.Codec<{ readonly [field: string]: unknown }>

const encodedSides = new WeakMap<Schema.Top, JsonSide>()

const encodedSide = (schema: Schema.Top): JsonSide => {
  let side = encodedSides.get(schema)
  if (side === undefined) {
    // (`generateObject` wants an object; whether a schema that is none is served is the model's to say.)
    side = Schema.toEncoded(structuredOutput(schema).codec) as unknown as JsonSide
    encodedSides.set(schema, side)
  }
  return side
}
