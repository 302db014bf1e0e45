/**
 * One call at a cache: what is found is given, and what is not is asked for, once for all who ask for it.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type { Call } from "../../core/Call.ts"
import { begun, recorderOf } from "../../core/internal/operation.ts"
import { errorOf, outcomeOf } from "../../core/internal/recorder.ts"
import * as Llm from "../../core/Llm.ts"
import { isTransient, type LlmError, StoreUnavailable, tagOf } from "../../core/LlmError.ts"
import { type CacheResult, Observer } from "../../core/Receipt.ts"
import type { CacheStoreError, Found } from "../CacheStore.ts"
import { Asked, type Asking, type Open, type PolicyOptions, turnsOf } from "./cacheAsked.ts"
import { type Engine, randomId } from "./cacheEngine.ts"
import type { Identity } from "./cacheIdentity.ts"
import { replay } from "./cacheReplay.ts"
import type { Settings } from "./cacheSettings.ts"
import type { Entry } from "./cacheValue.ts"

export interface Directed {
  readonly mode: "default" | "skip" | "refresh" | "readOnly" | "writeOnly"
  /** In milliseconds. */
  readonly maximumAge: number
  readonly tags: ReadonlyArray<string>
}

/** How an entry stands, seen from now. */
type Standing = "fresh" | "stale" | "ifError" | "over"

export class CachePolicy<E, R> {
  private readonly options: PolicyOptions<E, R>
  private readonly settings: Settings
  private readonly self: Llm.Llm<E, R>

  constructor(options: PolicyOptions<E, R>) {
    this.options = options
    this.settings = options.settings
    this.self = options.self
  }

  open(engine: Engine, call: Call, directed: Directed): Open<E | StoreUnavailable, R> {
    // Whoever goes on from a text, or probes a circuit, wants an answer of a model.
    if (directed.mode === "skip" || call.continues !== undefined || call.single) return this.bypass(engine, call)
    return Effect.flatMap(
      this.options.identify(engine, call, directed.tags),
      (identity) =>
        identity === undefined ? this.bypass(engine, call) : this.identified(engine, call, directed, identity)
    )
  }

  private bypass(engine: Engine, call: Call): Open<E, R> {
    call.recorder.cache = "bypass"
    engine.counts.bypassed++
    engine.tell("Bypassed", call.recorder.now(), undefined)
    return this.self.open(call)
  }

  // ---- looking up ----

  private identified(
    engine: Engine,
    call: Call,
    directed: Directed,
    identity: Identity
  ): Open<E | StoreUnavailable, R> {
    return Effect.matchCauseEffect(engine.lookup(identity.key, identity.tags, this.settings.storeTimeout), {
      onFailure: (cause) => this.unavailable(engine, call, directed, identity, cause),
      onSuccess: (found) => this.found(engine, call, directed, identity, found)
    })
  }

