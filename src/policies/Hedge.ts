/**
 * A second request beside the first, where the first takes longer than nearly all do.
 *
 * Some calls hang where the next one would be answered at once: a slow machine, a full queue, a lost packet. {@link hedge}
 * asks the same model a second time when the first request has not opened after a while. The one that opens first
 * is the answer; the other is cancelled.
 *
 * - It waits for a time of your choice, or until the call is slower than nearly all before it ({@link quantile}).
 * - The extra load has a hard cap: `maxExtra` of the calls (2 % of them by default), and never more than the `RetryBudget`
 *   has permissions for. Where everything is slow, or nothing works, hedges would only make it worse.
 * - A failure before the second request is sent fails at once: trying again is what `Llm.retry` is for. Once there are two,
 *   a failure of one waits for the other; where both fail, the call fails with the error of the later one.
 * - Exactly one answer is handed on, and nothing of the other: neither its parts nor its connection.
 *
 * **What goes inside, what outside**
 *
 * Inside: one model. Outside: retries, limits on time, the circuit breaker (it should see one outcome a call), and
 * `RetryBudget.guard`. Limits for a single request (`Llm.timeout({ firstPart })`) may go on either side: inside, they bound each
 * of the two; outside, both together.
 *
 * **Gotchas**
 *
 * - What is cancelled is paid for all the same by most providers' rules, and its usage is unknown: it stands in the receipt as
 *   an attempt that was `interrupted`, without usage.
 * - A model that calls tools which the *provider* runs may run them twice.
 * - Nothing is sent twice while a circuit around it is being probed.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Scope from "effect/Scope"
import type { Call, ExtraCalls } from "../core/Call.ts"
import type { Recorder } from "../core/internal/recorder.ts"
import * as Llm from "../core/Llm.ts"
import type { Opened } from "../core/Opened.ts"
import * as Plan from "../core/Plan.ts"
import { noTime } from "./internal/giveUp.ts"
import { Allowance } from "./internal/hedgeAllowance.ts"
import { joined } from "./internal/hedgePulse.ts"
import { openUntil } from "./internal/reserve.ts"
import { cover, payIn } from "./internal/retryBudgetCover.ts"
import { RetryBudget } from "./RetryBudget.ts"

/**
 * A wait that follows the calls before: made by {@link quantile}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quantile {
  readonly _tag: "Quantile"
  /** The share of the calls that open sooner, from 0 to 1. */
  readonly quantile: number
  /** The least wait, in milliseconds. */
  readonly minimumMillis: number
  /** How many calls it looks back on. */
  readonly window: number
  /** How many calls it has to have seen before it sends anything twice. */
  readonly warmUp: number
}

/**
 * Waits until a call has taken longer to open than a share of the calls before.
 *
 * **Details**
 *
 * The time is measured from the call to its first part, or to its whole answer where that is asked for; the two are
 * kept apart. The calls that fail do not count. The fewer second requests are left to send, the longer it waits for one, up to
 * twice as long: so they go to those that hang, and not to those that are a little late.
 *
 * - `minimum`: the least wait. Default: 100 milliseconds.
 * - `window`: how many calls it looks back on. Default: 200.
 * - `warmUp`: how many calls it has to have seen before it sends anything twice. Default: 20.
 *
 * **Example** (Slower than 95 calls in 100)
 *
 * ```ts
 * import { Hedge } from "effect-bulwark"
 *
 * Hedge.quantile(0.95, { minimum: "300 millis" }).minimumMillis // => 300
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const quantile = (
  quantile: number,
  options?: {
    readonly minimum?: Duration.Input | undefined
    readonly window?: number | undefined
    readonly warmUp?: number | undefined
  }
): Quantile => {
  const minimum = Duration.fromInputUnsafe(options?.minimum ?? "100 millis")
  const minimumMillis = Duration.toMillis(minimum)
  const window = options?.window ?? 200
  const warmUp = options?.warmUp ?? Math.min(20, window)
  if (!(quantile > 0 && quantile < 1)) {
    throw new RangeError(`Hedge.quantile: the quantile must lie between 0 and 1, got ${quantile}`)
  }
  if (!(minimumMillis >= 0 && Number.isFinite(minimumMillis))) {
    throw new RangeError(`Hedge.quantile: minimum must be finite and not negative, got ${Duration.format(minimum)}`)
  }
  if (!(Number.isInteger(window) && window >= 1)) {
    throw new RangeError(`Hedge.quantile: window must be a whole number of at least 1, got ${window}`)
  }
  if (!(Number.isInteger(warmUp) && warmUp >= 1 && warmUp <= window)) {
    throw new RangeError(
      `Hedge.quantile: warmUp must be a whole number from 1 to the window (${window}), got ${warmUp}`
    )
  }
  return { _tag: "Quantile", quantile, minimumMillis, window, warmUp }
}

const isQuantile = (after: Duration.Input | Quantile): after is Quantile =>
  typeof after === "object" && "_tag" in after && after._tag === "Quantile"

/**
 * Settings of {@link hedge}.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How long the first request has to itself: a time, or a {@link quantile} of the calls before. */
  readonly after: Duration.Input | Quantile
  /**
   * How many second requests there may be, as a share of the calls, above 0 and at most 1. Default: 0.02. Each call pays for so
   * much of one; up to 5 are saved for later, and none is there to begin with.
   */
  readonly maxExtra?: number | undefined
}

