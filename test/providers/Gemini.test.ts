/**
 * How a provider of the Gemini API is made, and what is said where its options are not legal.
 */
import { it } from "@effect/vitest"
import { Gemini } from "effect-bulwark/providers"
import * as Config from "effect/Config"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { expectTypeOf } from "vitest"
import * as Wire from "./support/geminiWire.ts"
import { isMade } from "./support/optionsSuite.ts"
import { P } from "./support/request.ts"

isMade<Gemini.Options>("Gemini", {
  layer: (options) => Gemini.layer(P, options),
  layerConfig: (options) => Gemini.layerConfig(P, options),
  make: Gemini.make,
  baseUrl: "https://generativelanguage.googleapis.com/v1beta",
  path: "/models/{model}:generateContent",
  keyHeader: ["x-goog-api-key", ""],
  answer: Wire.textAnswer("hi"),
  illegal: [
    ["query", { query: { key: Redacted.make("sk-1") } }, "use `apiKey`"],
    ["query", { query: { API_KEY: "sk-1" } }, "use `apiKey`"],
    ["thinking", { thinking: "much" as "level" }, "\"level\" or \"budget\", got \"much\""],
    ["embeddings", { embeddings: "many" as "batch" }, "\"batch\" or \"single\", got \"many\""]
  ]
})

it("needs a client, and fails only with what is wrong with the configuration", () => {
  expectTypeOf(Gemini.layer(P)).toEqualTypeOf<Layer.Layer<P, never, HttpClient.HttpClient>>()
  expectTypeOf(Gemini.layerConfig(P, { apiKey: Config.Redacted("GEMINI_API_KEY") })).toEqualTypeOf<
    Layer.Layer<P, Config.ConfigError, HttpClient.HttpClient>
  >()
})
