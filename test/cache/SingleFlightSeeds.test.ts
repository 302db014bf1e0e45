/**
 * Callers that come, read and go at random, in any order that a scheduler may choose, and a provider that answers as it likes: whatever
 * happens, each gets a whole answer, its own interruption or the provider's failure, and each request is on one receipt.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import { Llm, LlmError, Part } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import * as SingleFlight from "../../src/cache/SingleFlight.ts"
import { openai } from "../core/support/stack.ts"
import { makeWorld, usageOf } from "./support/flights.ts"
import { type Dice, dice, scheduler } from "./support/seeded.ts"

const seeds = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 200)
const first = Number(process.env["BULWARK_TEST_SEED"] ?? 1)

const tick = 5

/** What the provider does in its nth call. The words say which call it was. */
const stepOf = (dice: Dice, n: number): ScriptedProvider.Step => {
  const words = Array.from({ length: 1 + dice.below(4) }, (_, word) => `${n}.${word} `)
  const timing = { delay: tick * dice.below(8), between: tick * dice.below(4) }
  switch (dice.below(8)) {
    case 0:
      return ScriptedProvider.fail(dice.pick(["Overloaded", "InvalidRequest"]), timing)
    case 1:
      return ScriptedProvider.breakOff(words, dice.pick(["cut", "ServerError"]), timing)
    case 2:
      return dice.pick([ScriptedProvider.silence, ScriptedProvider.breakOff(words, "stall", timing)])
    default:
      return ScriptedProvider.text(words, timing)
  }
}

interface Plan {
  readonly joins: number
  readonly kind: "whole" | "stream"
  readonly leaves: number | undefined
  readonly limit: number | undefined
  readonly pace: number
}

const planOf = (dice: Dice, limits: boolean): Plan => ({
  joins: dice.below(16),
  kind: dice.pick(["whole", "stream"]),
  leaves: dice.chance(0.4) ? dice.below(24) : undefined,
  limit: limits && dice.chance(0.4) ? tick * (1 + dice.below(12)) : undefined,
  pace: dice.pick([0, 0, tick, 4 * tick])
})

/** Whatever is due has been done, so that time can go on. */
const quiet = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