/**
 * Asks a second time when the first request has not opened after a while, and takes the answer that opens first.
 *
 * **Details**
 *
 * It needs a `RetryBudget`: that of the `RetryBudget.guard` around it, where there is one, and otherwise it is one itself for what
 * is inside, with the key `default`. What it knows of the calls before belongs to the `RetryBudget`'s layer and to this
 * one policy: a model that is put into two stacks with the same `hedged` model in them shares it.
 *
 * **Example** (The first request hangs)
 *
 * ```ts
 * import { Llm, RetryBudget } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * // A `maxExtra` for an example: every call may be sent twice.
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.hedge({ after: "50 millis", maxExtra: 1 }))
 *
 * const openai = ScriptedProvider.make(OpenAi, [ScriptedProvider.silence, ScriptedProvider.text("Hello!")])
 *
 * const answer = await Effect.runPromise(
 *   Llm.generateText(llm, { prompt: "Hello?" }).pipe(Effect.provide([openai.layer, RetryBudget.layerMemory()]))
 * )
 *
 * answer.text // => "Hello!"
 * answer.receipt.attempts.map((attempt) => attempt.outcome) // => ["interrupted", "success"]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const hedge: {
  (options: Options): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | RetryBudget>
  <E, R>(self: Llm.Llm<E, R>, options: Options): Llm.Llm<E, R | RetryBudget>
} = dual(2, <E, R>(self: Llm.Llm<E, R>, options: Options): Llm.Llm<E, R | RetryBudget> => {
  const wait = waitOf(options.after)
  const maxExtra = options.maxExtra ?? 0.02
  if (!(maxExtra > 0 && maxExtra <= 1)) {
    throw new RangeError(`Llm.hedge: maxExtra must be above 0 and at most 1, got ${maxExtra}`)
  }
  // By budget, so that two layers (two tests, two tenants) know nothing of each other.
  const allowances = new WeakMap<RetryBudget["Service"], Allowance>()
  return Llm.make({
    plan: Plan.policy("hedge", {
      detail: `after ${wait.label}, at most ${Number((maxExtra * 100).toPrecision(6))} % extra`,
      repeats: 2,
      children: [self.plan]
    }),
    open: (call) =>
      Effect.flatMap(RetryBudget, (budget) => {
        let allowance = allowances.get(budget)
        if (allowance === undefined) allowances.set(budget, allowance = new Allowance(maxExtra, wait.window))
        if (call.extraCalls !== undefined) return open(self, call, call.extraCalls, allowance, wait)
        const bucket = budget.bucket("default")
        return Effect.tap(open(self, cover(call, bucket), bucket, allowance, wait), () => payIn(call, bucket))
      })
  })
})

interface Wait {
  readonly label: string
  readonly window: number | undefined
  /** How long to wait in this call, in milliseconds; nothing where there is too little to go by. */
  readonly millis: (call: Call, allowance: Allowance) => number | undefined
}

