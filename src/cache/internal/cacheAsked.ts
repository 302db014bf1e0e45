/**
 * One asking for an answer, for however many calls: when it is whose turn among processes, how it is sent, and what becomes of the answer.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Call } from "../../core/Call.ts"
import type * as Llm from "../../core/Llm.ts"
import { type LlmError, tagOf } from "../../core/LlmError.ts"
import * as Opened from "../../core/Opened.ts"
import { openUntil } from "../../policies/internal/reserve.ts"
import type { Answer } from "../SingleFlight.ts"
import { entryOf } from "./cacheAnswer.ts"
import { type Engine, within } from "./cacheEngine.ts"
import type { Identify, Identity } from "./cacheIdentity.ts"
import { servedBy } from "./cacheReplay.ts"
import type { Settings } from "./cacheSettings.ts"
import type { AnswerEntry, Entry } from "./cacheValue.ts"

export type Open<E, R> = Effect.Effect<Opened.Opened, E, R | Scope.Scope>

export interface PolicyOptions<E, R> {
  readonly self: Llm.Llm<E, R>
  readonly settings: Settings
  readonly identify: Identify
  /** Of this policy alone. Others may fail in ways that it may not. */
  readonly instance: string
  /** Of all stacks like this one, in this process and others. */
  readonly stack: string
}

/** How to begin to ask. */
export interface Asking {
  readonly identity: Identity
  /** What the look-up said; nothing where the store did not answer, so that nothing can be written. */
  readonly generation: string | undefined
  readonly writes: boolean
}

/** What leases are for: the answers that are asked for since the last invalidation. Nobody waits for one that was asked for before. */
export const turnsOf = (key: string, generation: string | undefined): string => `${key} ${generation}`

/** How often to look whether somebody else has got an answer. */
const poll = Schedule.min([Schedule.exponential("25 millis"), Schedule.spaced("500 millis")])

/** One asking, for however many calls. */
export class Asked<E, R> {
  /** The answer that another process has got meanwhile, where one has. */
  elsewhere: AnswerEntry | undefined = undefined
  private began = 0
  private generation: string | undefined
  private call: Call | undefined = undefined
  /** Gives the turn back that it has. */
  private turn: Effect.Effect<void> | undefined = undefined
  private readonly settled = Deferred.makeUnsafe<void>()
  private readonly options: PolicyOptions<E, R>
  private readonly engine: Engine
  private readonly asking: Asking
  private readonly how: {
    readonly waits: boolean
    /** Whether a failure may be kept, where it is one of those that are. It would take the place of an answer that is still given. */
    readonly keepsFailure: (error: unknown) => boolean
    readonly isFresh: (entry: Entry, now: number) => boolean
  }

  constructor(options: PolicyOptions<E, R>, engine: Engine, asking: Asking, how: Asked<E, R>["how"]) {
    this.options = options
    this.engine = engine
    this.asking = asking
    this.generation = asking.generation
    this.how = how
  }

