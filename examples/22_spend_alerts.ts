/**
 * Spend alerts: what a fortnight of receipts says is usual, and who is told, and of what, when a loop runs away.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Layer } from "effect"
import { Money, type Receipt, Usage } from "effect-bulwark"
import { SpendAlert } from "effect-bulwark/telemetry"

const minute = 60_000
const day = 1_440 * minute

/** A call of another process, as its ledger has it. A token costs two micro-dollars here. */
const receipt = (at: number, feature: string, tokens: number): Receipt.Receipt => {
  const usage = { ...Usage.zero, inputUncached: tokens }
  const cost = Money.MicroUsd.make(tokens * 2)
  return {
    operationId: `${feature}-${at}-${tokens}`,
    attribution: { feature },
    startedAt: at,
    outcome: "success",
    degraded: false,
    attempts: [{
      provider: "openai",
      model: "gpt-5-mini",
      startMillis: 0,
      durationMillis: 800,
      outcome: "success",
      usage,
      cost
    }],
    events: [],
    usage,
    cost,
    timings: { totalMillis: 800 }
  }
}

/** Ten calls a minute by day and one at night; on the last day, from 14:00 on, four times as many, each twice as long. */
const fortnight = function*(from: number) {
  const incident = from + 13 * day + 14 * 60 * minute
  for (let at = from; at < incident + 40 * minute; at += minute) {
    const hour = (at % day) / (60 * minute)
    const usual = hour >= 8 && hour < 18 ? 10 : 1
    const calls = at < incident ? usual : usual * 4
    for (let n = 0; n < calls; n++) {
      // As long as they come: some short, some long.
      const tokens = 2_000 + ((at / minute) * 1_237 + n * 811) % 2_000
      yield receipt(at + n * 500, "search", at < incident ? tokens : tokens * 2)
    }
  }
}

const main = Effect.gen(function*() {
  const now = yield* Clock.currentTimeMillis
  const from = Math.floor(now / day) * day - 14 * day

  yield* Console.log("what would have been told of the last fortnight")
  const past = SpendAlert.replay(fortnight(from))
  for (const alert of past.alerts) {
    const time = new Date(alert.at).toISOString().slice(11, 16)
    yield* Console.log(`  ${time} ${alert.state}, ${alert.severity}: ${alert.message}`)
  }

  yield* Console.log("what is told now")
  const brake = SpendAlert.hook((alert) =>
    alert._tag === "Loop" && alert.state === "firing"
      ? Console.log(`  ${alert.feature} is stopped: ${alert.message}`)
      : Effect.void
  )
  const program = Effect.gen(function*() {
    // An agent that asks the same again and again. The operations of the program itself would be seen without a word.
    for (let n = 0; n < 30; n++) {
      yield* SpendAlert.observe(receipt(yield* Clock.currentTimeMillis, "agent", 3_000), "what-it-asks")
    }
    const { observed, series } = yield* SpendAlert.status
    yield* Console.log(
      `  ${observed} calls, ${series} series, key to silence by: ${(yield* SpendAlert.active)[0]?.key}`
    )
  })
  const alerts = Layer.mergeAll(SpendAlert.log, brake).pipe(
    Layer.provideMerge(SpendAlert.layer({ history: past.history, loop: { times: 20 } }))
  )
  yield* Effect.provide(program, alerts)
})

NodeRuntime.runMain(main)
