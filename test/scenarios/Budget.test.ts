/**
 * Budgets in whole stacks: whatever the policies, the providers and the callers do, each request is booked once, nothing stays held, and
 * no limit is passed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Layer, Random, Schema, Stream } from "effect"
import { Attribution, Llm, type LlmError } from "effect-bulwark"
import { Budget, BudgetStore } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { books, budget } from "../budget/support/budget.ts"
import { Anthropic, makeProbe, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { policies, policyNames, type Services, services, type Stack } from "./support/policies.ts"

/** A store that is watched: what became of each reservation, and whether a limit was passed at any time. */
const watched = () => {
  const reserved = new Set<string>()
  const over = new Map<string, number>()
  const note = (id: string) => (outcome: BudgetStore.Outcome) => {
    if (outcome === "applied") over.set(id, (over.get(id) ?? 0) + 1)
  }
  const layer = Layer.effect(
    BudgetStore.BudgetStore,
    Effect.map(BudgetStore.BudgetStore, (store) =>
      BudgetStore.BudgetStore.of({
        ...store,
        reserve: (reservation) =>
          Effect.tap(store.reserve(reservation), (verdict) =>
            Effect.sync(() => {
              if (verdict._tag !== "Reserved") return
              reserved.add(reservation.id)
              verdict.balances.forEach((balance, n) =>
                assert.isAtMost(balance.used + balance.reserved, reservation.lines[n]!.limit)
              )
            })),
        settle: (id, amounts) =>
          Effect.tap(store.settle(id, amounts), (outcome) => Effect.sync(() => note(id)(outcome))),
        void: (id) => Effect.tap(store.void(id), (outcome) => Effect.sync(() => note(id)(outcome)))
      }))
  ).pipe(Layer.provide(BudgetStore.layerMemory))
  return {
    layer,
    reserved,
    /** Every reservation has been settled or voided, and only once. */
    check: () => {
      for (const id of reserved) assert.strictEqual(over.get(id), 1, `${id} was settled ${over.get(id) ?? 0} times`)
    }
  }
}

const Behaviour = Schema.Literals([
  "answers",
  "answers slowly",
  "answers late",
  "does not count",
  "fails",
  "is limited",
  "refuses",
  "is silent",
  "breaks off",
  "stalls",
  "fails in mid-answer",
  "is filtered in mid-answer",
  "dies"
])

const Recipe = Schema.Struct({
  policies: Schema.Array(Schema.Literals(policyNames as [typeof policyNames[number]])).check(Schema.isMaxLength(5)),
  /** Where the budget stands among them, from the inside. */
  budget: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
  usd: Schema.Literals(["1", "0.003", "0.0003"]),
  openai: Schema.Array(Behaviour).check(Schema.isMaxLength(6)),
  anthropic: Schema.Array(Behaviour).check(Schema.isMaxLength(6)),
  mode: Schema.Literals(["whole", "stream"]),
  /** When the caller goes away, in milliseconds; not at all at 0. */
  leavesAfter: Schema.Literals([0, 0, 0, 1, 1_000, 2_500, 7_000, 12_000]),
  calls: Schema.Literals([1, 1, 3])
})

const text = ["one ", "two ", "three ", "four "]

const stepOf = (behaviour: typeof Behaviour.Type): ScriptedProvider.Step => {
  switch (behaviour) {
    case "answers":
      return ScriptedProvider.text(text)
    case "answers slowly":
      return ScriptedProvider.text(text, { delay: "2 seconds", between: "2 seconds" })
    case "answers late":
      return ScriptedProvider.text(text, { delay: "8 seconds" })
    case "does not count":
      return ScriptedProvider.text(text, { usage: { inputTokens: {}, outputTokens: {} } })
    case "fails":
      return ScriptedProvider.fail("Overloaded", { delay: "1 second" })
    case "is limited":
      return ScriptedProvider.fail("RateLimited", { delay: "10 millis" })
    case "refuses":
      return ScriptedProvider.fail("ContentFiltered")
    case "is silent":
      return ScriptedProvider.silence
    case "breaks off":
      return ScriptedProvider.breakOff(text.slice(0, 2), "cut", { between: "1 second" })
    case "stalls":
      return ScriptedProvider.breakOff(text.slice(0, 2), "stall", { between: "1 second" })
    case "fails in mid-answer":
      return ScriptedProvider.breakOff(text.slice(0, 1), "ServerError")
    case "is filtered in mid-answer":
      return ScriptedProvider.text(text, { finishReason: "content-filter", between: "1 second" })
    case "dies":
      return {
        get parts(): never {
          throw new Error("so the script says")
        }
      }
  }
}

