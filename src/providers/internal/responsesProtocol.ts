/**
 * The Responses API as a protocol: how its requests are written and its answers are read.
 */
import type { Protocol } from "./exchange.ts"
import { type Dialect, encodeRequest } from "./responsesRequest.ts"
import { readAnswer, ResponsesStream } from "./responsesStream.ts"
import { restoreParams } from "./toolSchema.ts"

export const responsesProtocol = (provider: string, dialect: Dialect): Protocol => ({
  encode: (request, streamed) => encodeRequest(provider, request, dialect, streamed),
  // A body has been bounded as a whole.
  readAnswer: (exchange, body, { tools }) =>
    readAnswer(exchange, body, { restore: restoreParams(tools), maxParams: Infinity }),
  fold: (exchange, { tools }, maxParams) => new ResponsesStream(exchange, { restore: restoreParams(tools), maxParams })
})
