/**
 * The Messages API as a protocol: how its requests are written and its answers are read.
 */
import type { Request } from "../Provider.ts"
import type { Protocol } from "./exchange.ts"
import { type Dialect, encodeRequest } from "./messagesRequest.ts"
import { jsonPlan } from "./messagesSchema.ts"
import { type Expectation, MessagesStream, readAnswer } from "./messagesStream.ts"
import { restoreParams } from "./toolSchema.ts"

export const messagesProtocol = (provider: string, dialect: Dialect): Protocol => {
  const expectation = (request: Request, maxParams: number): Expectation => {
    const plan = jsonPlan(request, dialect.jsonFormat)
    return { restore: restoreParams(request.tools), jsonTool: plan?.type === "tool" ? plan.tool : undefined, maxParams }
  }
  return {
    encode: (request, streamed) => encodeRequest(provider, request, dialect, streamed),
    // A body has been bounded as a whole.
    readAnswer: (exchange, body, request) => readAnswer(exchange, body, expectation(request, Infinity)),
    fold: (exchange, request, maxParams) => new MessagesStream(exchange, expectation(request, maxParams))
  }
}
