/**
 * How a provider is made, and what is said where its options are not legal.
 */
import { it } from "@effect/vitest"
import { OpenAiChat } from "effect-bulwark/providers"
import * as Config from "effect/Config"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import { expectTypeOf } from "vitest"
import { isMade } from "./support/optionsSuite.ts"
import { P } from "./support/request.ts"
import * as Wire from "./support/wire.ts"

isMade<OpenAiChat.Options>("OpenAiChat", {
  layer: (options) => OpenAiChat.layer(P, options),
  layerConfig: (options) => OpenAiChat.layerConfig(P, options),
  make: OpenAiChat.make,
  baseUrl: "https://api.openai.com/v1",
  path: "/chat/completions",
  keyHeader: ["authorization", "Bearer "],
  answer: Wire.answer({ content: "hi" }),
  illegal: [
    ["organization", { organization: "sk-1\n" }, "characters that a header cannot carry"],
    ["project", { project: "sk-1\n" }, "characters that a header cannot carry"],
    ["maxTokensField", { maxTokensField: "tokens" as "max_tokens" }, "max_completion_tokens"]
  ]
})

it("needs a client, and fails only with what is wrong with the configuration", () => {
  expectTypeOf(OpenAiChat.layer(P, {})).toEqualTypeOf<Layer.Layer<P, never, HttpClient.HttpClient>>()
  expectTypeOf(OpenAiChat.layer(P)).toEqualTypeOf<Layer.Layer<P, never, HttpClient.HttpClient>>()
  expectTypeOf(OpenAiChat.layerConfig(P, { apiKey: Config.Redacted("OPENAI_API_KEY") })).toEqualTypeOf<
    Layer.Layer<P, Config.ConfigError, HttpClient.HttpClient>
  >()
})
