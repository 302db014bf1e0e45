/**
 * The stack that stands before the wall: `Llm.standard` with one fallback, and everything else at its default.
 */
import { Duration, type Layer, Schedule } from "effect"
import { type Breaker, Llm, type LlmError, type RetryBudget } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"

export class Primary extends Provider.Service<Primary>()("primary") {}
export class Backup extends Provider.Service<Backup>()("backup") {}

/** What the stacks of the wall may fail with and may need. Those that are broken on purpose need less. */
export type Stack = Llm.Llm<LlmError.LlmError, Primary | Backup | Breaker.Breaker | RetryBudget.RetryBudget>

/** What a scenario says of the stack; all else is as it comes. */
export interface Choice {
  /** What happens when an answer breaks off. Default: `restart`. */
  readonly resume?: "restart" | "continue" | false | undefined
  /** Without limits on first part and silence, a full answer is asked for in one piece. */
  readonly inOnePiece?: boolean | undefined
}

/** A stack, and what keeps its circuits and its budget. */
export interface Standing {
  readonly llm: Stack
  readonly services: Layer.Layer<Breaker.Breaker | RetryBudget.RetryBudget>
}

export type StackOf = (scale: number, choice: Choice) => Standing

export const primary = Llm.model(Primary, "primary")
export const backup = Llm.model(Backup, "backup")

const models = [primary, backup] as const

/** The retries of `Retry.transient`, in a fraction of their time. */
export const transientIn = (scale: number): Schedule.Schedule<Duration.Duration> =>
  Schedule.min([
    Schedule.exponential(Duration.millis(500 / scale)),
    Schedule.spaced(Duration.millis(20_000 / scale))
  ]).pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))

const seconds = (published: number, scale: number): Duration.Duration => Duration.millis(published * 1_000 / scale)

export const servicesIn = (scale: number): Standing["services"] =>
  scale === 1
    ? Llm.layerStandard()
    : Llm.layerStandard({
      breaker: { openDuration: seconds(15, scale) },
      retryBudget: { perSecond: 0.5 * scale }
    })

/** The stack under test. At its published times nothing is set that a user would not set. */
export const standard: StackOf = (scale, { inOnePiece, resume = "restart" }) => ({
  services: servicesIn(scale),
  llm: inOnePiece === true
    ? Llm.standard({
      models,
      resume,
      timeout: { firstPart: Duration.infinity, idle: Duration.infinity, total: seconds(120, scale) },
      retry: transientIn(scale)
    })
    : scale === 1
    ? Llm.standard({ models, resume })
    : Llm.standard({
      models,
      resume,
      timeout: { firstPart: seconds(10, scale), idle: seconds(15, scale), total: seconds(120, scale) },
      retry: transientIn(scale)
    })
})
