/**
 * A program of somebody else's that brings a model of the AI SDK along: compiled and run like the other one, with the optional peer.
 */
import type { LanguageModelV4 } from "@ai-sdk/provider"
import { Llm } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import * as Effect from "effect/Effect"

class Mine extends Provider.Service<Mine>()("mine") {}

const count = { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined }

const model: LanguageModelV4 = {
  specificationVersion: "v4",
  provider: "mine",
  modelId: "model-x",
  supportedUrls: {},
  doGenerate: () =>
    Promise.resolve({
      content: [{ type: "text", text: "Hello!" }],
      finishReason: { unified: "stop", raw: undefined },
      usage: { inputTokens: count, outputTokens: { total: 1, text: 1, reasoning: undefined } },
      warnings: []
    }),
  doStream: () => Promise.reject(new Error("not asked for"))
}

const { text } = await Effect.runPromise(
  Llm.generateText(Llm.model(Mine, "model-x"), { prompt: "Hello?" }).pipe(Effect.provide(AiSdk.layer(Mine, model)))
)
if (text !== "Hello!") throw new Error(`The packed package answers ${JSON.stringify(text)}`)
