/**
 * However the events of many calls come between each other, a view knows what a simple model of it knows.
 */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Money, type Receipt } from "effect-bulwark"
import { LiveView } from "effect-bulwark/telemetry"
import { CliOutput } from "effect/cli"
import { TestClock } from "effect/testing"
import type { AttemptWatch, OperationWatch } from "../../src/core/internal/instrument.ts"
import { arrive, ask, begin, close, decide, receiptOf, usage } from "./support/live.ts"

const small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))
const outcome = Schema.Literals(["success", "Overloaded", "interrupted", "defect"])

/** Names come from anywhere. */
const name = Schema.Union([
  Schema.String,
  Schema.Literals([
    "\u001b[2J\u001b]0;owned\u0007",
    "検索機能のための長い名前",
    "👨‍👩‍👧‍👦 🇩🇪",
    "\u202egnp.exe",
    "e\u0301\u0301",
    "\ud800"
  ])
])

/** Which call, and which request of it, is said by numbers that are taken modulo how many there are. */
const Step = Schema.Union([
  Schema.Struct({ do: Schema.tag("begin"), feature: Schema.optionalKey(name) }),
  Schema.Struct({ do: Schema.tag("ask"), call: small, model: name }),
  Schema.Struct({ do: Schema.tag("arrive"), call: small, request: small, pieces: Schema.Array(Schema.String) }),
  Schema.Struct({ do: Schema.tag("end"), call: small, request: small }),
  Schema.Struct({
    do: Schema.tag("decide"),
    call: small,
    type: Schema.Literals(["retry", "fallback", "escalate", "hedge", "rejected", "queue", "timeout", "warning"]),
    delay: small
  }),
  Schema.Struct({ do: Schema.tag("queue"), call: small, limiter: name, waiting: small }),
  Schema.Struct({ do: Schema.tag("join"), call: small }),
  Schema.Struct({
    do: Schema.tag("close"),
    call: small,
    outcome,
    cache: Schema.optionalKey(Schema.Literals(["hit", "stale", "miss", "coalesced", "bypass"])),
    requests: Schema.Array(Schema.Struct({ tokens: small, cost: Schema.optionalKey(small) }))
      .check(Schema.isMaxLength(3))
  }),
  Schema.Struct({ do: Schema.tag("pass"), millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30_000 })) })
])

const Steps = Schema.Array(Step).check(Schema.isMinLength(20), Schema.isMaxLength(120))

interface Call {
  readonly operation: OperationWatch
  readonly requests: Array<{ readonly watch: AttemptWatch; running: boolean; began: boolean }>
  open: boolean
}

