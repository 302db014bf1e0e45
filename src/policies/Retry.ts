/**
 * Trying again, where trying again can help.
 *
 * {@link retry} runs an `Llm` again when it fails with something transient, on a `Schedule`. It is `Llm.retry` in the
 * namespace users import.
 *
 * - Only what is transient by the table in `docs/errors.md` is retried: a rate limit, an overload, a server error, a broken
 *   connection. A wrong key or an invalid request is not.
 * - Never after the first content part: by then the call is open, and a policy cannot reach it.
 * - Never earlier than the provider asked for (`retryAfter`), and a little later, each call at a time of its own. If that is longer than `maxRetryAfter`, or than the call has time
 *   for, it gives up at once, so that a fallback around it can run.
 *
 * - One hint holds for all: while an account has been told to wait, no other call of it is sent either, and the retries of all
 *   of them wait that long, and a little longer, each for a time of its own.
 * - Not while a circuit around it is being probed: a probe is one request.
 * - Under a `RetryBudget`, only while that has something left.
 *
 * **What goes inside, what outside**
 *
 * Inside: one model, perhaps with limits for each attempt, and a limiter. Outside: the circuit breaker (it should see one
 * outcome a call), fallbacks (they should see a failure only once retrying has not helped) and the total limit (it bounds all
 * attempts together).
 *
 * **Gotchas**
 *
 * Providers and their HTTP clients never retry here, so this is the only place where requests multiply; two retries around
 * each other multiply too. `Plan.worstCase` tells.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Call } from "../core/Call.ts"
import * as Llm from "../core/Llm.ts"
import * as LlmError from "../core/LlmError.ts"
import type { Opened } from "../core/Opened.ts"
import * as Plan from "../core/Plan.ts"
import { countRecurrences, setRecurrences } from "./internal/countRecurrences.ts"

/**
 * The schedule to start with: 2 retries, after half a second and a second, each 20 % more or less, and never more than 20
 * seconds.
 *
 * **Details**
 *
 * The numbers are those of the official SDKs of OpenAI and Anthropic (2 retries, exponential from 0.5 s), with jitter to both
 * sides.
 *
 * @category schedules
 * @since 0.1.0
 */
export const transient: Schedule.Schedule<Duration.Duration> = Schedule.min([
  Schedule.exponential("500 millis"),
  Schedule.spaced("20 seconds")
]).pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))

/**
 * A schedule for each kind of failure: what is not named is not retried, unless there is an `otherwise`.
 *
 * **When to use**
 *
 * Use where one wait does not fit all: a short one after a broken connection, a long one after an overload.
 *
 * **Details**
 *
 * Each schedule counts the failures of its own kind, so that a call can be retried as often as all of them together allow;
 * `Plan.worstCase` counts it so. Tags are those of the errors, your own among them.
 *
 * **Example** (Patient with an overloaded provider, quick with a broken connection)
 *
 * ```ts
 * import { Llm, Plan, Retry } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { Schedule } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.retry(Retry.byTag({
 *     ConnectionFailed: Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 1 })),
 *     Overloaded: Schedule.exponential("2 seconds").pipe(Schedule.jittered, Schedule.upTo({ times: 3 })),
 *     RateLimited: Retry.transient
 *   }))
 * )
 *
 * Plan.worstCase(llm.plan) // => 7
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const byTag = (
  schedules: { readonly [tag: string]: Schedule.Schedule<unknown> },
  options?: { readonly otherwise?: Schedule.Schedule<unknown> | undefined }
): Schedule.Schedule<Duration.Duration> => {
  const named = new Map(Object.entries(schedules))
  const otherwise = options?.otherwise
  const combined = Schedule.fromStep(Effect.sync(() => {
    type Step = (now: number, input: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>
    const steps = new Map<string, Step>()
    return (
      now: number,
      input: unknown
    ): Pull.Pull<[Duration.Duration, Duration.Duration], never, Duration.Duration> => {
      const tag = LlmError.tagOf(input)
      const own = tag === undefined ? undefined : named.get(tag)
      const schedule = own ?? otherwise
      if (schedule === undefined) return Cause.done(Duration.zero)
      const key = own === undefined ? "" : tag!
      const begun = steps.get(key)
      const step = begun === undefined
        ? Effect.tap(Schedule.toStep(schedule), (step) => Effect.sync(() => steps.set(key, step)))
        : Effect.succeed(begun)
      return Effect.flatMap(step, (step) =>
        Pull.matchEffect(step(now, input), {
          onSuccess: ([, delay]) => Effect.succeed<[Duration.Duration, Duration.Duration]>([delay, delay]),
          onFailure: Effect.failCause,
          onDone: () => Cause.done(Duration.zero)
        }))
    }
  }))
  const all = [...named.values(), ...(otherwise === undefined ? [] : [otherwise])]
  setRecurrences(combined, all.reduce((sum, schedule) => sum + countRecurrences(schedule), 0))
  return combined
}

/**
 * Settings of {@link retry}.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<E> {
  /** The longest wait that is obeyed when a provider asks for it; beyond it, retrying stops at once. Default: 20 seconds. */
  readonly maxRetryAfter?: Duration.Input | undefined
  /**
   * Which failures are retried. Default: those that are transient (`LlmError.isTransient`). In a pipe, annotate the error:
   * its type is not known there yet.
   */
  readonly while?: ((error: E) => boolean) | undefined
}

