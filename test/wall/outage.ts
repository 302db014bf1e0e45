/**
 * S15: a provider that is down for a minute, under traffic.
 */
import { Effect, Fiber } from "effect"
import { FaultServer } from "effect-bulwark/testing"
import * as Checks from "./checks.ts"
import { check, equal, inTime } from "./checks.ts"
import { draw, open, type Seen, type SeenRequest, type World } from "./lab.ts"
import { both, type Scenario } from "./scenario.ts"

const downFor = 60_000

/** How it is down: the published case, and others. */
const downs = [
  FaultServer.forever(FaultServer.overloaded),
  FaultServer.forever(FaultServer.resetConnection),
  FaultServer.forever(FaultServer.silence())
]

/** The times at which the circuit was open or being probed: from one opening to the next, or to its closing. */
const openPeriods = (world: World): ReadonlyArray<{ readonly from: number; readonly to: number }> => {
  const periods: Array<{ readonly from: number; readonly to: number }> = []
  for (const [index, change] of world.changes.entries()) {
    if (change.to !== "Open") continue
    const next = world.changes.slice(index + 1).find(({ to }) => to === "Open" || to === "Closed")
    periods.push({ from: change.at, to: next?.at ?? Infinity })
  }
  return periods
}

/** The requests of calls that began while the circuit was open: those of older calls are no probes. */
const probesIn = (
  period: { readonly from: number; readonly to: number },
  calls: ReadonlyArray<Seen>,
  requests: ReadonlyArray<SeenRequest>
): ReadonlyArray<SeenRequest> => {
  const begun = new Map(calls.map((call) => [call.prompt, call.at]))
  return Checks.at(requests, "primary").filter(({ at, prompt }) =>
    at >= period.from && at < period.to && (begun.get(prompt) ?? 0) >= period.from
  )
}

export const outage: Scenario = {
  name: "S15",
  sentence: "Down for 60 s under 20 requests: nobody hangs, all are served, one probe at a time, and back within 30 s",
  modes: both,
  wire: false,
  run: Effect.fnUntraced(function*(lab) {
    const down = downs[draw(lab, "down", 0, downs.length - 1, 0)]!
    const world = yield* open(lab, { faults: { primary: [down] } })
    const fibers: Array<Fiber.Fiber<Seen>> = []
    const send = (n: number) =>
      Effect.map(Effect.forkChild(world.ask(n), { startImmediately: true }), (fiber) => void fibers.push(fiber))
    const until = (at: number) => Effect.flatMap(world.now, (now) => world.sleep(Math.max(0, at - now)))

    // Two at a time: where a probe is due, both might be it.
    for (let n = 0; n < 20; n += 2) {
      yield* until(n * 3_000)
      yield* send(n)
      yield* send(n + 1)
    }
    yield* until(downFor)
    yield* world.script("primary", [])
    const recovered = yield* world.now
    for (let n = 20; n < 31; n++) {
      yield* until(recovered + (n - 20) * 3_000)
      yield* send(n)
    }
    const calls = yield* Effect.forEach(fibers, Fiber.join)
    const requests = yield* world.requests
    const during = calls.slice(0, 20)
    const after = calls.slice(20)
    const back = after.findIndex((call) => call.receipt.provider === "primary")
    // While the probe is under way others are still refused.
    const later = back < 0 ? [] : after.filter((call) => call.at >= after[back]!.at + after[back]!.took)
    const periods = openPeriods(world)
    const probes = periods.map((period) => probesIn(period, calls, requests).length)
    const isWhole = (call: Seen) =>
      call.outcome === "success" && (call.text === world.answers.primary || call.text === world.answers.backup)
    return {
      asked: Checks.asked(requests),
      checks: [
        equal("all 20 are served, each with one whole answer", during.filter(isWhole).length, 20),
        equal("and all after them", after.filter(isWhole).length, after.length),
        inTime(world, "nobody waits for longer than 15 s", Math.max(...calls.map((call) => call.took)), 15_000),
        check("the circuit opens", periods.length > 0, periods.length),
        check("at most one probe in an open period", probes.every((count) => count <= 1), probes),
        check("it is probed", probes.some((count) => count === 1), probes),
        check(
          "traffic is back within 30 s",
          back >= 0 && after[back]!.at - recovered <= 30_000,
          back < 0 ? "never" : Checks.seconds(after[back]!.at - recovered)
        ),
        check(
          "and stays",
          later.length > 0 && later.every((call) => call.receipt.provider === "primary"),
          later.map((call) => call.receipt.provider)
        ),
        equal("every request is in a receipt", calls.flatMap((call) => call.receipt.attempts).length, requests.length)
      ]
    }
  })
}