const play = (steps: typeof Steps.Type) =>
  Effect.gen(function*() {
    const calls: Array<Call> = []
    const expected = {
      calls: 0,
      succeeded: 0,
      failed: 0,
      interrupted: 0,
      requests: 0,
      retries: 0,
      fallbacks: 0,
      hedges: 0,
      rejected: 0,
      cached: 0,
      missed: 0,
      inputTokens: 0,
      outputTokens: 0,
      cost: 0,
      unpriced: 0
    }
    const began: Array<number> = []
    const finished: Array<string> = []
    let now = 0
    const check = Effect.map(LiveView.state, (state) => {
      const open = calls.filter(({ open }) => open)
      assert.deepStrictEqual({ ...state.total, cost: state.total.cost as number }, expected)
      assert.strictEqual(state.running, open.length)
      assert.strictEqual(expected.calls, expected.succeeded + expected.failed + expected.interrupted + state.running)
      assert.deepStrictEqual(state.inFlight.map(({ id }) => id), ids(calls))
      assert.deepStrictEqual(
        state.inFlight.map(({ requests, running }) => [requests, running]),
        open.map(({ requests }) => [requests.length, requests.filter(({ running }) => running).length])
      )
      assert.deepStrictEqual(state.finished.map(({ id }) => id), finished.toReversed().slice(0, 5))
      for (const call of state.inFlight) {
        if (call.running > 0) assert.include(["sending", "receiving"], call.phase)
        else assert.notInclude(["sending", "receiving"], call.phase)
        assert.isAtLeast(call.phaseMillis, 0)
      }
      assert.strictEqual(
        state.lastMinute.calls,
        began.filter((at) => Math.floor(at / 1_000) > Math.floor(now / 1_000) - 60).length
      )
      // Within an hour, the minutes are all there is.
      if (now < 3_600_000) {
        for (const field of ["calls", "requests", "cost", "failed"] as const) {
          assert.strictEqual(state.minutes.reduce((sum, minute) => sum + minute[field], 0), expected[field] as number)
        }
      }
      return state
    })
    for (const step of steps) {
      const call = "call" in step ? calls[step.call % Math.max(1, calls.length)] : undefined
      const request = call !== undefined && "request" in step
        ? call.requests[step.request % Math.max(1, call.requests.length)]
        : undefined
      switch (step.do) {
        case "begin":
          calls.push({
            operation: yield* begin(`op ${calls.length}`, {
              attribution: step.feature === undefined ? {} : { feature: step.feature }
            }),
            requests: [],
            open: true
          })
          began.push(now)
          expected.calls++
          break
        case "ask":
          if (call === undefined) break
          call.requests.push({ watch: ask(call.operation, step.model), running: true, began: false })
          expected.requests++
          break
        case "arrive":
          if (request === undefined) break
          arrive(request.watch, step.pieces, !request.began)
          request.began = true
          break
        case "end":
          if (request === undefined) break
          request.watch.ended(undefined)
          request.running = false
          break
        case "decide":
          if (call === undefined) break
          decide(call.operation, step.type, "Overloaded", step.delay)
          if (step.type === "retry") expected.retries++
          else if (step.type === "fallback" || step.type === "escalate") expected.fallbacks++
          else if (step.type === "hedge") expected.hedges++
          else if (step.type === "rejected") expected.rejected++
          break
        case "queue":
          call?.operation.noted({ _tag: "Queue", limiter: step.limiter, interactive: step.waiting, batch: 0 })
          break
        case "join":
          call?.operation.joined(undefined)
          break
        case "pass":
          now += step.millis
          yield* TestClock.adjust(step.millis)
          break
        case "close": {
          if (call === undefined) break
          close(
            call.operation,
            receiptOf(
              step.requests.map(({ cost, tokens }): Partial<Receipt.Attempt> => ({
                usage: usage(tokens, 2 * tokens),
                ...(cost === undefined ? undefined : { cost: Money.MicroUsd.make(cost) })
              })),
              { outcome: step.outcome, ...(step.cache === undefined ? undefined : { cache: step.cache }) }
            )
          )
          // Whatever is told of the end of a call after the first time is not heard.
          if (!call.open) break
          call.open = false
          finished.push(`op ${calls.indexOf(call)}`)
          expected[
            step.outcome === "success" ? "succeeded" : step.outcome === "interrupted" ? "interrupted" : "failed"
          ]++
          if (step.cache === "miss") expected.missed++
          else if (step.cache !== undefined && step.cache !== "bypass") expected.cached++
          for (const { cost, tokens } of step.requests) {
            expected.inputTokens += tokens
            expected.outputTokens += 2 * tokens
            if (cost === undefined) expected.unpriced++
            else expected.cost += cost
          }
        }
      }
      const state = yield* check
      for (const [columns, rows] of [[40, 12], [200, 60]] as const) fits(state, columns, rows)
    }
    for (const call of calls) {
      for (const { watch } of call.requests) watch.ended(undefined)
      if (call.open) expected.interrupted++
      if (call.open) finished.push(`op ${calls.indexOf(call)}`)
      call.open = false
      close(call.operation, receiptOf([], { outcome: "interrupted" }))
    }
    const { inFlight, running } = yield* check
    assert.deepStrictEqual([inFlight, running], [[], 0])
  }).pipe(Effect.provide(LiveView.layer({ finished: 5, inFlight: 1_000 })))

const ids = (calls: ReadonlyArray<Call>): ReadonlyArray<string> =>
  calls.flatMap(({ open }, n) => open ? [`op ${n}`] : [])

const fits = (state: LiveView.State, columns: number, rows: number): void => {
  const lines = LiveView.render(state, { columns, rows })
  assert.isAtMost(lines.length, rows)
  for (const line of lines) {
    assert.isAtMost(CliOutput.displayWidth(line), columns, line)
    assert.notMatch(line, /\p{Cc}/u)
  }
  const plain = LiveView.render(state, { columns, rows, color: true })
    // Nothing is left of the colours but what was there without them.
    // oxlint-disable-next-line no-control-regex
    .map((line) => line.replaceAll(/\u001b\[\d+m/g, "").trimEnd())
  assert.deepStrictEqual(plain, lines)
}

it.effect.prop(
  "whatever comes in whatever order, nothing is lost, counted twice or left behind",
  [Arbitrary.schema(Steps)],
  ([steps]) => play(steps),
  { timeout: 60_000 }
)