  /** Ends when what was got is written, where it is; and before long in any case. */
  get written(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.call === undefined
        ? Effect.void
        : within(Deferred.await(this.settled), 2 * this.options.settings.storeTimeout)
    )
  }

  begin(call: Call): Open<E, R> {
    this.call = call
    return this.how.waits && this.generation !== undefined
      ? Effect.flatMap(this.wait(call), (entry) => entry === undefined ? this.send(call) : this.take(call, entry))
      : this.send(call)
  }

  private send(call: Call): Open<E, R> {
    return Effect.suspend(() => {
      this.began = call.recorder.now()
      const { negative } = this.options.settings
      const opened = this.options.self.open(call)
      return negative === undefined || !this.asking.writes ? opened : Effect.tapError(opened, (error) => {
        const tag = tagOf(error)
        if (tag === undefined || !negative.errors.has(tag) || !this.how.keepsFailure(error)) return Effect.void
        // (Its tag is one of ours.)
        const failure = error as LlmError
        const now = call.recorder.now()
        return this.write({
          _tag: "Failure",
          key: this.asking.identity.key,
          storedAt: now,
          freshFor: negative.timeToLive,
          staleFor: 0,
          staleIfErrorFor: 0,
          computeMillis: Math.max(0, now - this.began),
          error: failure,
          stack: this.options.stack
        }, negative.timeToLive)
      })
    })
  }

  private take(call: Call, entry: Entry): Open<E, never> {
    if (entry._tag === "Failure") return Effect.fail(entry.error as E)
    this.elsewhere = entry
    call.recorder.serving = servedBy(call, entry)
    call.recorder.serving.end("success", call.recorder.now())
    return Effect.succeed(Opened.whole(entry.parts))
  }

  /** Told when the answer is whole. */
  whole(answer: Answer): Effect.Effect<void> {
    const { call, engine } = this
    if (call === undefined || this.elsewhere !== undefined || !this.asking.writes) return Effect.void
    const { settings } = this.options
    const kept = Effect.suspend(() =>
      Effect.flatMap(
        entryOf(this.asking.identity.key, answer, call, settings, this.began, call.recorder.now()),
        (entry) =>
          entry === undefined
            ? engine.refuse(this.asking.identity.key)
            : this.write(entry, settings.timeToLive + Math.max(settings.staleWhileRevalidate, settings.staleIfError))
      )
    )
    return Effect.ensuring(kept, Effect.andThen(Deferred.succeed(this.settled, undefined), this.handBack))
  }

  /** Gives the turn back, once. */
  private readonly handBack: Effect.Effect<void> = Effect.suspend(() => {
    const { turn } = this
    this.turn = undefined
    return turn ?? Effect.void
  })

  private write(entry: Entry, keepMillis: number): Effect.Effect<void> {
    const { generation } = this
    return generation === undefined ? Effect.void : this.engine.write(entry, {
      generation,
      keepMillis,
      timeoutMillis: this.options.settings.storeTimeout
    })
  }

  // ---- other processes ----

  /** Waits for the turn to ask, or until somebody else has an answer: that is handed back. A store that fails leaves nobody to wait for. */
  private wait(call: Call): Effect.Effect<Entry | undefined, never, Scope.Scope> {
    const { lease, storeTimeout, waitForOthers } = this.options.settings
    const { key, tags } = this.asking.identity
    const { engine } = this
    const holder = engine.holder()
    const step = Effect.suspend(() => {
      const turns = turnsOf(key, this.generation)
      const leased = engine.lease(turns, holder, lease, storeTimeout)
      return Effect.flatMap(
        leased,
        (leased) =>
          Effect.flatMap(
            engine.lookup(key, tags, storeTimeout),
            (found) =>
              Effect.flatMap(engine.read(key, found), (read) => {
                const entry = read !== undefined && this.how.isFresh(read, call.recorder.now()) ? read : undefined
                if (found.generation === this.generation) {
                  return Effect.succeed({ ours: leased, entry })
                }
                // Invalidated meanwhile: what is asked for from now on is good, and has turns of its own.
                this.generation = found.generation
                const next = { ours: false, entry }
                return leased
                  ? Effect.as(engine.release(turns, holder, storeTimeout, Effect.void), next)
                  : Effect.succeed(next)
              })
          )
      )
    })
    const patience = Math.max(0, Math.min(waitForOthers, (openUntil(call) - call.recorder.now()) / 2))
    const isOver = ({ entry, ours }: { readonly entry: Entry | undefined; readonly ours: boolean }) =>
      ours || entry !== undefined
    const turns = Effect.timeoutOrElse(
      Effect.repeat(step, { schedule: poll, until: isOver }),
      { duration: Duration.millis(patience), orElse: () => Effect.succeed(undefined) }
    )
    // Mostly nobody is before us, and where that is known at once there is nothing to wait for.
    const turn = engine.leasesAtOnce
      ? Effect.flatMap(step, (first) => isOver(first) ? Effect.succeed(first) : turns)
      : turns
    this.turn = Effect.suspend(() => engine.release(turnsOf(key, this.generation), holder, storeTimeout))
    return Effect.andThen(
      // The flight is closed before it is told that its answer is whole, and the lease lasts until that is written.
      Effect.addFinalizer((exit) =>
        exit._tag === "Success" && this.elsewhere === undefined
          ? engine.later(Effect.andThen(
            // What takes no time is done by then.
            Effect.yieldNow,
            Effect.suspend(() => this.turn === undefined ? Effect.void : Effect.andThen(this.written, this.handBack))
          ))
          : this.handBack
      ),
      Effect.map(Effect.orElseSucceed(turn, () => undefined), (turn) => turn?.entry)
    )
  }
}
