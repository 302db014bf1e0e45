/**
 * What is known to go wrong with some orders of policies, as rules over a plan.
 */

/** What the rules look at of a plan. */
interface Node {
  readonly policy: string
  readonly repeats: number
  readonly limits?: ReadonlyArray<string> | undefined
  readonly children: ReadonlyArray<Node>
}

export interface Warning {
  /** The name of the rule, stable across versions. */
  readonly rule: string
  /** What is wrong, and what to do about it. */
  readonly message: string
}

const fallbacks = ["orElse", "orElseOn", "firstOf", "cascade"]
const attemptLimits = ["connect", "firstPart", "idle"]

interface Place {
  readonly node: Node
  /** What it stands in, outermost first. */
  readonly around: ReadonlyArray<Node>
}

const places = (node: Node, around: ReadonlyArray<Node> = []): ReadonlyArray<Place> => [
  { node, around },
  ...node.children.flatMap((child) => places(child, [...around, node]))
]

const limits = (node: Node, names: ReadonlyArray<string>): boolean =>
  node.policy === "timeout" && (node.limits ?? []).some((limit) => names.includes(limit))

type Test = (node: Node) => boolean

const is = (...names: ReadonlyArray<string>): Test => (node) => names.includes(node.policy)

interface Rule extends Warning {
  readonly broken: (places: ReadonlyArray<Place>) => boolean
}

/** One policy stands, at any depth, inside another one. */
const inside = (inner: Test, outer: Test): Rule["broken"] => (places) =>
  places.some(({ around, node }) => inner(node) && around.some(outer))

const rules: ReadonlyArray<Rule> = [
  {
    rule: "noTotalTimeout",
    message: "a call can last without end: put a timeout with a `total` outermost",
    broken: (places) =>
      places.some(({ around, node }) => node.policy === "model" && !around.some((outer) => limits(outer, ["total"])))
  },
  {
    rule: "unboundedRetry",
    message: "a retry has no bound that can be told in advance: limit its schedule, with `Schedule.upTo({ times })`",
    broken: (places) => places.some(({ node }) => node.policy === "retry" && !Number.isFinite(node.repeats))
  },
  {
    rule: "nestedRetries",
    message: "a retry stands inside another: their attempts multiply; keep one, close to the model",
    broken: inside(is("retry"), is("retry"))
  },
  {
    rule: "retryOutsideBreaker",
    message:
      "a retry stands around a circuit breaker: it would knock at an open circuit; put the breaker around the retry",
    broken: inside(is("breaker"), is("retry"))
  },
  {
    rule: "retryAroundFallback",
    message: "a retry stands around a fallback: all models are asked again and again; put the retry around each model",
    broken: inside(is(...fallbacks), is("retry"))
  },
  {
    rule: "retryInsideHedge",
    message: "a hedge stands around a retry: the waits of one attempt look like slowness; put the hedge inside",
    broken: inside(is("retry"), is("hedge"))
  },
  {
    rule: "limitAroundFallback",
    message:
      "a limit on connecting, first part or silence stands around a fallback: a silent first model leaves the next no time; put it around each model",
    broken: inside(is(...fallbacks), (node) => limits(node, attemptLimits))
  },
  {
    rule: "limitAroundLimiter",
    message:
      "a limit on the first part stands around a limiter: waiting for a turn would look like silence; put the limiter around it",
    broken: inside(is("limiter"), (node) => limits(node, ["connect", "firstPart"]))
  },
  {
    rule: "limiterAroundRetry",
    message: "a limiter stands around a retry: it would hold its permit while nothing is sent; put it inside the retry",
    broken: inside(is("retry"), is("limiter"))
  },
  {
    rule: "breakerAroundFallback",
    message: "a circuit breaker stands around several models: one would cut off the others; put one around each",
    broken: inside(is(...fallbacks), is("breaker"))
  },
  {
    rule: "resumeInsideFallback",
    message:
      "a resume stands inside a fallback or a retry: it should go on from whatever they open; put it around them",
    broken: inside(is("restart", "continue"), is(...fallbacks, "retry", "breaker", "limiter"))
  },
  {
    rule: "retryBudgetInsideRetry",
    message: "a retry stands around a retry budget, and asks it nothing: put the budget around the retry",
    broken: inside(is("retryBudget"), is("retry", "hedge"))
  },
  {
    rule: "cacheInsideBudget",
    message:
      "a cache stands inside a budget: what costs nothing would be reserved for; put the cache around the budget",
    broken: inside(is("cache"), is("budget"))
  },
  {
    rule: "nestedCaches",
    message:
      "a cache stands inside another: both keep the same answers in one store, and those of the inner one would be kept as new; leave one out",
    broken: inside(is("cache"), is("cache"))
  },
  {
    rule: "cacheInsideHedge",
    message:
      "a hedge stands around a cache: its second request would share the first one; put the cache around the hedge",
    broken: inside(is("cache"), is("hedge"))
  },
  {
    rule: "cacheInsideBreaker",
    message:
      "a circuit breaker stands around a cache: what is kept would count as success, and hide that the model is down; put the cache around the breaker",
    broken: inside(is("cache"), is("breaker"))
  },
  {
    rule: "cacheInsideLimiter",
    message: "a limiter stands around a cache: what is kept would wait for its turn; put the cache around the limiter",
    broken: inside(is("cache"), is("limiter"))
  },
  {
    rule: "nestedBudgets",
    message: "a budget stands inside another: both are the same accounts, and the outer one keeps them; leave one out",
    broken: inside(is("budget"), is("budget"))
  },
  {
    rule: "degradedInsideBudget",
    message:
      "an answer without a model (`orElseSucceed`) stands inside a budget: what the budget refuses would come to it, which its type does not say; put it around the budget",
    broken: inside(is("orElseSucceed"), is("budget"))
  },
  {
    rule: "budgetInsideRetry",
    message: "a budget stands inside a retry or a fallback: it should account for them together; put it around them",
    broken: inside(is("budget"), is("retry", ...fallbacks))
  },
  {
    rule: "unreachable",
    message:
      "a policy that handles failures stands around one that leaves none (`orElseSucceed`): it never acts; put it inside",
    broken: inside(is("orElseSucceed"), is("retry", "breaker", ...fallbacks))
  }
]

/** The rules that a plan breaks. */
export const audit = (plan: Node): ReadonlyArray<Warning> => {
  const all = places(plan)
  return rules.filter((rule) => rule.broken(all)).map(({ message, rule }) => ({ rule, message }))
}
