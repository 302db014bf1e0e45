/**
 * Limits on waiting: for the response, for the first content part, between parts, and over all.
 *
 * {@link timeout} is `Llm.timeout` in the namespace users import.
 *
 * - `connect` bounds the time until the response begins: its status and headers.
 * - `firstPart` bounds the time until the first content part.
 * - `idle` bounds the silence between two parts. Time that the consumer takes to read does not count.
 * - `total` is a deadline that travels with the call: retries, waits and fallbacks inside live within it.
 *
 * While the call is being opened, a limit that passes is `TimedOut` with its phase, and the request is cancelled. After that
 * it is a `StreamInterrupted` with reason `timedOut`.
 *
 * **What goes inside, what outside**
 *
 * Put `connect`, `firstPart` and `idle` around a single model, inside retries and fallbacks: there they bound each attempt, and a model
 * that is silent is given up for the next one. Put `total` outermost: it bounds everything together.
 *
 * **Gotchas**
 *
 * - A limit bounds what it is put around. `firstPart` around a fallback bounds both models together, so that a silent first one
 *   leaves no time for the second.
 * - With `connect`, `firstPart` or `idle`, a full answer too is streamed from the provider and collected, since only parts show whether
 *   a model is silent or merely long-winded. With `total` alone it is asked for in one piece.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Call, Pulse } from "../core/Call.ts"
import { toPull } from "../core/internal/pull.ts"
import * as Llm from "../core/Llm.ts"
import { StreamInterrupted, type TimedOut } from "../core/LlmError.ts"
import * as Opened from "../core/Opened.ts"
import type { Part } from "../core/Part.ts"
import * as Plan from "../core/Plan.ts"
import { giveUp, noTime } from "./internal/giveUp.ts"

/**
 * A limit: a duration, or a schedule whose nth delay is the limit of the nth attempt of the retry around it.
 *
 * **Details**
 *
 * When the schedule ends before the attempts do, its last delay holds on. A schedule without any delay sets no limit.
 *
 * @category options
 * @since 0.1.0
 */
export type Limit = Duration.Input | Schedule.Schedule<unknown>

/**
 * The limits of {@link timeout}. What is absent is not limited.
 *
 * @category options
 * @since 0.1.0
 */
export interface Limits {
  /** Until the response of a request begins. A server that streams answers at once, and thinks afterwards. */
  readonly connect?: Limit | undefined
  /** Until the first content part of what it is put around. */
  readonly firstPart?: Limit | undefined
  /** Between two parts. */
  readonly idle?: Limit | undefined
  /** Over all, to the end of the answer. */
  readonly total?: Limit | undefined
}

/**
 * Bounds the time a call may take.
 *
 * **Example** (Limits for each attempt, and for all)
 *
 * ```ts
 * import { Llm, Retry } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.timeout({ firstPart: "8 seconds", idle: "15 seconds" }),
 *   Llm.retry(Retry.transient),
 *   Llm.timeout({ total: "60 seconds" })
 * )
 *
 * String(llm)
 * // => "timeout total 1m\n└─ retry up to 2 times\n   └─ timeout first part 8s, idle 15s\n      └─ openai/gpt-5-mini"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const timeout: {
  (limits: Limits): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E | TimedOut, R>
  <E, R>(self: Llm.Llm<E, R>, limits: Limits): Llm.Llm<E | TimedOut, R>
} = dual(2, <E, R>(self: Llm.Llm<E, R>, limits: Limits): Llm.Llm<E | TimedOut, R> => {
  const connect = limitOf("connect", limits.connect)
  const firstPart = limitOf("firstPart", limits.firstPart)
  const idle = limitOf("idle", limits.idle)
  const total = limitOf("total", limits.total)
  const forAttempts = connect !== undefined || firstPart !== undefined || idle !== undefined
  return Llm.make({
    plan: Plan.policy("timeout", {
      limits: Object.entries({ connect, firstPart, idle, total }).flatMap(([name, limit]) =>
        limit === undefined ? [] : [name as keyof Limits]
      ),
      detail: [
        connect === undefined ? undefined : `connect ${connect.label}`,
        firstPart === undefined ? undefined : `first part ${firstPart.label}`,
        idle === undefined ? undefined : `idle ${idle.label}`,
        total === undefined ? undefined : `total ${total.label}`
      ].filter((limit) => limit !== undefined).join(", "),
      children: [self.plan]
    }),
    open: (call) => {
      const fixed = (limit: KnownLimit | undefined) => limit === undefined || limit.millis !== undefined
      if (fixed(connect) && fixed(firstPart) && fixed(idle) && fixed(total)) {
        return Effect.suspend(() =>
          guard(self, call, {
            connect: connect?.millis,
            firstPart: firstPart?.millis,
            idle: idle?.millis,
            total: total?.millis
          }, forAttempts)
        )
      }
      return Effect.flatMap(
        Effect.all({
          connect: at(connect, call.attempt),
          firstPart: at(firstPart, call.attempt),
          idle: at(idle, call.attempt),
          total: at(total, call.attempt)
        }),
        (limits) => guard(self, call, limits, forAttempts)
      )
    }
  })
})

const guard = <E, R>(
  self: Llm.Llm<E, R>,
  call: Call,
  limits: Millis,
  forAttempts: boolean
): Effect.Effect<Opened.Opened, E | TimedOut, R | Scope.Scope> => {
  const watch = new Watch(call, limits, forAttempts)
  if (watch.isIdle()) return self.open(call)
  return Effect.map(
    // Whoever goes on after a limit has passed closes what the open held (`Llm.attempt`): this policy does not go on.
    Effect.raceFirst(self.open(watch.inner), watch.opening),
    (opened) => Opened.mapFlow(opened, (parts) => watch.flowing(parts))
  )
}

/** The limits of one attempt, in milliseconds. */
interface Millis {
  readonly connect: number | undefined
  readonly firstPart: number | undefined
  readonly idle: number | undefined
  readonly total: number | undefined
}

