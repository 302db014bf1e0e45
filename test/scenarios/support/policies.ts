/**
 * Every policy there is, each in its plainest form, to be put inside and around each other.
 */
import { Effect, Layer, Schedule } from "effect"
import { Breaker, Fallback, Hedge, Limiter, Llm, type LlmError, Resume, RetryBudget } from "effect-bulwark"
import { type Anthropic, anthropic, type OpenAi } from "../../core/support/stack.ts"

/** What the policies below need. */
export type Services = OpenAi | Anthropic | Breaker.Breaker | Limiter.Limiter | RetryBudget.RetryBudget

/** Types are widened: here only counts matter. */
export type Stack = Llm.Llm<LlmError.LlmError, Services>

export const policies = {
  retry: (self: Stack): Stack => Llm.retry(self, Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))),
  timeout: (self: Stack): Stack => Llm.timeout(self, { firstPart: "10 seconds", idle: "10 seconds" }),
  total: (self: Stack): Stack => Llm.timeout(self, { total: "60 seconds" }),
  orElse: (self: Stack): Stack => Llm.orElse(self, anthropic),
  orElseOn: (self: Stack): Stack => Llm.orElseOn(self, ["Overloaded", "CircuitOpen", "Saturated"], anthropic),
  firstOf: (self: Stack): Stack => Fallback.firstOf([self, anthropic]),
  cascade: (self: Stack): Stack =>
    Fallback.cascade([{ llm: self, quality: 1, price: 1 }, { llm: anthropic, quality: 2, price: 2 }]),
  orElseSucceed: (self: Stack): Stack => Llm.orElseSucceed(self, (error) => `no answer: ${error._tag}`),
  whole: (self: Stack): Stack => Llm.whole(self),
  breaker: (self: Stack): Stack => Breaker.guard(self),
  limiter: (self: Stack): Stack => Limiter.enforce(self),
  hedge: (self: Stack): Stack => Hedge.hedge(self, { after: "5 seconds", maxExtra: 1 }),
  retryBudget: (self: Stack): Stack => RetryBudget.guard(self),
  restart: (self: Stack): Stack => Resume.restart(self, anthropic),
  continue: (self: Stack): Stack => Resume.continue(self, anthropic)
} satisfies Record<string, (self: Stack) => Stack>

export type PolicyName = keyof typeof policies

export const policyNames = Object.keys(policies) as ReadonlyArray<PolicyName>

/** Circuits, permits and budgets of their own, for one test. */
export const services = (): Layer.Layer<Breaker.Breaker | Limiter.Limiter | RetryBudget.RetryBudget> =>
  Layer.mergeAll(
    Breaker.layerMemory({ trip: Breaker.consecutive(2) }),
    Limiter.layerMemory({ limits: { concurrency: 2 } }),
    RetryBudget.layerMemory()
  )

/** How many permits are taken, whatever they are for. */
export const permitsTaken = (llm: Stack): Effect.Effect<number, never, Limiter.Limiter> =>
  Effect.flatMap(Limiter.Limiter, (limiter) =>
    Effect.map(
      Effect.forEach(limiterKeys(llm.plan), (key) => limiter.status(key)),
      (all) => all.reduce((sum, status) => sum + status.inFlight, 0)
    ))

const limiterKeys = (plan: Llm.Any["plan"]): ReadonlyArray<string> => {
  const below = plan.children.flatMap(limiterKeys)
  return plan.policy === "limiter" ? [modelsOf(plan).join("+"), ...below] : below
}

const modelsOf = (plan: Llm.Any["plan"]): ReadonlyArray<string> =>
  plan.policy === "model" ? [plan.detail] : plan.children.flatMap(modelsOf)
