/**
 * A `LanguageModel` of `effect/ai` that does what a test tells it.
 */
import { Effect, Layer, Stream } from "effect"
import { Llm, type LlmError } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { type AiError, LanguageModel, type Response } from "effect/ai"

export class P extends Provider.Service<P>()("p") {}

export const llm = Llm.model(P, "m")

export const question = { prompt: "How high is the Eiffel tower?" }

export const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 7 }, outputTokens: { total: 3 } }
}

export interface Script {
  readonly whole?: (
    options: LanguageModel.ProviderOptions
  ) => Effect.Effect<Array<Response.PartEncoded>, AiError.AiError>
  readonly stream?: (
    options: LanguageModel.ProviderOptions
  ) => Stream.Stream<Response.StreamPartEncoded, AiError.AiError>
}

const unscripted = () => Effect.die(new Error("the model is not asked for this"))

export const modelOf = (script: Script): Layer.Layer<LanguageModel.LanguageModel> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: script.whole ?? unscripted,
      streamText: script.stream ?? (() => Stream.unwrap(unscripted()))
    })
  )

/** Answers with a text. */
export const saying = (text: string): Script => ({
  whole: () => Effect.succeed([{ type: "text", text }, finish]),
  stream: () =>
    Stream.make({ type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: text }, {
      type: "text-end",
      id: "0"
    }, finish)
})

/** Fails both ways. */
export const failing = (error: AiError.AiError): Script => ({
  whole: () => Effect.fail(error),
  stream: () => Stream.fail(error)
})

/** Asks the model `m`, whole and streamed. */
export const asks: ReadonlyArray<
  readonly [mode: string, run: Effect.Effect<unknown, LlmError.ProviderError, P>]
> = [
  ["whole", Llm.generateText(llm, question)],
  ["streamed", Stream.runDrain(Llm.streamText(llm, question))]
]

/** What a run fails with; one that does not is a defect. */
export const failureOf = <A, E, R>(run: Effect.Effect<A, E, R>) =>
  Effect.catch(Effect.flip(run), () => Effect.die(new Error("it has not failed")))