interface KnownLimit {
  readonly label: string
  /** The limit in milliseconds, where it is the same for every attempt. */
  readonly millis: number | undefined
  readonly schedule: Schedule.Schedule<unknown> | undefined
}

const limitOf = (name: keyof Limits, limit: Limit | undefined): KnownLimit | undefined => {
  if (limit === undefined) return undefined
  if (Schedule.isSchedule(limit)) return { label: "by attempt", millis: undefined, schedule: limit }
  const duration = Duration.fromInputUnsafe(limit)
  const millis = Duration.toMillis(duration)
  if (!(millis > 0)) {
    throw new RangeError(`Llm.timeout: ${name} must be longer than zero, got ${Duration.format(duration)}`)
  }
  return Number.isFinite(millis) ? { label: Duration.format(duration), millis, schedule: undefined } : undefined
}

/** The limit of the nth attempt (from 0), in milliseconds: the nth delay of its schedule, or the last one. */
const at = (limit: KnownLimit | undefined, attempt: number): Effect.Effect<number | undefined> =>
  limit?.schedule === undefined
    ? Effect.succeed(limit?.millis)
    : Effect.flatMap(Schedule.toStep(limit.schedule), (step) => {
      const walk = (index: number, now: number, last: number | undefined): Effect.Effect<number | undefined> =>
        Pull.matchEffect(step(now, undefined), {
          onSuccess: ([, delay]) => {
            const millis = Duration.toMillis(delay)
            // As with a duration: an endless one is no limit, and neither is none at all.
            const limit = millis > 0 && Number.isFinite(millis) ? millis : undefined
            return index === attempt ? Effect.succeed(limit) : walk(index + 1, now + millis, limit)
          },
          onDone: () => Effect.succeed(last),
          onFailure: Effect.failCause
        })
      return walk(0, 0, undefined)
    })

type Phase = TimedOut["phase"]

/** How long a limit leaves a nearer one to do what it is there for, in milliseconds. */
const afterOthers = 100

/**
 * Watches one call. One timer serves all limits: it sleeps to the nearest one, and looks again. A part costs no more than
 * a note of the time.
 */
class Watch {
  readonly inner: Call
  private readonly call: Call
  private readonly limits: Millis
  /** When the call is ended here, where nobody else does it before. */
  private readonly ownDeadline: number | undefined
  /** What is waited for, and since when: an attempt's first part, or the next part; nothing while the consumer reads. */
  private waiting: "firstPart" | "idle" | "nothing" = "firstPart"
  private since: number
  /** Since when the response of an attempt has been waited for; undefined while none is. */
  private connecting: number | undefined = undefined
  /** When the call must have opened for others to have time, where no one else sees to that. */
  private openBy: number | undefined
  private readonly startedAt: number
  /** Where in the receipt the attempts begin that are watched here. */
  private readonly firstAttempt: number
  /** The longest sleep after which no limit can have been overslept, whatever is waited for by then. */
  private readonly longest: number
  /** Whether the answer has ended, so that nothing is left to come too late. */
  private over = false

  /** `forAttempts`: whether any attempt has a limit, for then all are to be opened in time (`keepsTime` relies on it). */
  constructor(call: Call, limits: Millis, forAttempts: boolean) {
    const { connect, firstPart, idle, total } = limits
    this.call = call
    this.limits = limits
    this.since = this.startedAt = call.recorder.now()
    this.firstAttempt = call.recorder.attempts.length
    this.longest = Math.min(connect ?? Infinity, firstPart ?? Infinity, idle ?? Infinity)
    const deadline = total === undefined ? undefined : this.since + total
    const outer = call.deadline
    // A nearer deadline is whoever set it to keep. Should they be gone by then, since others share what they asked for, it is kept here.
    this.ownDeadline = deadline !== undefined && outer !== undefined && outer <= deadline
      ? deadline + afterOthers
      : deadline
    const watchesParts = connect !== undefined || firstPart !== undefined || idle !== undefined
    this.openBy = forAttempts ? call.openBy : undefined
    this.inner = {
      ...call,
      deadline: outer !== undefined && (deadline === undefined || outer <= deadline) ? outer : deadline,
      transport: watchesParts ? "stream" : call.transport,
      pulse: watchesParts ? this.pulse(call.pulse) : call.pulse
    }
  }

