/**
 * How an answer goes out, in one piece or as a stream, disturbed as its fault says.
 */
import * as Effect from "effect/Effect"
import type { Answer } from "./answer.ts"
import { broken, type Event, sayFault, type Writing } from "./dialect.ts"
import { cut, end, type Exchange, send, sendJson, type Wait, wait, write, writeHead } from "./exchange.ts"
import type { ErrorFields, Fault } from "./fault.ts"

export interface Reply {
  readonly answer: Answer
  readonly writing: Writing
  readonly fault: Fault
  readonly pace: Wait
}

/** What goes wrong where nothing else is said of it is the server's failure. */
const failureOf = ({ clock, dialect }: Exchange, error: ErrorFields) =>
  sayFault(dialect, 500, error, clock.currentTimeMillisUnsafe())

const limitsOf = ({ clock, dialect }: Exchange, { promptTokens }: Answer) =>
  dialect.limits(promptTokens, clock.currentTimeMillisUnsafe())

/**
 * The whole answer as one JSON object.
 */
export const sendFull = Effect.fnUntraced(function*(exchange: Exchange, reply: Reply) {
  const { answer, fault, writing } = reply
  yield* wait(fault.delayFirstToken ?? 0)
  if (answer.tokens.length > 1) yield* wait(times(reply.pace, answer.tokens.length - 1))

  const headers = { "content-type": exchange.dialect.jsonType, ...limitsOf(exchange, answer) }
  if (fault.errorEventAfter !== undefined) {
    const error = writing.wholeError(failureOf(exchange, fault.errorEventAfter.error))
    return yield* sendJson(exchange, 200, error, headers)
  }
  const whole = JSON.stringify(writing.whole(fault.omitFinish === true ? null : fault.finish ?? answer.finish))
  const text = fault.malformedChunkAt === undefined ? whole : broken(whole)
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

const breakEvent = ({ data, ...event }: Event): Event => ({ ...event, data: broken(data) })

/**
 * The answer as a stream: what opens it, the tokens, the finish reason, the usage where it comes apart, and the end.
 */
export const sendStream = Effect.fnUntraced(function*(exchange: Exchange, reply: Reply) {
  const { answer, fault, writing } = reply
  const count = writing.pieces
  const tokensEach = answer.tokens.length / count
  // A fault beyond the end happens at the end: it would otherwise depend on how long the answer is
  const due = (at: number | undefined, index: number) => at !== undefined && Math.min(at, count) === index
  const malformed = fault.malformedChunkAt === undefined ? -1 : Math.min(fault.malformedChunkAt, Math.max(0, count - 1))
  const send = (events: ReadonlyArray<Event>) =>
    Effect.forEach(events, (event) => write(exchange, writing.frame(event)), { discard: true })

  writeHead(exchange, 200, {
    "content-type": writing.contentType,
    "cache-control": "no-cache",
    ...limitsOf(exchange, answer)
  })
  // Not every dialect has something to say before the first token
  exchange.response.flushHeaders()
  yield* send(writing.opening)
  yield* wait(fault.delayFirstToken ?? 0)

  for (let index = 0; index <= count; index++) {
    if (fault.stallAfter !== undefined && due(fault.stallAfter.tokens, index)) yield* wait(fault.stallAfter.for)
    if (fault.errorEventAfter !== undefined && due(fault.errorEventAfter.tokens, index)) {
      yield* send(writing.failing(failureOf(exchange, fault.errorEventAfter.error), index))
      return yield* end(exchange, writing.trailer())
    }
    if (due(fault.cutAfter, index)) return yield* cut(exchange)
    if (index === count) break
    // Even at full speed every token gets a turn of the event loop, so that a client that hangs up is noticed
    yield* index === 0 || reply.pace === 0 ? Effect.yieldNow : wait(reply.pace)
    const piece = writing.piece(index)
    yield* write(exchange, writing.frame(index === malformed ? breakEvent(piece) : piece))
    if (index !== malformed) exchange.entry.tokensSent += tokensEach
  }
  const ending = writing.ending(fault.finish ?? answer.finish)
  yield* send(ending.closing)
  if (fault.omitFinish === true) return yield* end(exchange, writing.trailer())
  if (fault.truncatedJson === true) {
    const { data } = ending.finish
    const framed = writing.frame(ending.finish)
    return yield* end(exchange, framed.slice(0, framed.indexOf(data) + (data.length >> 1)))
  }
  yield* send([malformed === 0 && count === 0 ? breakEvent(ending.finish) : ending.finish, ...ending.usage])
  if (fault.omitDone !== true && ending.done !== undefined) yield* send([ending.done])
  yield* end(exchange, writing.trailer())
})