const limits = (usd: string): ReadonlyArray<Budget.Limit> => [
  { resource: "usd", limit: usd, window: Budget.total },
  { resource: "requests", limit: 1_000, window: Budget.rolling("1 hour"), scope: "user" },
  { resource: "tokens", limit: 1_000, window: Budget.perCall }
]

const run = (recipe: typeof Recipe.Type) =>
  Effect.gen(function*() {
    const probe = yield* makeProbe
    const receipts = makeReceipts()
    const store = watched()
    const first = ScriptedProvider.make(OpenAi, (_, index) => stepOf(recipe.openai[index] ?? "answers"))
    const second = ScriptedProvider.make(Anthropic, (_, index) => stepOf(recipe.anthropic[index] ?? "answers"))
    // Types are widened: here only the books matter.
    const stack = recipe.policies.map((name) => policies[name]) as Array<(self: Stack) => Stack>
    stack.splice(
      recipe.budget,
      0,
      (self) =>
        Budget.enforce(self, { maxOutputTokens: 100 }) as Llm.Llm<LlmError.LlmError, Services | Budget.Budget> as Stack
    )
    const llm = stack.reduce((self, policy) => policy(self), openai as Stack) as Llm.Llm<
      LlmError.LlmError,
      Services | Budget.Budget
    >
    return yield* Effect.gen(function*() {
      const call = (recipe.mode === "whole"
        ? Effect.asVoid(Llm.generateText(llm, question))
        : Stream.runDrain(Llm.streamText(llm, question))).pipe(receipts.observe, probe.watch)
      const fibers = yield* Effect.forEach(
        Array.from({ length: recipe.calls }),
        () => Effect.forkChild(call, { startImmediately: true })
      )
      if (recipe.leavesAfter > 0) {
        yield* TestClock.adjust(recipe.leavesAfter)
        yield* Fiber.interruptAll(fibers)
      }
      for (let minute = 0; minute < 5; minute++) yield* TestClock.adjust("1 minute")
      // A stack without limits may wait for ever: that is what it was told.
      yield* Fiber.interruptAll(fibers)

      store.check()
      const [[usd, heldUsd], [, heldRequests]] = (yield* books()) as [[number, number], [number, number]]
      assert.deepStrictEqual([heldUsd, heldRequests], [0, 0])
      // What the receipts say is what is in the books, to the micro-dollar.
      assert.strictEqual(receipts.seen.length, recipe.calls)
      const paid = receipts.seen.flatMap(({ attempts }) => attempts).filter(({ cost }) => cost !== undefined)
      assert.strictEqual(paid.reduce((sum, { cost }) => sum + cost!, 0), usd)
      assert.isAtMost(usd, Number(recipe.usd) * 1_000_000)
      const all = (yield* Budget.status()).find(({ resource }) => resource === "requests")!
      assert.strictEqual(all.used, paid.length)
      // Every request that was sent inside was paid for: outermost, all of them.
      if (recipe.budget >= recipe.policies.length) {
        assert.strictEqual(paid.length, first.calls.length + second.calls.length)
      }
      assert.deepStrictEqual([probe.timers(), probe.fibers()], [0, 0])
    }).pipe(
      Effect.provide([budget({ limits: limits(recipe.usd) }, store.layer), services(), first.layer, second.layer])
    )
  })

