/**
 * Chat Completions as a protocol: how its requests are written and its answers are read.
 */
import { readAnswer } from "./chatAnswer.ts"
import type { Dialect } from "./chatDialects.ts"
import { encodeRequest } from "./chatRequest.ts"
import { ChatStream } from "./chatStream.ts"
import type { Protocol } from "./exchange.ts"
import { restoreParams } from "./toolSchema.ts"

export const chatProtocol = (provider: string, dialect: Dialect): Protocol => ({
  encode: (request, streamed) => encodeRequest(provider, request, dialect, streamed),
  readAnswer: (exchange, body, { tools }) => readAnswer(exchange, body, restoreParams(tools)),
  fold: (exchange, { tools }, maxParams) => new ChatStream(exchange, { restore: restoreParams(tools), maxParams })
})
