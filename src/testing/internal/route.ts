/**
 * What is asked of the server, and whether it may be.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { answer, blocked, prefillOf } from "./answer.ts"
import type { Asked } from "./asked.ts"
import { parseJson } from "./checked.ts"
import { type Refusal, sayFault } from "./dialect.ts"
import { type Exchange, readBody, refuse, reset, say, send, sendJson, wait } from "./exchange.ts"
import { describe, type Fault } from "./fault.ts"
import { sendFull, sendStream } from "./reply.ts"

/**
 * Answers one request.
 */
export const route = Effect.fnUntraced(function*(exchange: Exchange): Effect.fn.Return<void> {
  const { dialect, entry, resource, settings, target } = exchange
  const { method, path } = entry
  const text = yield* readBody(exchange)
  const json = Option.flatMap(text, parseJson)
  entry.body = Option.getOrUndefined(json)

  if (resource === undefined) return yield* refuse(exchange, { type: "unknownPath", method, path })
  const allow = resource === "models" ? "GET" : "POST"
  if (method !== allow) return yield* refuse(exchange, { type: "wrongMethod", method, path, allow })
  const unauthorized = keyRefusal(exchange)
  if (unauthorized !== undefined) return yield* refuse(exchange, unauthorized)
  if (resource === "models") {
    return yield* sendJson(exchange, 200, dialect.models(settings.models ?? exchange.journal.models()))
  }
  if (Option.isNone(text)) return yield* refuse(exchange, { type: "tooLarge", limit: settings.maxBodyBytes })
  if (Option.isNone(json)) return yield* refuse(exchange, { type: "notJson" })
  const asked = dialect.read(json.value, target)
  if (Result.isFailure(asked)) return yield* refuse(exchange, { type: "invalid", problem: asked.failure })
  yield* reply(exchange, asked.success)
})

const reply = Effect.fnUntraced(function*(exchange: Exchange, asked: Asked) {
  const { clock, dialect, entry, journal, ordinal, settings, target } = exchange
  const { model, stream } = asked
  entry.model = model
  entry.stream = stream
  if (settings.models !== undefined && !settings.models.includes(model)) {
    return yield* refuse(exchange, { type: "unknownModel", model })
  }
  const prefill = settings.prefill.get(model)
  if (prefill === "reject" && prefillOf(asked) !== undefined) {
    return yield* refuse(exchange, { type: "prefillRejected" })
  }
  const fault = journal.take(model)
  entry.fault = describe(fault)
  yield* wait(fault.silence ?? 0)
  yield* wait(fault.delayHeaders ?? 0)
  if (fault.resetConnection === true) return yield* reset(exchange)
  const isBlocked = dialect.blocksPrompts && fault.status?.error?.reason === "contentFiltered"
  if (fault.status !== undefined && !isBlocked) return yield* sendStatus(exchange, fault.status)
  const draft = {
    answer: isBlocked
      ? blocked(asked)
      : answer(asked, { text: settings.answers.get(model), continues: prefill === "continue" }),
    envelope: { ordinal, created: Math.floor(clock.currentTimeMillisUnsafe() / 1000), model },
    body: entry.body,
    target
  }
  yield* (stream ? sendStream : sendFull)(exchange, {
    answer: draft.answer,
    writing: dialect.write(draft),
    fault,
    pace: fault.delayBetweenTokens ?? settings.pace
  })
})

const sendStatus = (exchange: Exchange, status: NonNullable<Fault["status"]>): Effect.Effect<void> => {
  // Names in lower case, so that a header given replaces the one that is usual
  const headers = Object.fromEntries(
    Object.entries(status.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])
  )
  const said = sayFault(exchange.dialect, status.code, status.error ?? {}, exchange.clock.currentTimeMillisUnsafe())
  if (status.body === undefined) return say(exchange, { ...said, headers: { ...said.headers, ...headers } })
  return typeof status.body === "string"
    ? send(exchange, said.status, { "content-type": "text/plain; charset=utf-8", ...headers }, status.body)
    : sendJson(exchange, said.status, status.body, headers)
}

const keyRefusal = ({ dialect, settings, target }: Exchange): Refusal | undefined => {
  if (settings.apiKey === undefined) return undefined
  const key = dialect.keyOf(target)
  return key === settings.apiKey ? undefined : { type: key === undefined ? "missingKey" : "wrongKey" }
}