describe("budgets", () => {
  it.effect.prop(
    "are right in every composition of policies, whatever happens",
    [Arbitrary.schema(Recipe)],
    ([recipe]) => run(recipe),
    { timeout: 120_000, arbitrary: { runs: 1_500 } }
  )

  it.effect("of 10,000 calls at once, as many are admitted as there is room for", () =>
    Effect.gen(function*() {
      const store = watched()
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("Hi", { delay: "1 second" }))
      const llm = openai.pipe(Budget.enforce())
      yield* Effect.gen(function*() {
        const fiber = yield* Llm.generateText(llm, question).pipe(
          Effect.match({ onFailure: (error) => error._tag, onSuccess: () => "served" }),
          Effect.replicateEffect(10_000, { concurrency: "unbounded" }),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 minute")
        const outcomes = yield* Fiber.join(fiber)
        assert.strictEqual(outcomes.filter((outcome) => outcome === "served").length, 3_000)
        assert.strictEqual(outcomes.filter((outcome) => outcome === "BudgetExceeded").length, 7_000)
        assert.strictEqual(provider.calls.length, 3_000)
        assert.deepStrictEqual(yield* books(), [[3_000, 0]])
        store.check()
      }).pipe(Effect.provide([
        budget({ limits: [{ resource: "requests", limit: 3_000, window: Budget.calendar("day") }] }, store.layer),
        provider.layer
      ]))
    }), 60_000)

  it.effect(
    "1,000 streams, each left at a time of its own: nothing is held, and each is booked once",
    () =>
      Effect.gen(function*() {
        const store = watched()
        const script = () => ScriptedProvider.text(text, { delay: "1 second", between: "1 second" })
        const llm = openai.pipe(
          Llm.timeout({ firstPart: "10 seconds", total: "1 minute" }),
          Budget.enforce({ maxOutputTokens: 100 })
        )
        yield* Effect.gen(function*() {
          const receipts = makeReceipts()
          const fibers = yield* Effect.forEach(Array.from({ length: 1_000 }), () =>
            Effect.gen(function*() {
              const leaves = yield* Random.nextIntBetween(0, 9_000)
              const reading = yield* Stream.runDrain(Llm.streamText(llm, question)).pipe(
                receipts.observe,
                Effect.forkChild({ startImmediately: true })
              )
              yield* Effect.sleep(leaves)
              yield* Fiber.interrupt(reading)
            }).pipe(Effect.forkChild({ startImmediately: true })))
          for (let n = 0; n < 100; n++) yield* TestClock.adjust("100 millis")
          for (const fiber of fibers) yield* Fiber.join(fiber)
          store.check()
          const cost = receipts.seen.reduce((sum, receipt) => sum + (receipt.cost ?? 0), 0)
          assert.strictEqual(store.reserved.size, 1_000)
          assert.deepStrictEqual(yield* books(), [[cost, 0]])
          const outcomes = new Set(receipts.seen.map(({ outcome }) => outcome))
          assert.deepStrictEqual([...outcomes].toSorted(), ["interrupted", "success"])
        }).pipe(Effect.provide([
          budget({ limits: [{ resource: "usd", limit: "1000", window: Budget.total }] }, store.layer),
          ScriptedProvider.layer(OpenAi, script)
        ]))
      }),
    60_000
  )

  it.effect("a loop that runs away stops at its limit, to the micro-dollar, and stops no one else", () =>
    Effect.gen(function*() {
      const usage = { inputTokens: { total: 10 }, outputTokens: { total: 100 } }
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("On and on", { usage }))
      const llm = openai.pipe(Budget.enforce({ maxOutputTokens: 100 }))
      const call = (session: string) =>
        Llm.generateText(llm, question).pipe(Attribution.annotate({ tags: { session } }))
      yield* Effect.gen(function*() {
        // Every call uses all that it was allowed to: 210 micro-dollars.
        const error = yield* Effect.flip(Effect.forever(call("mad")))
        assert.strictEqual(error._tag, "BudgetExceeded")
        assert.strictEqual(provider.calls.length, 100)
        assert.deepStrictEqual(yield* books({ tags: { session: "mad" } }), [[21_000, 0]])
        yield* call("sane")
        assert.deepStrictEqual(yield* books({ tags: { session: "sane" } }), [[210, 0]])
      }).pipe(Effect.provide([
        budget({ limits: [{ resource: "usd", limit: "0.021", window: Budget.total, scope: { tag: "session" } }] }),
        provider.layer
      ]))
    }))
})