const waitOf = (after: Duration.Input | Quantile): Wait => {
  if (isQuantile(after)) {
    return {
      label: `quantile ${after.quantile}`,
      window: after.window,
      millis: (call, allowance) => {
        const latencies = allowance.latencies(call.mode)
        return latencies === undefined || latencies.size < after.warmUp
          ? undefined
          : Math.max(after.minimumMillis, latencies.quantile(after.quantile)) * (1 + allowance.scarcity)
      }
    }
  }
  const duration = Duration.fromInputUnsafe(after)
  const millis = Duration.toMillis(duration)
  if (!(millis > 0 && Number.isFinite(millis))) {
    throw new RangeError(`Llm.hedge: after must be finite and longer than zero, got ${Duration.format(duration)}`)
  }
  return { label: Duration.format(duration), window: undefined, millis: () => millis }
}

const open = <E, R>(
  self: Llm.Llm<E, R>,
  call: Call,
  extraCalls: ExtraCalls,
  allowance: Allowance,
  wait: Wait
): Effect.Effect<Opened, E, R | Scope.Scope> => {
  const startedAt = call.recorder.now()
  const latencies = allowance.latencies(call.mode)
  allowance.earn()
  const after = call.single ? undefined : wait.millis(call, allowance)
  if (after === undefined || startedAt + after >= openUntil(call)) {
    return latencies === undefined ? self.open(call) : Effect.map(self.open(call), (opened) => {
      latencies.add(call.recorder.now() - startedAt)
      return opened
    })
  }

  const shared = call.pulse === undefined ? call : { ...call, pulse: joined(call.pulse) }
  let running = 0
  let over = false
  let first: Recorder | undefined
  let raced = false

  const branch = (): Effect.Effect<Opened, E, R | Scope.Scope> => {
    const recorder = call.recorder.branch()
    first ??= recorder
    running++
    return Effect.catch(
      Llm.attempt(Effect.flatMap(self.open({ ...shared, recorder }), (opened) => {
        // Both may open at once. Whoever comes second stays where it is, and is closed with the race.
        if (over) return Effect.never
        over = true
        call.recorder.adopt(recorder)
        if (raced) call.recorder.note({ _tag: "Hedged", winner: recorder === first ? "first" : "second" })
        // Of a first request that was not waited for, it is known to take no less.
        latencies?.add(call.recorder.now() - startedAt)
        return Effect.succeed(opened)
      })),
      // The last one to fail decides; until then its failure may yet be made good.
      (error) => {
        if (--running > 0) return Effect.never
        over = true
        return Effect.fail(error)
      }
    )
  }

  const secondAtOnce = Effect.suspend((): Effect.Effect<Opened, E, R | Scope.Scope> => {
    // The race may be decided already, and this side of it not stopped yet.
    if (over || !allowance.take()) return Effect.never
    return Effect.flatMap(extraCalls.withdraw, (granted): Effect.Effect<Opened, E, R | Scope.Scope> => {
      if (over || !granted) {
        allowance.giveBack()
        return Effect.never
      }
      raced = true
      call.recorder.event("hedge", "slow", call.recorder.now() - startedAt)
      return branch()
    })
  })

  /** The second request is due when the first one has had its time: what waits for its turn has not begun. */
  const due: Effect.Effect<Opened, E, R | Scope.Scope> = Effect.suspend(() => {
    const began = first?.attempts[0]?.startedAt
    const left = began === undefined ? after : began + after - call.recorder.now()
    return left > noTime ? Effect.andThen(Effect.sleep(left), due) : secondAtOnce
  })
  const second = Effect.andThen(Effect.sleep(after), queues(self.plan) ? due : secondAtOnce)
  return Effect.raceFirst(Effect.suspend(branch), second)
}

/** Whether calls may wait for their turn before their request begins. */
const queues = (plan: Plan.Plan): boolean => plan.policy === "limiter" || plan.children.some(queues)
