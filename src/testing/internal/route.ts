/**
 * What is asked of the server, and whether it may be.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { answer, prefillOf } from "./answer.ts"
import { type Exchange, readBody, refuse, reset, send, sendJson, wait } from "./exchange.ts"
import { describe, type Fault } from "./fault.ts"
import { sendFull, sendStream } from "./reply.ts"
import { type ChatRequest, parseRequest } from "./request.ts"
import * as Wire from "./wire.ts"

const JsonText = Schema.fromJsonString(Schema.Unknown)

const methods: Record<string, string> = { "/v1/chat/completions": "POST", "/v1/models": "GET" }

/**
 * Answers one request.
 */
export const route = Effect.fnUntraced(function*(exchange: Exchange): Effect.fn.Return<void> {
  const { entry, settings } = exchange
  const text = yield* readBody(exchange)
  const json = Option.flatMap(text, Schema.decodeUnknownOption(JsonText))
  entry.body = Option.getOrUndefined(json)

  const method = Object.hasOwn(methods, entry.path) ? methods[entry.path] : undefined
  if (method === undefined) {
    return yield* refuse(exchange, 404, { message: `Invalid URL (${entry.method} ${entry.path})`, code: null })
  }
  if (method !== entry.method) {
    const message = `Not allowed to ${entry.method} on ${entry.path}.`
    return yield* refuse(exchange, 405, { message, code: "method_not_supported" }, { allow: method })
  }
  const unauthorized = keyError(exchange)
  if (unauthorized !== undefined) return yield* refuse(exchange, 401, unauthorized)
  if (method === "GET") {
    return yield* sendJson(exchange, 200, Wire.models(settings.models ?? exchange.journal.models()))
  }
  if (Option.isNone(text)) {
    return yield* refuse(exchange, 413, { message: `The body is larger than ${settings.maxBodyBytes} bytes.` })
  }
  if (Option.isNone(json)) {
    return yield* refuse(exchange, 400, { message: "We could not parse the JSON body of your request." })
  }
  const parsed = parseRequest(json.value)
  if (Result.isFailure(parsed)) return yield* refuse(exchange, 400, parsed.failure)
  yield* chat(exchange, parsed.success)
})

const chat = Effect.fnUntraced(function*(exchange: Exchange, request: ChatRequest) {
  const { clock, entry, journal, ordinal, settings } = exchange
  entry.model = request.model
  entry.stream = request.stream
  if (settings.models !== undefined && !settings.models.includes(request.model)) {
    const message = `The model \`${request.model}\` does not exist or you do not have access to it.`
    return yield* refuse(exchange, 404, { message, code: "model_not_found" })
  }
  const prefill = settings.prefill.get(request.model)
  if (prefill === "reject" && prefillOf(request) !== undefined) {
    const message =
      "This model does not support assistant message prefill. The conversation must end with a user message."
    return yield* refuse(exchange, 400, { message })
  }
  const fault = journal.take(request.model)
  entry.fault = describe(fault)
  yield* wait(fault.silence ?? 0)
  yield* wait(fault.delayHeaders ?? 0)
  if (fault.resetConnection === true) return yield* reset(exchange)
  if (fault.status !== undefined) return yield* sendStatus(exchange, fault.status)
  const reply = {
    answer: answer(request, { text: settings.answers.get(request.model), continues: prefill === "continue" }),
    envelope: { ordinal, created: Math.floor(clock.currentTimeMillisUnsafe() / 1000), model: request.model },
    fault,
    pace: fault.delayBetweenTokens ?? settings.pace,
    includeUsage: request.includeUsage
  }
  yield* request.stream ? sendStream(exchange, reply) : sendFull(exchange, reply)
})

const sendStatus = (exchange: Exchange, status: NonNullable<Fault["status"]>): Effect.Effect<void> => {
  // Names in lower case, so that a header given replaces the one that is usual
  const headers = Object.fromEntries(
    Object.entries(status.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])
  )
  if (status.body === undefined) return refuse(exchange, status.code, status.error, headers)
  return typeof status.body === "string"
    ? send(exchange, status.code, { "content-type": "text/plain; charset=utf-8", ...headers }, status.body)
    : sendJson(exchange, status.code, status.body, headers)
}

const keyError = ({ request, settings }: Exchange): Partial<Wire.ErrorBody> | undefined => {
  if (settings.apiKey === undefined) return undefined
  const other = request.headers["api-key"]
  const key = /^Bearer\s+(.+)$/i.exec(request.headers.authorization ?? "")?.[1] ??
    (Array.isArray(other) ? other[0] : other)
  if (key === settings.apiKey) return undefined
  return key === undefined
    ? { message: "You didn't provide an API key.", code: null }
    : { message: "Incorrect API key provided.", code: "invalid_api_key" }
}
