/**
 * Which of a service's states a call belongs to, a circuit or a gate: by default that of the models of the plan.
 */
import type { Call } from "../../core/Call.ts"
import * as Plan from "../../core/Plan.ts"

export interface SharedKey {
  readonly of: (call: Call) => string
  /** How a plan says it. */
  readonly detail: string
  /** The models of the plan, as `provider/model`. */
  readonly models: ReadonlyArray<string>
}

/** Throws a `RangeError` where there is no key. */
export const sharedKey = (
  name: string,
  plan: Plan.Plan,
  own: string | ((call: Call) => string) | undefined
): SharedKey => {
  const models = Plan.models(plan)
  const key = own ?? models.join("+")
  if (key === "") throw new RangeError(`${name}: key must not be empty, and the plan has no model to take it from`)
  return {
    of: typeof key === "function" ? key : () => key,
    detail: own === undefined ? "" : typeof own === "string" ? own : "by call",
    models
  }
}