  isIdle(): boolean {
    return this.longest === Infinity && this.ownDeadline === undefined && this.openBy === undefined
  }

  private pulse(outer: Pulse | undefined): Pulse {
    return {
      attempt: () => {
        outer?.attempt()
        this.connecting = this.call.recorder.now()
        // The first attempt has been waited for since the policy began.
        if (this.waiting !== "firstPart") {
          this.waiting = "firstPart"
          this.since = this.call.recorder.now()
        }
      },
      response: (limits) => {
        outer?.response(limits)
        this.connecting = undefined
      },
      parts: (content) => {
        outer?.parts(content)
        this.connecting = undefined
        if (content) this.waiting = "idle"
        if (this.waiting === "idle") this.since = this.call.recorder.now()
      },
      failed: () => {
        outer?.failed()
        this.connecting = undefined
        // The wait of a retry inside is no silence of a model.
        if (this.waiting === "idle") this.waiting = "nothing"
      }
    }
  }

  /** When the next limit passes, and which. */
  private next(): { readonly at: number; readonly phase: Phase; readonly limit: number } | undefined {
    let next: { readonly at: number; readonly phase: Phase; readonly limit: number } | undefined
    const consider = (phase: Phase, at: number, limit: number): void => {
      if (next === undefined || at < next.at) next = { at, phase, limit }
    }
    const { connect, firstPart, idle, total } = this.limits
    if (this.ownDeadline !== undefined && total !== undefined) consider("total", this.ownDeadline, total)
    if (this.openBy !== undefined) consider("total", this.openBy, this.openBy - this.startedAt)
    if (this.waiting === "firstPart") {
      if (connect !== undefined && this.connecting !== undefined) {
        consider("connect", this.connecting + connect, connect)
      }
      if (firstPart !== undefined) consider("firstPart", this.since + firstPart, firstPart)
    } else if (this.waiting === "idle" && idle !== undefined) consider("idle", this.since + idle, idle)
    return next
  }

  /** Fails when a limit passes. */
  readonly opening: Effect.Effect<never, TimedOut> = Effect.suspend((): Effect.Effect<never, TimedOut> => {
    if (this.over) return Effect.never
    const next = this.next()
    const now = this.call.recorder.now()
    // Nothing to wait for at the moment: look again when the shortest limit could have passed.
    if (next === undefined) return Effect.andThen(Effect.sleep(this.longest), this.opening)
    const left = next.at - now
    if (left > noTime) return Effect.andThen(Effect.sleep(Math.min(left, this.longest)), this.opening)
    return Effect.fail(giveUp(this.call.recorder, this.firstAttempt, next.phase, next.limit))
  })

  /** Goes on watching while the answer flows. */
  flowing(parts: Stream.Stream<Part, StreamInterrupted>): Stream.Stream<Part, StreamInterrupted> {
    this.openBy = undefined
    // What is left to watch: the silence before each further part, and the deadline.
    if (this.limits.idle === undefined && this.ownDeadline === undefined) return parts
    return Stream.unwrap(Effect.gen({ self: this }, function*() {
      this.waiting = "nothing"
      const passed = yield* Deferred.make<never, StreamInterrupted>()
      yield* Effect.forkScoped(
        Effect.catch(this.opening, (timedOut) => Deferred.fail(passed, this.interrupted(timedOut)))
      )
      const pull = yield* toPull(parts)
      const limit = Deferred.await(passed)
      // The pull first: where its part is there, the race is over before the limit costs anything.
      const next = Effect.raceFirst(
        Effect.map(pull, (parts) => {
          this.waiting = "nothing"
          const { degraded, serving } = this.call.recorder
          this.over = degraded || serving?.outcome !== undefined
          return parts
        }),
        limit
      )
      return Stream.fromPull(Effect.succeed(Effect.suspend(() => {
        if (this.over) return pull
        // Once a limit has passed, parts that are there by now come too late.
        if (Deferred.isDoneUnsafe(passed)) return limit
        this.waiting = "idle"
        this.since = this.call.recorder.now()
        return next
      })))
    }))
  }

  private interrupted(timedOut: TimedOut): StreamInterrupted {
    return this.call.recorder.serving?.interrupted("timedOut", timedOut) ??
      // An answer that no request serves: one of a user's own making.
      new StreamInterrupted({ partial: Redacted.make(""), reason: "timedOut", failure: timedOut })
  }
}
