/**
 * How a provider of the Responses API is made, and what is said where its options are not legal.
 */
import { it } from "@effect/vitest"
import { OpenAiResponses } from "effect-bulwark/providers"
import * as Config from "effect/Config"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import { expectTypeOf } from "vitest"
import { isMade } from "./support/optionsSuite.ts"
import { P } from "./support/request.ts"
import * as Wire from "./support/responsesWire.ts"

isMade<OpenAiResponses.Options>("OpenAiResponses", {
  layer: (options) => OpenAiResponses.layer(P, options),
  layerConfig: (options) => OpenAiResponses.layerConfig(P, options),
  make: OpenAiResponses.make,
  baseUrl: "https://api.openai.com/v1",
  path: "/responses",
  keyHeader: ["authorization", "Bearer "],
  answer: Wire.textAnswer("hi"),
  illegal: [
    ["organization", { organization: "sk-1\n" }, "characters that a header cannot carry"],
    ["project", { project: "sk-1\n" }, "characters that a header cannot carry"],
    [
      "reasoningSummary",
      { reasoningSummary: "long" as "auto" },
      "\"auto\" or \"concise\" or \"detailed\", got \"long\""
    ],
    [
      "conversation",
      { conversation: "endless" as "stateless" },
      "\"stateless\" or \"previousResponse\", got \"endless\""
    ],
    ["conversation", { conversation: "previousResponse", store: false }, "leave out `store: false`"]
  ]
})

it("needs a client, and fails only with what is wrong with the configuration", () => {
  expectTypeOf(OpenAiResponses.layer(P)).toEqualTypeOf<Layer.Layer<P, never, HttpClient.HttpClient>>()
  expectTypeOf(OpenAiResponses.layerConfig(P, { apiKey: Config.Redacted("OPENAI_API_KEY") })).toEqualTypeOf<
    Layer.Layer<P, Config.ConfigError, HttpClient.HttpClient>
  >()
})
