/**
 * One call that takes part in a flight: what it waits for, what it has read, and what its receipt says.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Call } from "../../core/Call.ts"
import type { AttemptRecord, Recorder, Share } from "../../core/internal/recorder.ts"
import type { StreamInterrupted } from "../../core/LlmError.ts"
import type { Opened } from "../../core/Opened.ts"
import type { Part } from "../../core/Part.ts"
import { openUntil } from "../../policies/internal/reserve.ts"
import type { Hooks } from "./flightAnswer.ts"

/** What a call asks for, so that a flight can be begun with it: also later, by another fiber. */
export interface Asked {
  readonly call: Call
  readonly context: Context.Context<never>
  readonly begin: (call: Call, scope: Scope.Scope) => Effect.Effect<Opened, unknown>
  readonly hooks: Hooks | undefined
}

/** What one who takes part knows of the flight. */
export interface Joined {
  readonly recorder: Recorder
  /** The text that someone has been handed. */
  readonly textTo: (participant: Participant) => string
  /** Someone leaves. Where it was the last, this waits until the upstream call is closed. */
  readonly remove: (participant: Participant) => Effect.Effect<void>
}

export class Participant {
  readonly asked: Asked
  readonly call: Call
  /** Until when it waits to be opened, as far as the call knows. */
  readonly until: number
  joinedAt = 0
  /** Whether another call began the flight. */
  joined = false
  /** Whether it has left its flight, of its own accord or cut off. */
  left = false
  /** Why it is about to leave, where a limit of its own has passed. */
  gaveUp: string | undefined = undefined
  /** Whether it has been answered, so that what it still waits for are parts. */
  opened = false
  /** Whether it has been handed the whole of the answer. */
  served = false
  /** Where it reads. */
  index = 0
  /** Called when there is more to read, while it waits for that. */
  wake: (() => void) | undefined = undefined
  /** What it has failed with apart from the others. */
  broken: StreamInterrupted | undefined = undefined
  private flight: Joined | undefined = undefined
  private share: Share | undefined = undefined
  private answer: Effect.Effect<Opened, unknown> | undefined = undefined
  private resume: ((answer: Effect.Effect<Opened, unknown>) => void) | undefined = undefined
  /** The request that serves it, and its own view of it. */
  private source: AttemptRecord | undefined = undefined
  private view: AttemptRecord | undefined = undefined

  constructor(asked: Asked) {
    this.asked = asked
    this.call = asked.call
    this.until = openUntil(asked.call)
  }

  /** Takes part in a flight from now on. */
  join(flight: Joined, joined: boolean, now: number): void {
    const { recorder } = this.call
    this.flight = flight
    this.joined = joined
    this.joinedAt = now
    // Who joined another flight before and now begins one has shared nothing.
    if (joined) recorder.cache = "coalesced"
    else if (recorder.cache === "coalesced") recorder.cache = undefined
    this.share = {
      recorder: flight.recorder,
      owned: false,
      givesUp: (outcome) => {
        if (this.flight === flight) this.gaveUp = outcome
      }
    }
    recorder.share(this.share)
  }

  get owns(): boolean {
    return this.share?.owned === true
  }

  set owns(owned: boolean) {
    if (this.share !== undefined) this.share.owned = owned
  }

  /** Its answer, when there is one. (Between two steps a fiber may yield, so it is looked for where the wait begins.) */
  readonly await: Effect.Effect<Opened, unknown> = Effect.callback((resume) => {
    if (this.answer === undefined) this.resume = resume
    else resume(this.answer)
  })

  give(answer: Effect.Effect<Opened, unknown>): void {
    if (this.opened || this.left) return
    this.opened = true
    this.answer = answer
    this.resume?.(answer)
  }

  /** Leaves, which ends a flight that nobody else waits for. */
  readonly leave: Effect.Effect<void> = Effect.suspend(() => {
    if (this.left || this.flight === undefined) return Effect.void
    this.left = true
    return this.flight.remove(this)
  })

  /** Whether it hears what the requests of the flight do: where it waits for that, and does not read at its own pace. */
  get listens(): boolean {
    return this.call.pulse !== undefined && !this.left && (!this.opened || this.wake !== undefined)
  }

  /** Its receipt says who serves it. */
  see(flight: Joined): void {
    const { recorder } = this.call
    if (flight.recorder.degraded) recorder.degraded = true
    const serving = flight.recorder.serving
    if (serving === this.source) return
    this.source = serving
    this.view = serving?.seenBy(() => flight.textTo(this))
    if (this.view !== undefined) this.view.firstPartAt = Math.max(serving?.answerBeganAt ?? 0, this.joinedAt)
    recorder.serving = this.view
  }

  /** It has been handed parts. */
  took(parts: ReadonlyArray<Part>): void {
    for (const part of parts) {
      if (part.type !== "finish") continue
      this.view?.see(part)
      this.served = true
      this.ended("success")
    }
  }

  /** Its answer is over, for itself. */
  ended(outcome: string): void {
    this.view?.end(outcome, this.call.recorder.now())
  }

  /** What its reader is told that is not told to the others. */
  break(error: (view: AttemptRecord | undefined) => StreamInterrupted): StreamInterrupted {
    this.broken = error(this.view)
    this.ended(this.broken._tag)
    return this.broken
  }
}
