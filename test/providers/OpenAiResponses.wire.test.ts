/**
 * The answers of real servers that speak the Responses API.
 */
import { OpenAiResponses } from "effect-bulwark/providers"
import { P, replayed } from "./support/wireSuite.ts"

replayed("openai-responses", 17, (options) => OpenAiResponses.layer(P, options))