/**
 * Runs an `Llm` again on a schedule, while its failures are transient.
 *
 * **Details**
 *
 * The type stays as it is, but for what the schedule itself may fail with and need. The schedule's input is the error, so
 * `Schedule.while(({ input }) => ...)` can look at it. The wait is the schedule's delay; where the provider asks for longer
 * (`retryAfter`), it is that and the delay, so that a jittered schedule spreads those that were told the same. Nothing is sent
 * after the deadline of the call.
 *
 * **Example** (A model with two retries)
 *
 * ```ts
 * import { Llm, Plan, Retry } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.retry(Retry.transient))
 *
 * Plan.worstCase(llm.plan) // => 3
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const retry: {
  <Output, Input, ScheduleError, ScheduleServices, While = unknown>(
    schedule: Schedule.Schedule<Output, Input, ScheduleError, ScheduleServices>,
    options?: Options<While>
  ): <E extends Input & While, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | ScheduleError, R | ScheduleServices>
  <E, R, Output, ScheduleError, ScheduleServices>(
    self: Llm.Llm<E, R>,
    schedule: Schedule.Schedule<Output, NoInfer<E>, ScheduleError, ScheduleServices>,
    options?: Options<NoInfer<E>>
  ): Llm.Llm<E | ScheduleError, R | ScheduleServices>
} = dual(
  (args) => Llm.isLlm(args[0]),
  <E, R, Output, ScheduleError, ScheduleServices>(
    self: Llm.Llm<E, R>,
    schedule: Schedule.Schedule<Output, E, ScheduleError, ScheduleServices>,
    options?: Options<E>
  ): Llm.Llm<E | ScheduleError, R | ScheduleServices> => {
    const maxRetryAfter = Duration.toMillis(Duration.fromInputUnsafe(options?.maxRetryAfter ?? "20 seconds"))
    const retryable = options?.while ?? LlmError.isTransient

    const again = (
      call: Call,
      step: Step<E, ScheduleError, ScheduleServices>,
      error: E
    ): Effect.Effect<Opened, E | ScheduleError, R | ScheduleServices | Scope.Scope> => {
      if (call.single || !retryable(error)) return Effect.fail(error)
      const now = call.recorder.now()
      return Pull.matchEffect(step(now, error), {
        onDone: () => Effect.fail(error),
        onFailure: Effect.failCause,
        onSuccess: ([, delay]) => {
          const asked = LlmError.retryAfter(error)
          const askedMillis = asked === undefined ? 0 : Duration.toMillis(asked)
          const parked = isParked(error)
          const delayMillis = Duration.toMillis(delay)
          // Those that are told the same should not come back together: the schedule's delay, which is jittered, spreads them.
          const wait = parked || delayMillis < askedMillis ? askedMillis + delayMillis : delayMillis
          const tooLate = now + wait >= Math.min(call.deadline ?? Infinity, call.openBy ?? Infinity)
          if (askedMillis > maxRetryAfter || tooLate) return Effect.fail(error)
          const next = { ...call, attempt: call.attempt + 1 }
          const attempt = Effect.suspend(() => {
            call.recorder.event("retry", LlmError.tagOf(error) ?? "failure", wait)
            return Effect.andThen(
              Effect.sleep(wait),
              Effect.catch(Llm.attempt(self.open(next)), (error) => again(next, step, error))
            )
          })
          // Nothing was sent, so sending it is nothing extra.
          if (call.extraCalls === undefined || parked) return attempt
          return Effect.flatMap(
            call.extraCalls.withdraw,
            (granted): typeof attempt => granted ? attempt : Effect.fail(error)
          )
        }
      })
    }

    return Llm.make({
      plan: planOf(schedule, self.plan),
      open: (call) => {
        const first = call.attempt === 0 ? call : { ...call, attempt: 0 }
        return Effect.catch(
          Llm.attempt(self.open(first)),
          (error) => Effect.flatMap(Schedule.toStep(schedule), (step) => again(first, step, error))
        )
      }
    })
  }
)

/** Counts when somebody asks: to count a schedule is to run it, and it may do more than count. */
const planOf = (schedule: Schedule.Schedule<unknown, never, unknown, unknown>, inner: Plan.Plan): Plan.Plan => {
  let counted: number | undefined
  const retries = () => counted ??= countRecurrences(schedule)
  return {
    ...Plan.policy("retry", { children: [inner] }),
    get detail() {
      return retries() === Infinity ? "without bound" : `up to ${retries()} ${retries() === 1 ? "time" : "times"}`
    },
    get repeats() {
      return retries() + 1
    }
  }
}

const isParked = (error: unknown): boolean => error instanceof LlmError.RateLimited && error.parked === true

type Step<E, ScheduleError, ScheduleServices> = (
  now: number,
  input: E
) => Pull.Pull<[unknown, Duration.Duration], ScheduleError, unknown, ScheduleServices>