  private unavailable(
    engine: Engine,
    call: Call,
    directed: Directed,
    identity: Identity,
    cause: Cause.Cause<CacheStoreError | Cause.TimeoutError>
  ): Open<E | StoreUnavailable, R> {
    // (An interruption, or a defect: neither is the store's failure to answer.)
    if (!Cause.hasFails(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    if (this.settings.storeFails) {
      call.recorder.event("rejected", "StoreUnavailable")
      return Effect.fail(new StoreUnavailable({ store: "cache", operation: "lookup" }))
    }
    return this.ask(engine, call, directed, { identity, generation: undefined, writes: false }, undefined)
  }

  private found(engine: Engine, call: Call, directed: Directed, identity: Identity, found: Found): Open<E, R> {
    const asking: Asking = { identity, generation: found.generation, writes: directed.mode !== "readOnly" }
    if (directed.mode === "refresh" || directed.mode === "writeOnly") {
      return this.ask(engine, call, directed, asking, undefined)
    }
    return Effect.flatMap(engine.read(identity.key, found), (entry) =>
      entry === undefined
        ? this.ask(engine, call, directed, asking, undefined)
        : this.look(engine, call, directed, asking, entry))
  }

  private look(engine: Engine, call: Call, directed: Directed, asking: Asking, entry: Entry): Open<E, R> {
    const now = call.recorder.now()
    switch (this.standing(entry, now, directed)) {
      case "fresh": {
        const hit = this.give(engine, call, asking.identity, entry, "hit")
        return this.settings.beta === 0 || !asking.writes ?
          hit :
          Effect.flatMap(
            this.isEarly(entry, now),
            (early) => early ? Effect.andThen(this.refresh(engine, call, directed, asking, entry), hit) : hit
          )
      }
      case "stale": {
        const stale = this.give(engine, call, asking.identity, entry, "stale")
        return asking.writes ? Effect.andThen(this.refresh(engine, call, directed, asking, entry), stale) : stale
      }
      case "ifError":
        return this.ask(engine, call, directed, asking, entry)
      case "over":
        return this.ask(engine, call, directed, asking, undefined)
    }
  }

  /** How an entry stands. Ages are in milliseconds, and a limit is passed by who has reached it. */
  private standing(entry: Entry, now: number, { maximumAge }: Directed): Standing {
    const { negative, staleIfError, staleWhileRevalidate, timeToLive } = this.settings
    // The clock of who has written it may be ahead of ours.
    const age = Math.max(0, now - entry.storedAt)
    if (age > maximumAge) return "over"
    if (entry._tag === "Failure") {
      return negative !== undefined && negative.errors.has(entry.error._tag) && age < negative.timeToLive &&
          entry.stack === this.options.stack
        ? "fresh"
        : "over"
    }
    if (age < timeToLive) return "fresh"
    if (age < timeToLive + staleWhileRevalidate) return "stale"
    return age < timeToLive + staleIfError ? "ifError" : "over"
  }

  /**
   * Whether to refresh a fresh answer before its time: by chance, more likely the nearer the end and the longer it takes, so that of many
   * who read it one does so in time (XFetch: Vattani, Chierichetti, Lowenstein, Optimal Probabilistic Cache Stampede Prevention,
   * PVLDB 8(8), 2015).
   */
  private isEarly(entry: Entry, now: number): Effect.Effect<boolean> {
    const { beta, timeToLive } = this.settings
    if (entry._tag === "Failure") return notEarly
    return Effect.withFiber((fiber) => {
      // Above 0 and at most 1, so that the logarithm is finite.
      const chance = 1 - fiber.getRef(Random.Random).nextDoubleUnsafe()
      return Effect.succeed(now - Math.log(chance) * beta * entry.computeMillis >= entry.storedAt + timeToLive)
    })
  }

  /** Gives what was found. */
  private give(engine: Engine, call: Call, { key }: Identity, entry: Entry, result: CacheResult): Open<E, never> {
    return Effect.suspend((): Open<E, never> => {
      if (result === "hit") engine.counts.hits++
      else engine.counts.stale++
      engine.tell(result === "hit" ? "Hit" : "Stale", call.recorder.now(), key)
      if (entry._tag === "Failure") {
        call.recorder.cache = result
        return Effect.fail(this.failureOf(entry.error))
      }
      engine.counts.save(entry.usage, entry.cost)
      return Effect.succeed(replay(call, entry, result, this.settings.pace))
    })
  }

  /** A failure that this very stack has failed with before: what it can fail with is its type. */
  private failureOf(error: LlmError): E {
    return error as E
  }

  // ---- asking ----

  private ask(
    engine: Engine,
    call: Call,
    directed: Directed,
    asking: Asking,
    fallback: Entry | undefined
  ): Open<E, R> {
    const opened = Effect.suspend(() => {
      call.recorder.cache = "miss"
      return this.shared(engine, call, directed, asking, fallback)
    })
    if (fallback?._tag !== "Answer") return opened
    return Effect.catch(
      Llm.attempt(opened),
      (error) =>
        passes(error) && this.standing(fallback, call.recorder.now(), directed) === "ifError"
          ? this.give(engine, call, asking.identity, fallback, "stale")
          : Effect.fail(error)
    )
  }

  /** Asks, together with all who ask for the same now. */
  private shared(
    engine: Engine,
    call: Call,
    directed: Directed,
    asking: Asking,
    fallback: Entry | undefined,
    run?: Asked<E, R>
  ): Open<E, R> {
    const { key } = asking.identity
    const alone = !this.settings.coalesce || directed.mode === "refresh"
    // What was begun before an invalidation is not shared with those who come after it.
    const flight = `${key} ${this.options.instance} ${asking.generation ?? ""} ${
      alone ? call.id : asking.writes ? "" : "not written"
    }`
    const asked = run ?? this.asked(engine, directed, asking, fallback)
    const opened = engine.options.flights.open(flight, call, (shared) => asked.begin(shared), {
      whole: (answer) => asked.whole(answer)
    })
    const tell = (coalesced: boolean): void => {
      if (coalesced) engine.counts.coalesced++
      else engine.counts.misses++
      engine.tell(coalesced ? "Coalesced" : "Miss", call.recorder.now(), key)
    }
    // Known when the call leaves the flight, which is before this: what is acquired first is released last.
    const saved = Effect.addFinalizer(() =>
      Effect.sync(() => {
        const { cache, saved } = call.recorder
        if (cache === "coalesced" && saved !== undefined) engine.counts.save(saved.usage, saved.cost)
      })
    )
    return Effect.matchCauseEffect(Effect.andThen(saved, opened), {
      onFailure: (cause) => {
        call.recorder.cache ??= "miss"
        // (A refresh is counted as one.)
        if (run === undefined) tell(call.recorder.cache === "coalesced")
        return Effect.failCause(cause)
      },
      onSuccess: ({ joined, opened }) => {
        const { elsewhere } = asked
        // Who has joined another call that failed, and then asked itself, has shared nothing.
        call.recorder.cache ??= "miss"
        if (elsewhere !== undefined) {
          call.recorder.cache = "coalesced"
          call.recorder.saved = { usage: elsewhere.usage, cost: elsewhere.cost }
        }
        if (run === undefined) tell(joined || elsewhere !== undefined)
        return Effect.succeed(opened)
      }
    })
  }

  private asked(
    engine: Engine,
    directed: Directed,
    asking: Asking,
    fallback?: Entry
  ): Asked<E, R> {
    return new Asked(this.options, engine, asking, {
      // (Who has not looked does not know what is there.)
      keepsFailure: (error) => directed.mode === "default" && (fallback === undefined || !passes(error)),
      waits: asking.writes && this.settings.waitForOthers > 0 && directed.mode === "default",
      isFresh: (entry, now) => this.standing(entry, now, directed) === "fresh"
    })
  }

  /** Gets a new answer behind the back of a call that is given the old one, as an operation of its own. */
  private refresh(
    engine: Engine,
    call: Call,
    directed: Directed,
    asking: Asking,
    seen: Entry
  ): Effect.Effect<void, never, R> {
    const { lease, storeTimeout } = this.settings
    const { identity: { key, tags } } = asking
    return engine.refresh(
      key,
      call.recorder.now(),
      Effect.suspend(() => {
        const holder = engine.holder()
        const turns = turnsOf(key, asking.generation)
        const leased = Effect.orElseSucceed(
          engine.lease(turns, holder, lease, storeTimeout),
          // Without a store to ask there is nobody to leave it to.
          () => true
        )
        return Effect.flatMap(leased, (leased) => {
          if (!leased) return Effect.succeed(false)
          let written: Effect.Effect<void> = Effect.void
          const refreshed = Effect.flatMap(
            this.again(engine, key, tags),
            ({ entry, generation }) => {
              // Somebody has done it meanwhile.
              if (entry !== undefined && entry.storedAt !== seen.storedAt) return Effect.succeed(false)
              const anew = { ...asking, generation }
              const run = this.asked(engine, refreshing, anew)
              written = run.written
              return Effect.as(this.operation(engine, call, anew, run), true)
            }
          )
          return Effect.onExit(
            refreshed,
            (exit) => engine.release(turns, holder, storeTimeout, exit._tag === "Success" ? written : undefined)
          )
        })
      })
    )
  }

  /** What is there by now, as far as the store says. */
  private again(
    engine: Engine,
    key: string,
    tags: ReadonlyArray<string>
  ): Effect.Effect<{ readonly entry: Entry | undefined; readonly generation: string | undefined }> {
    return Effect.matchEffect(engine.lookup(key, tags, this.settings.storeTimeout), {
      onFailure: () => Effect.succeed({ entry: undefined, generation: undefined }),
      onSuccess: (found) => Effect.map(engine.read(key, found), (entry) => ({ entry, generation: found.generation }))
    })
  }

  /** Asks on nobody's receipt but its own. */
  private operation(engine: Engine, call: Call, asking: Asking, run: Asked<E, R>): Effect.Effect<void, E, R> {
    return Effect.flatMap(randomId, (random) =>
      begun((fiber, restore) => {
        const { lease } = this.settings
        const id = `op_${random}`
        const recorder = recorderOf(fiber, call.recorder.clock, {
          id,
          operation: "chat",
          mode: "whole",
          request: call.request,
          attribution: call.attribution,
          plan: this.self.plan,
          refresh: true
        })
        recorder.prompt = call.prompt
        recorder.cache = "miss"
        const own: Call = {
          ...call,
          id,
          mode: "whole",
          recorder,
          attempt: 0,
          // Nobody waits for it.
          deadline: recorder.now() + lease,
          openBy: undefined,
          pulse: undefined
        }
        const opened = Effect.timeoutOrElse(this.shared(engine, own, refreshing, asking, undefined, run), {
          duration: Duration.millis(lease),
          orElse: () => Effect.die(new Error("A refresh of the cache took longer than its lease"))
        })
        return Effect.asVoid(Effect.onExit(
          restore(Effect.scopedWith((scope) => Scope.provide(opened, scope))),
          (exit) => Effect.flatMap(Observer, (observe) => observe(recorder.close(outcomeOf(exit), errorOf(exit))))
        ))
      }))
  }
}

/** How a refresh is asked for. */
const refreshing: Directed = { mode: "writeOnly", maximumAge: Infinity, tags: [] }

const notEarly = Effect.succeed(false)

/** Whether a failure is likely to pass by itself. */
const passes = (error: unknown): boolean => {
  if (isTransient(error)) return true
  switch (tagOf(error)) {
    // It has opened because of such failures.
    case "CircuitOpen":
      return true
    case "AllModelsExhausted":
      return (error as { readonly failures: ReadonlyArray<unknown> }).failures.some(passes)
    default:
      return false
  }
}
