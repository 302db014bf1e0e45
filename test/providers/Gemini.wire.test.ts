/**
 * The answers of real servers that speak the Gemini API.
 */
import { Gemini } from "effect-bulwark/providers"
import { P, replayed } from "./support/wireSuite.ts"

replayed("gemini", 29, (options) => Gemini.layer(P, options))
