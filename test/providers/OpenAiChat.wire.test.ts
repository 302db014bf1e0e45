/**
 * The answers of real servers that speak Chat Completions.
 */
import { OpenAiChat } from "effect-bulwark/providers"
import { P, replayed } from "./support/wireSuite.ts"

replayed("openai-chat", 101, (options) => OpenAiChat.layer(P, options))
