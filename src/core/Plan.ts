/**
 * The policies around a model, as data: what `Llm` values are made of, printable and countable before any call is made.
 *
 * **Details**
 *
 * Each policy adds one node. {@link render} prints the tree, outermost policy first; {@link worstCase} counts how many
 * provider calls one logical call can lead to, which is where nested retries show; {@link audit} warns of bad orders.
 *
 * @since 0.1.0
 */
import * as Audit from "./internal/audit.ts"
import { mergeSettings, type Settings, type Target } from "./internal/request.ts"
import { targetOf } from "./internal/target.ts"

/**
 * One node of a plan.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  /** The policy's name, or `model`. */
  readonly policy: string
  /** Its settings, in words. */
  readonly detail: string
  /**
   * How many times each child can be run in one pass. `Infinity` where there is no bound, or where it cannot be told in
   * advance.
   */
  readonly repeats: number
  /** The limits on time that it sets, where it sets any. */
  readonly limits?: ReadonlyArray<"connect" | "firstPart" | "idle" | "total"> | undefined
  /** Of a model: the settings that it is asked with, before those of the call itself. */
  readonly settings?: Settings | undefined
  /** What the policy is wrapped around, in the order in which they are tried. */
  readonly children: ReadonlyArray<Plan>
}

/**
 * A leaf: one model of one provider, one provider call.
 *
 * @category constructors
 * @since 0.1.0
 */
export const model = (provider: string, id: string, settings?: Settings): Plan => ({
  policy: "model",
  detail: `${provider}/${id}`,
  repeats: 1,
  ...(settings === undefined ? undefined : { settings }),
  children: []
})

/**
 * The same plan, each model of which is asked with these settings on top of its own.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withSettings = (self: Plan, settings: Settings): Plan =>
  self.policy === "model"
    ? { ...self, settings: mergeSettings(self.settings ?? {}, settings) }
    : { ...self, children: self.children.map((child) => withSettings(child, settings)) }

/**
 * A policy around one or more plans.
 *
 * @category constructors
 * @since 0.1.0
 */
export const policy = (
  name: string,
  options: {
    readonly detail?: string | undefined
    readonly repeats?: number | undefined
    readonly limits?: Plan["limits"]
    readonly children: ReadonlyArray<Plan>
  }
): Plan => ({
  policy: name,
  detail: options.detail ?? "",
  repeats: options.repeats ?? 1,
  ...(options.limits === undefined ? undefined : { limits: options.limits }),
  children: options.children
})

/**
 * The most provider calls that one logical call can lead to; `Infinity` where nothing bounds them.
 *
 * **Example** (Retries inside a fallback)
 *
 * ```ts
 * import { Plan } from "effect-bulwark"
 *
 * Plan.worstCase(Plan.policy("orElse", {
 *   children: [
 *     Plan.policy("retry", { repeats: 3, children: [Plan.model("openai", "gpt-5-mini")] }),
 *     Plan.model("anthropic", "claude-haiku-4-5")
 *   ]
 * }))
 * // => 4
 * ```
 *
 * @category counting
 * @since 0.1.0
 */
export const worstCase = (plan: Plan): number => {
  if (plan.policy === "model") return 1
  const once = plan.children.reduce((calls, child) => calls + worstCase(child), 0)
  return once === 0 ? 0 : once * plan.repeats
}

/**
 * The models of a plan, as `provider/model`, in the order in which they are tried.
 *
 * @category getters
 * @since 0.1.0
 */
export const models = (plan: Plan): ReadonlyArray<string> =>
  plan.policy === "model" ? [plan.detail] : plan.children.flatMap(models)

/**
 * The model of a plan that is asked first, where it has one.
 *
 * **Example** (Who is asked first)
 *
 * ```ts
 * import { Plan } from "effect-bulwark"
 *
 * const plan = Plan.policy("orElse", {
 *   children: [Plan.model("openai", "gpt-5-mini"), Plan.model("anthropic", "claude-haiku-4-5")]
 * })
 *
 * Plan.first(plan) // => { provider: "openai", model: "gpt-5-mini" }
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const first = (plan: Plan): Target | undefined => {
  if (plan.policy === "model") return targetOf(plan.detail)
  for (const child of plan.children) {
    const found = first(child)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * A warning of {@link audit}.
 *
 * @category models
 * @since 0.1.0
 */
export type Warning = Audit.Warning

/**
 * Warns of orders of policies that are known to go wrong.
 *
 * **When to use**
 *
 * Use it in a test of your own stack, or when a program starts.
 *
 * **Details**
 *
 * The rules are listed in `docs/standard.md`, with what to do instead. A stack without warnings gives an empty list.
 *
 * **Example** (A retry in the wrong place)
 *
 * ```ts
 * import { Llm, Plan, Retry } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.orElse(Llm.model(Ollama, "llama3.3")),
 *   Llm.retry(Retry.transient)
 * )
 *
 * Plan.audit(llm.plan).map((warning) => warning.rule) // => ["noTotalTimeout", "retryAroundFallback"]
 * ```
 *
 * @category checking
 * @since 0.1.0
 */
export const audit = (plan: Plan): ReadonlyArray<Warning> => Audit.audit(plan)

const label = (plan: Plan): string =>
  plan.policy === "model" ? plan.detail : plan.detail === "" ? plan.policy : `${plan.policy} ${plan.detail}`

/**
 * Prints a plan as a tree, outermost policy first.
 *
 * **Example** (Printing a stack)
 *
 * ```ts
 * import { Plan } from "effect-bulwark"
 *
 * Plan.render(Plan.policy("retry", { detail: "up to 2 times", children: [Plan.model("openai", "gpt-5-mini")] }))
 * // => "retry up to 2 times\n└─ openai/gpt-5-mini"
 * ```
 *
 * @category printing
 * @since 0.1.0
 */
export const render = (plan: Plan): string => {
  const lines: Array<string> = [label(plan)]
  const walk = (children: ReadonlyArray<Plan>, indent: string): void => {
    children.forEach((child, index) => {
      const last = index === children.length - 1
      lines.push(`${indent}${last ? "└─ " : "├─ "}${label(child)}`)
      walk(child.children, `${indent}${last ? "   " : "│  "}`)
    })
  }
  walk(plan.children, "")
  return lines.join("\n")
}
