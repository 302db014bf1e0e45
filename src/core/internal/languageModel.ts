/**
 * An `Llm` behind `effect/ai`'s `LanguageModel`, which resolves toolkits for us.
 */
import type * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { flow, identity } from "effect/Function"
import * as Stream from "effect/Stream"
import type { Request, Settings } from "../Call.ts"
import type { Llm } from "../Llm.ts"
import { InvalidOutput, type StreamInterrupted, ToolFailed } from "../LlmError.ts"
import type { ProviderPart } from "../Part.ts"
import type { Receipt } from "../Receipt.ts"
import { runStream, runWhole } from "./operation.ts"
import { ownServices } from "./ownServices.ts"
import { structuredOutput } from "./structuredOutput.ts"

/** What `LanguageModel` asks a provider for, as a request of ours. */
export const requestOf = (options: LanguageModel.ProviderOptions, settings: Settings): Request => ({
  prompt: options.prompt,
  tools: options.tools,
  toolChoice: options.toolChoice,
  responseFormat: options.responseFormat,
  settings
})

/** Builds the `LanguageModel`: `onError` turns our failures into what its hooks may fail with. */
export const make = <E, R>(
  llm: Llm<E, R>,
  context: Context.Context<R>,
  options: {
    readonly settings: Settings
    readonly onError: (error: E | StreamInterrupted, method: string) => AiError.AiError
    readonly onReceipt?: (receipt: Receipt) => void
    /** Changes the context in which our part runs. */
    readonly within?: <R2>(context: Context.Context<R2>) => Context.Context<R2>
  }
): Effect.Effect<LanguageModel.LanguageModel> => {
  const { within = identity } = options
  const complete = flow(ownServices(context), within<R>)
  return LanguageModel.make({
    // The same function; its type says less, since it serves any schema from one cache.
    codecTransformer: structuredOutput as unknown as LanguageModel.CodecTransformer,
    generateText: (provider) =>
      runWhole(llm, requestOf(provider, options.settings), (answer) => Effect.succeed(answer)).pipe(
        Effect.mapError((error) => options.onError(error, "generateText")),
        Effect.map((settled) => {
          options.onReceipt?.(settled.receipt)
          return [...settled.answer]
        }),
        Effect.updateContext(complete)
      ),
    streamText: (provider) =>
      // `effect/ai` knows no `retract`, and may have run tools by then.
      runStream(llm, requestOf(provider, options.settings), false).pipe(
        Stream.filter((part): part is ProviderPart => part.type !== "retract"),
        Stream.mapError((error) => options.onError(error, "streamText")),
        Stream.updateContext(complete)
      )
  })
}

const identifier = /^[\w.-]{1,64}$/

/** What `effect/ai` says about tools and decoding, as failures of ours. */
export const fromToolError = (error: AiError.AiError): InvalidOutput | ToolFailed => {
  const { reason } = error
  // A tool name in an error is the model's word, unless it is one of ours.
  const toolName = "toolName" in reason && identifier.test(reason.toolName) ? { toolName: reason.toolName } : undefined
  switch (reason._tag) {
    case "ToolNotFoundError":
      return new InvalidOutput({ ...toolName, problem: "it calls a tool that is not in the toolkit" })
    case "ToolParameterValidationError":
      return new InvalidOutput({ ...toolName, problem: "the parameters of a tool call do not fit its schema" })
    case "InvalidOutputError":
    case "StructuredOutputError":
      return new InvalidOutput({ problem: "it does not decode" })
    default:
      return new ToolFailed({ ...toolName, problem: reason._tag })
  }
}
