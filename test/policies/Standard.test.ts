import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Schedule } from "effect"
import { Breaker, Fallback, Limiter, Llm, LlmError, Plan, Resume, Retry, RetryBudget } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as Run from "../core/support/run.ts"
import { Anthropic, anthropic, OpenAi, openai } from "../core/support/stack.ts"

const kinds = { "a full answer": Run.text, "a stream": Run.stream } as const
const ok = ScriptedProvider.text("330 m")
const other = ScriptedProvider.text("Bonjour")

/** Everything a stack can need, anew for each call. */
const provided = <E>(
  llm: Llm.Llm<E, OpenAi | Anthropic | Breaker.Breaker | RetryBudget.RetryBudget | Limiter.Limiter>
): Llm.Llm<E, OpenAi | Anthropic> =>
  Llm.make({
    plan: llm.plan,
    open: (call) =>
      Effect.flatMap(
        Layer.build(Layer.merge(Llm.layerStandard(), Limiter.layerMemory({ limits: { concurrency: 4 } }))),
        (context) => Effect.provideContext(llm.open(call), context)
      )
  })

const both = provided(Llm.standard({ models: [openai, anthropic] }))
const one = provided(Llm.standard({ models: [openai] }))

for (const [kind, run] of Object.entries(kinds)) {
  describe(`Llm.standard: ${kind}`, () => {
    it.effect("retries what is transient, at the same provider", () =>
      Effect.gen(function*() {
        for (
          const tag of ["ServerError", "Overloaded", "ConnectionFailed", "RateLimited", "MalformedResponse"] as const
        ) {
          const ran = yield* run(both, { openai: [ScriptedProvider.fail(tag), ok] })
          assert.deepStrictEqual(ran.exit, Exit.succeed("330 m"))
          assert.deepStrictEqual([ran.openai.length, ran.anthropic.length], [2, 0])
        }
      }))

    it.effect("asks the next model after two retries", () =>
      Effect.gen(function*() {
        const ran = yield* run(both, { openai: () => ScriptedProvider.fail("Overloaded"), anthropic: [other] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("Bonjour"))
        assert.deepStrictEqual([ran.openai.length, ran.anthropic.length], [3, 1])
        assert.strictEqual(ran.receipt.provider, "anthropic")
      }))

    it.effect("waits for as long as a provider asks, up to 20 seconds, or what it is told", () =>
      Effect.gen(function*() {
        const limited = ScriptedProvider.fail(new LlmError.RateLimited({ retryAfter: Duration.seconds(25) }))
        const script = { openai: [limited, ok], anthropic: [other] }
        assert.deepStrictEqual((yield* run(both, script)).exit, Exit.succeed("Bonjour"))
        const patient = provided(Llm.standard({ models: [openai, anthropic], maxRetryAfter: "30 seconds" }))
        assert.deepStrictEqual((yield* run(patient, script)).exit, Exit.succeed("330 m"))
      }))

    it.effect("gives up a silent model after 10 seconds, once, and asks the next", () =>
      Effect.gen(function*() {
        const ran = yield* run(both, { openai: [ScriptedProvider.silence], anthropic: [other] })
        assert.deepStrictEqual(ran.exit, Exit.succeed("Bonjour"))
        assert.strictEqual(ran.openai.length, 1)
        assert.deepStrictEqual(Run.times(ran.anthropic), [10_000])
      }))

    it.effect("lets the last model think for as long as the call may last", () =>
      Effect.gen(function*() {
        const slow = ScriptedProvider.text("330 m", { delay: "100 seconds" })
        const last = yield* run(both, { openai: [ScriptedProvider.fail("QuotaExhausted")], anthropic: [slow] })
        assert.deepStrictEqual(last.exit, Exit.succeed("330 m"))
        const only = yield* run(one, { openai: [slow] })
        assert.deepStrictEqual(only.exit, Exit.succeed("330 m"))
        const silent = yield* run(one, { openai: [ScriptedProvider.silence] })
        assert.strictEqual(silent.receipt.outcome, "TimedOut")
        assert.strictEqual(silent.receipt.timings.totalMillis, 120_000)
      }))

    it.effect("sends a request that no model can help with once, and leaves it to the caller", () =>
      Effect.gen(function*() {
        for (const tag of ["InvalidRequest", "ContentFiltered"] as const) {
          const ran = yield* run(both, { openai: [ScriptedProvider.fail(tag)] })
          assert.strictEqual(ran.receipt.outcome, tag)
          assert.strictEqual(ran.openai.length + ran.anthropic.length, 1)
        }
      }))

    it.effect("asks the next model at once where a retry cannot help", () =>
      Effect.gen(function*() {
        for (
          const tag of ["ContextLengthExceeded", "QuotaExhausted", "AuthenticationFailed", "ModelNotFound"] as const
        ) {
          const ran = yield* run(both, { openai: [ScriptedProvider.fail(tag)], anthropic: [other] })
          assert.deepStrictEqual(Run.times(ran.anthropic).map((at) => at - Run.times(ran.openai)[0]!), [0])
        }
      }))

    it.effect("says in the end how each of them failed", () =>
      Effect.gen(function*() {
        const ran = yield* run(both, {
          openai: () => ScriptedProvider.fail("Overloaded"),
          anthropic: () => ScriptedProvider.fail("ServerError")
        })
        const error = yield* Effect.flip(ran.exit)
        assert(error._tag === "AllModelsExhausted")
        assert.deepStrictEqual(error.failures.map((failure) => failure._tag), ["Overloaded", "ServerError"])
        assert.strictEqual(error.attempts.length, 6)
        const single = yield* run(one, { openai: () => ScriptedProvider.fail("Overloaded") })
        assert.strictEqual(single.receipt.outcome, "Overloaded")
      }))

    it.effect("leaves nothing behind", () =>
      Effect.gen(function*() {
        const ran = yield* run(both, { openai: [ScriptedProvider.silence], anthropic: [ScriptedProvider.silence] })
        assert.deepStrictEqual([ran.probe.timers(), ran.probe.fibers()], [0, 0])
      }))
  })
}

describe("Llm.standard: a full answer that stalls", () => {
  const stalled = ScriptedProvider.breakOff(["330"], "stall")

  it.effect("is asked for again of the only model, and of another one where there is one", () =>
    Effect.gen(function*() {
      const only = yield* Run.text(one, { openai: [stalled, ok] })
      assert.deepStrictEqual(only.exit, Exit.succeed("330 m"))
      assert.strictEqual(only.openai.length, 2)
      const first = yield* Run.text(both, { openai: [stalled], anthropic: [other] })
      assert.deepStrictEqual(first.exit, Exit.succeed("Bonjour"))
      assert.strictEqual(first.openai.length, 1)
    }))
})

describe("Llm.standard: an answer that breaks off", () => {
  const cut = ScriptedProvider.breakOff(["330"])

  it.effect("is begun again by the next model where that is asked for", () =>
    Effect.gen(function*() {
      const llm = provided(Llm.standard({ models: [openai, anthropic], resume: "restart" }))
      const ran = yield* Run.parts(llm, { openai: [cut], anthropic: [other] })
      assert.deepStrictEqual(ran.shown, ["330", "<retract>", "Bonjour"])
      assert.strictEqual(ran.receipt.outcome, "success")
      assert.strictEqual(ran.receipt.provider, "anthropic")
    }))

  it.effect("is begun again by the only one, twice", () =>
    Effect.gen(function*() {
      const llm = provided(Llm.standard({ models: [openai], resume: "restart" }))
      const ran = yield* Run.parts(llm, { openai: [cut, cut, ok] })
      assert.deepStrictEqual(ran.shown, ["330", "<retract>", "330", "<retract>", "330 m"])
    }))

  it.effect("is continued where that is asked for", () =>
    Effect.gen(function*() {
      const llm = provided(Llm.standard({ models: [openai, anthropic], resume: "continue" }))
      const ran = yield* Run.parts(llm, { openai: [cut], anthropic: [ScriptedProvider.text(" metres")] })
      assert.deepStrictEqual(ran.shown.join(""), "330 metres")
    }))

  it.effect("stays broken off otherwise", () =>
    Effect.gen(function*() {
      const ran = yield* Run.parts(both, { openai: [cut] })
      assert.deepStrictEqual(ran.shown, ["330"])
      assert.strictEqual(ran.receipt.outcome, "StreamInterrupted")
    }))
})

describe("Llm.standard: many calls", () => {
  it.effect("leaves a model alone that is down", () =>
    Effect.gen(function*() {
      const first = ScriptedProvider.make(OpenAi, () => ScriptedProvider.fail("QuotaExhausted"))
      const llm = Llm.standard({ models: [openai, anthropic] })
      yield* Effect.replicateEffect(Llm.generateText(llm, { prompt: "?" }), 20).pipe(
        Effect.provide([Llm.layerStandard(), first.layer, ScriptedProvider.layer(Anthropic, () => other)])
      )
      assert.strictEqual(first.calls.length, 5)
    }))
})

describe("Llm.standard: its plan", () => {
  it("is the one that is written out in the documentation", () => {
    const first = openai.pipe(
      Llm.timeout({ firstPart: "10 seconds", idle: "15 seconds" }),
      Llm.retry(Retry.transient, { while: (error: LlmError.LlmError) => LlmError.isTransient(error) }),
      Breaker.guard()
    )
    const last = anthropic.pipe(Llm.timeout({ idle: "15 seconds" }), Llm.retry(Retry.transient), Breaker.guard())
    const byHand = Fallback.firstOf([first, last]).pipe(
      Resume.restart(last, { times: 2 }),
      RetryBudget.guard(),
      Llm.timeout({ total: "2 minutes" })
    )
    assert.strictEqual(
      String(Llm.standard({ models: [openai, anthropic], resume: "restart" })),
      String(byHand)
    )
  })

  it("has what is asked for, and not what is left out", () => {
    const nodes = (plan: Plan.Plan): ReadonlyArray<string> => [plan.policy, ...plan.children.flatMap(nodes)]
    const policiesOf = (llm: Llm.Any) => nodes(llm.plan)
    assert.deepStrictEqual(policiesOf(Llm.standard({ models: [openai] })), [
      "timeout",
      "retryBudget",
      "breaker",
      "retry",
      "timeout",
      "model"
    ])
    assert.deepStrictEqual(
      policiesOf(Llm.standard({ models: [openai], limiter: true, hedge: { after: "2 seconds" } })),
      ["timeout", "retryBudget", "breaker", "retry", "hedge", "limiter", "timeout", "model"]
    )
    assert.deepStrictEqual(
      policiesOf(Llm.standard({
        models: [openai],
        breaker: false,
        retry: false,
        retryBudget: false,
        limiter: false,
        hedge: false,
        resume: false,
        timeout: { idle: Infinity, total: "1 minute" }
      })),
      ["timeout", "timeout", "model"]
    )
    assert.strictEqual(
      Plan.worstCase(Llm.standard({ models: [openai, anthropic], retry: Schedule.recurs(1) }).plan),
      4
    )
  })

  it("hands on what its policies are told", () => {
    const llm = Llm.standard({ models: [openai], limiter: { key: "shared" }, breaker: { key: "circuit" } })
    assert.include(String(llm), "limiter shared")
    assert.include(String(llm), "breaker circuit")
  })

  it("breaks none of the rules", () => {
    for (const models of [[openai], [openai, anthropic], [openai, anthropic, openai]] as const) {
      for (const resume of ["restart", "continue", false] as const) {
        const llm = Llm.standard({ models, resume, limiter: true, hedge: { after: "2 seconds" } })
        assert.deepStrictEqual(Plan.audit(llm.plan), [])
      }
    }
  })
})
