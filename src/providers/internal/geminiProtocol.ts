/**
 * The Gemini API as a protocol: how its requests are written and its answers are read.
 */
import type { Protocol } from "./exchange.ts"
import { type Dialect, encodeRequest } from "./geminiRequest.ts"
import { GeminiStream, readAnswer } from "./geminiStream.ts"
import { restoreParams } from "./toolSchema.ts"

export const geminiProtocol = (provider: string, dialect: Dialect): Protocol => ({
  // What is asked for in parts is asked for elsewhere, but in the same words.
  encode: (request) => encodeRequest(provider, request, dialect),
  // A body has been bounded as a whole.
  readAnswer: (exchange, body, { tools }) =>
    readAnswer(exchange, body, { restore: restoreParams(tools), maxParams: Infinity }),
  fold: (exchange, { tools }, maxParams) => new GeminiStream(exchange, { restore: restoreParams(tools), maxParams })
})