const play = (seed: number) => {
  const chance = dice(seed)
  const limits = chance.chance(0.5)
  const small = chance.chance(0.2)
  const idle = chance.chance(0.5)
  const steps: Array<ScriptedProvider.Step> = []
  /** The call that still ran when the nth one began. */
  const overlaps: Array<number> = []
  const whole = new Map<string, number>()

  const program = Effect.gen(function*() {
    const world = yield* makeWorld((_, n) => {
      world.calls.forEach((call, other) => {
        if (other !== n && call.outcome === undefined) overlaps.push(other)
      })
      return steps[n] = stepOf(chance, n)
    }, small ? { maxBytes: 5 + chance.below(8) } : {})

    const inner = idle ? openai.pipe(Llm.timeout({ firstPart: 6 * tick, idle: 4 * tick })) : openai
    const shared = Llm.make({
      plan: inner.plan,
      open: (call) =>
        Effect.flatMap(SingleFlight.SingleFlight, (flights) =>
          Effect.map(
            flights.open("the same", call, inner.open, {
              whole: (answer) =>
                Effect.sync(() => {
                  const text = answer.parts.map((part) => part.type === "text-delta" ? part.delta : "").join("")
                  whole.set(text, (whole.get(text) ?? 0) + 1)
                })
            }),
            ({ opened }) => opened
          ))
    })

    const plans = Array.from({ length: 2 + chance.below(5) }, () => planOf(chance, limits))
    const callers: Array<{ readonly plan: Plan; readonly caller: Effect.Success<ReturnType<typeof world.stream>> }> = []
    for (let now = 0; now < 25; now++) {
      for (const plan of plans) {
        if (plan.joins !== now) continue
        const llm = plan.limit === undefined ? shared : shared.pipe(Llm.timeout({ total: plan.limit }))
        const caller = plan.kind === "whole"
          ? yield* world.whole(llm)
          : yield* world.stream(llm, () => plan.pace === 0 ? Effect.void : Effect.sleep(plan.pace))
        callers.push({ plan, caller })
      }
      for (const { caller, plan } of callers) {
        if (plan.leaves === now) yield* Effect.forkDetach(caller.leave)
      }
      yield* quiet
      yield* TestClock.adjust(tick)
    }
    yield* TestClock.adjust(75 * tick)
    const stuck = callers.filter(({ caller }) => caller.ended() === undefined)
    yield* Effect.forEach(stuck, ({ caller }) => Fiber.interrupt(caller.fiber), { concurrency: "unbounded" })
    yield* quiet
    yield* world.settled

    // Who still waited did so for a provider that is silent for ever.
    if (stuck.length > 0) assert.isTrue(!idle && steps.some(({ ending }) => ending === "stall"), "a caller is stuck")

    const texts = steps.map((step) => step.parts.map((part) => part.type === "text-delta" ? part.delta : ""))
    for (const { caller, plan } of callers) {
      const ended = caller.ended()
      const text = caller.text()
      const from = texts.findIndex((words) => words.join("").startsWith(text) && words.join("") !== "")
      if (text !== "") assert.isTrue(from !== -1, `nobody said "${text}"`)
      if (ended === "success") {
        assert.strictEqual(text, texts[from]!.join(""))
        assert.strictEqual(steps[from]!.ending, undefined)
        assert.strictEqual(caller.parts.at(-1)?.type, "finish")
        const { parts } = steps[from]!
        const sent = world.calls[from]!.transport === "stream" ? parts : Part.fromAnswer(Part.toAnswer(parts))
        if (plan.kind === "stream") {
          assert.deepStrictEqual(caller.parts.map((part) => part.type as string), sent.map((part) => part.type))
        }
        const { attempts, cache, savedUsage } = caller.receipt()
        if (cache === "coalesced" && attempts.length === 0) assert.isDefined(savedUsage)
        if (cache === undefined) assert.isUndefined(savedUsage)
      } else if (ended === "interrupted") {
        assert.isTrue(plan.leaves !== undefined || stuck.some((one) => one.caller === caller), "nobody interrupted it")
      } else if (ended instanceof LlmError.TimedOut) {
        assert.isTrue(ended.phase === "total" ? plan.limit !== undefined : idle)
      } else if (ended instanceof LlmError.StreamInterrupted) {
        const { failure, reason } = ended
        if (reason === "timedOut") assert.isTrue(idle || plan.limit !== undefined)
        else if (!steps.some(({ ending }) => ending === "cut" || typeof ending === "object")) {
          // It was too slow for the others.
          assert.deepStrictEqual([small, plan.kind, reason, failure], [true, "stream", "closed", undefined])
        }
      } else {
        const tags = steps.flatMap(({ ending }) => typeof ending === "object" ? [ending._tag] : [])
        assert.include(tags, (ended as { readonly _tag: string })._tag)
      }
      if (ended !== "success" && ended !== "interrupted") assert.strictEqual(caller.receipt().savedUsage, undefined)
      // One that is interrupted as it comes may not have begun.
      if (plan.leaves !== plan.joins) assert.isTrue(caller.hasReceipt(), "no receipt")
    }

    // One request at a time: another one is begun beside it only where nobody waits for it any more, or nobody may join it.
    for (const other of overlaps) {
      if (!limits && !small) assert.include(["interrupted", undefined], world.calls[other]!.outcome)
    }
    const finished = world.calls.filter(({ outcome }) => outcome === "success").length
    assert.strictEqual(usageOf(world.receipts).inputUncached, 10 * finished)
    assert.strictEqual(world.receipts.length, callers.filter(({ caller }) => caller.hasReceipt()).length)
    assert.isTrue([...whole.values()].every((times) => times === 1), "told twice")
    if (!small) {
      world.calls.forEach(({ outcome }, n) => {
        if (outcome === "success") assert.isTrue(whole.has(texts[n]!.join("")), "not told")
      })
    }
  })
  return Effect.runPromise(
    program.pipe(
      Effect.scoped,
      Effect.provide(TestClock.layer({ warningDelay: "1 hour" })),
      Effect.provideService(Scheduler.Scheduler, scheduler(chance, chance.pick([0, 0.02, 0.2])))
    )
  )
}

describe("SingleFlight", () => {
  it(`${seeds} courses of events`, async () => {
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        let alarm: NodeJS.Timeout | undefined
        const hangs = new Promise<never>((_, reject) => {
          alarm = setTimeout(() => reject(new Error("it hangs")), 30_000)
        })
        await Promise.race([play(seed), hangs])
        clearTimeout(alarm)
      } catch (error) {
        throw new Error(`BULWARK_TEST_SEED=${seed}`, { cause: error })
      }
    }
  }, 60_000 + 500 * seeds)
})
