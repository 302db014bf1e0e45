/**
 * The answers of real servers that speak the Messages API.
 */
import { AnthropicMessages } from "effect-bulwark/providers"
import { P, replayed } from "./support/wireSuite.ts"

replayed("anthropic-messages", 38, (options) => AnthropicMessages.layer(P, options))
