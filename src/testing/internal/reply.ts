/**
 * How an answer goes out, in one piece or as a stream, disturbed as its fault says.
 */
import * as Effect from "effect/Effect"
import type { Answer } from "./answer.ts"
import { cut, end, type Exchange, send, sendJson, type Wait, wait, write, writeHead } from "./exchange.ts"
import type { Fault } from "./fault.ts"
import * as Wire from "./wire.ts"

export interface Reply {
  readonly answer: Answer
  readonly envelope: Wire.Envelope
  readonly fault: Fault
  readonly pace: Wait
  readonly includeUsage: boolean
}

const json = "application/json"

/**
 * The whole answer as one JSON object.
 */
export const sendFull = Effect.fnUntraced(function*(exchange: Exchange, reply: Reply) {
  const { answer, envelope, fault } = reply
  yield* wait(fault.delayFirstToken ?? 0)
  if (answer.tokens.length > 1) yield* wait(times(reply.pace, answer.tokens.length - 1))

  const headers = { "content-type": json, ...Wire.limits(answer.promptTokens) }
  if (fault.errorEventAfter !== undefined) {
    return yield* sendJson(exchange, 200, Wire.errorBody(200, fault.errorEventAfter.error), headers)
  }
  const reason = fault.omitFinish === true ? null : fault.finish ?? answer.finish
  const whole = JSON.stringify(Wire.completion(envelope, answer, reason))
  const text = fault.malformedChunkAt === undefined ? whole : Wire.broken(whole)
  if (fault.truncatedJson === true) {
    return yield* send(exchange, 200, headers, text.slice(0, text.length >> 1))
  }
  const bytes = Buffer.from(text)
  writeHead(exchange, 200, { "content-length": String(bytes.length), ...headers })
  if (fault.cutAfter !== undefined || fault.stallAfter !== undefined) {
    yield* write(exchange, bytes.subarray(0, bytes.length >> 1))
    yield* wait(fault.stallAfter?.for ?? 0)
    if (fault.cutAfter !== undefined) return yield* cut(exchange)
    yield* write(exchange, bytes.subarray(bytes.length >> 1))
  } else {
    yield* write(exchange, bytes)
  }
  exchange.entry.tokensSent = answer.tokens.length
  yield* end(exchange)
})

const times = (pace: Wait, count: number): Wait => (pace === "Infinity" ? pace : pace * count)

/**
 * The answer as server-sent events: a role, the tokens, the finish reason, the usage if it was asked for, `[DONE]`.
 */
export const sendStream = Effect.fnUntraced(function*(exchange: Exchange, reply: Reply) {
  const { answer, fault } = reply
  const count = answer.tokens.length
  const chunks = Wire.chunks(reply.envelope, answer, reply.includeUsage)
  // A fault beyond the end happens at the end: it would otherwise depend on how long the answer is
  const due = (at: number | undefined, index: number) => at !== undefined && Math.min(at, count) === index
  const malformed = fault.malformedChunkAt === undefined ? -1 : Math.min(fault.malformedChunkAt, Math.max(0, count - 1))

  writeHead(exchange, 200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    ...Wire.limits(answer.promptTokens)
  })
  yield* write(exchange, Wire.event(JSON.stringify(chunks.first)))
  yield* wait(fault.delayFirstToken ?? 0)

  for (let index = 0; index <= count; index++) {
    if (fault.stallAfter !== undefined && due(fault.stallAfter.tokens, index)) yield* wait(fault.stallAfter.for)
    if (fault.errorEventAfter !== undefined && due(fault.errorEventAfter.tokens, index)) {
      return yield* end(exchange, Wire.event(JSON.stringify(Wire.errorBody(200, fault.errorEventAfter.error))))
    }
    if (due(fault.cutAfter, index)) return yield* cut(exchange)
    const token = answer.tokens[index]
    if (token === undefined) break
    // Even at full speed every token gets a turn of the event loop, so that a client that hangs up is noticed
    yield* index === 0 || reply.pace === 0 ? Effect.yieldNow : wait(reply.pace)
    const chunk = JSON.stringify(chunks.token(token))
    yield* write(exchange, Wire.event(index === malformed ? Wire.broken(chunk) : chunk))
    if (index !== malformed) exchange.entry.tokensSent++
  }
  if (fault.omitFinish === true) return yield* end(exchange)
  const last = JSON.stringify(chunks.finish(fault.finish ?? answer.finish))
  if (fault.truncatedJson === true) return yield* end(exchange, `data: ${last.slice(0, last.length >> 1)}`)
  yield* write(exchange, Wire.event(malformed === 0 && count === 0 ? Wire.broken(last) : last))
  if (reply.includeUsage) yield* write(exchange, Wire.event(JSON.stringify(chunks.usage())))
  yield* end(exchange, fault.omitDone === true ? undefined : Wire.event("[DONE]"))
})
