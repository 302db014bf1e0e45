import { assert, describe, it } from "@effect/vitest"
import { Schedule } from "effect"
import { Fallback, Llm, Plan, Retry } from "effect-bulwark"
import { anthropic, openai } from "./support/stack.ts"

const rulesOf = (plan: Plan.Plan): ReadonlyArray<string> => Plan.audit(plan).map((warning) => warning.rule)

const retry = Llm.retry(Retry.transient)
const total = Llm.timeout({ total: "60 seconds" })
const perAttempt = Llm.timeout({ firstPart: "10 seconds", idle: "15 seconds" })

/** A node by its name, for policies whatever they do. */
const named = (policy: string, ...children: ReadonlyArray<Plan.Plan>): Plan.Plan => Plan.policy(policy, { children })
const bounded = (plan: Plan.Plan): Plan.Plan => Plan.policy("timeout", { limits: ["total"], children: [plan] })

describe("Plan.audit", () => {
  it("has nothing to say of a good stack", () => {
    const good = openai.pipe(perAttempt, retry, Llm.orElse(anthropic.pipe(perAttempt, retry)), total)
    assert.deepStrictEqual(Plan.audit(good.plan), [])
    assert.deepStrictEqual(
      rulesOf(bounded(named(
        "cache",
        named(
          "budget",
          named(
            "restart",
            named("firstOf", named("breaker", named("retry", named("limiter", openai.plan))), anthropic.plan)
          )
        )
      ))),
      []
    )
  })

  const cases: ReadonlyArray<readonly [rule: string, plan: Plan.Plan]> = [
    ["noTotalTimeout", openai.plan],
    ["noTotalTimeout", Llm.orElse(total(openai), anthropic).plan],
    ["noTotalTimeout", perAttempt(openai).plan],
    ["noTotalTimeout", Llm.standard({ models: [openai], timeout: { total: Infinity } }).plan],
    ["unboundedRetry", total(openai.pipe(Llm.retry(Schedule.spaced("1 second")))).plan],
    ["nestedRetries", total(openai.pipe(retry, perAttempt, retry)).plan],
    ["retryOutsideBreaker", bounded(named("retry", named("breaker", openai.plan)))],
    ["retryAroundFallback", total(openai.pipe(Llm.orElse(anthropic), retry)).plan],
    ["retryAroundFallback", total(retry(Fallback.firstOf([openai, anthropic]))).plan],
    ["retryInsideHedge", bounded(named("hedge", named("retry", openai.plan)))],
    ["limitAroundFallback", total(openai.pipe(Llm.orElse(anthropic), perAttempt)).plan],
    [
      "limitAroundLimiter",
      bounded(Plan.policy("timeout", { limits: ["firstPart"], children: [named("limiter", openai.plan)] }))
    ],
    ["limiterAroundRetry", bounded(named("limiter", named("retry", openai.plan)))],
    ["breakerAroundFallback", bounded(named("breaker", named("firstOf", openai.plan, anthropic.plan)))],
    ["resumeInsideFallback", bounded(named("orElse", named("restart", openai.plan, openai.plan), anthropic.plan))],
    ["retryBudgetInsideRetry", bounded(named("retry", named("retryBudget", openai.plan)))],
    ["cacheInsideBudget", bounded(named("budget", named("cache", openai.plan)))],
    ["nestedCaches", bounded(named("cache", named("orElse", named("cache", openai.plan), anthropic.plan)))],
    ["cacheInsideHedge", bounded(named("hedge", named("cache", openai.plan)))],
    ["cacheInsideBreaker", bounded(named("breaker", named("retry", named("cache", openai.plan))))],
    ["cacheInsideLimiter", bounded(named("limiter", named("cache", openai.plan)))],
    ["nestedBudgets", bounded(named("budget", named("budget", openai.plan)))],
    ["degradedInsideBudget", bounded(named("budget", named("orElseSucceed", openai.plan)))],
    ["budgetInsideRetry", bounded(named("retry", named("budget", openai.plan)))],
    ["unreachable", total(openai.pipe(Llm.orElseSucceed(() => ""), Llm.orElse(anthropic))).plan]
  ]

  it.each(cases)("%s", (rule, plan) => {
    const warnings = Plan.audit(plan)
    assert.deepStrictEqual(warnings.map((warning) => warning.rule), [rule])
    assert.isTrue(warnings[0]!.message.length > 20)
  })

  it("tells all that is wrong at once", () => {
    assert.deepStrictEqual(rulesOf(openai.pipe(retry, Llm.orElse(anthropic), retry).plan), [
      "noTotalTimeout",
      "nestedRetries",
      "retryAroundFallback"
    ])
  })
})
