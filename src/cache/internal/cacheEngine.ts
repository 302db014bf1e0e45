/**
 * What all policies of one `Cache` layer share: the store and how long it is waited for, the calls under way, what is written and
 * refreshed in the background, and the counts.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import { digest, digestSync } from "../../core/internal/digest.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import type { CacheStore, CacheStoreError, Found } from "../CacheStore.ts"
import type { SingleFlight } from "../SingleFlight.ts"
import { isAtOnce } from "./atOnce.ts"
import { Counts } from "./cacheCounts.ts"
import { CacheValueError, decode, encode, type Entry } from "./cacheValue.ts"
import { jsonBytes } from "./jsonSize.ts"

/** Something that a cache did. */
export interface Change {
  /** When, in milliseconds since 1970. */
  readonly at: number
  /**
   * An answer was found (`Hit`), or is past its time and given all the same (`Stale`); a model is asked (`Miss`), or another call was
   * joined (`Coalesced`); the cache was passed by (`Bypassed`); an answer was kept (`Written`), or is none to keep (`Refused`); a new one
   * was got in the background (`Refreshed`), or was not to be had (`NotRefreshed`).
   */
  readonly _tag:
    | "Hit"
    | "Stale"
    | "Miss"
    | "Coalesced"
    | "Bypassed"
    | "Written"
    | "Refused"
    | "Refreshed"
    | "NotRefreshed"
  /** The key of the answer, where there is one. */
  readonly key: string | undefined
}

export interface EngineOptions {
  readonly store: CacheStore["Service"]
  readonly flights: SingleFlight["Service"]
  readonly writes: FiberSet.FiberSet
  readonly refreshes: FiberSet.FiberSet
  readonly changes: PubSub.PubSub<Change>
  readonly holder: string
  /** The most bytes of an entry that is kept. */
  readonly maxEntryBytes: number
  /** How long a layer that closes waits for what is being written, in milliseconds. */
  readonly flushMillis: number
}

/** How long a refresh that has failed is not tried again for, in milliseconds. */
const coolOff = 5_000

/** The most names of tags whose hashes are remembered. */
const mostTags = 10_000

/** The most writes that are remembered. */
const mostWritten = 1_000

export class Engine {
  readonly options: EngineOptions
  readonly counts = new Counts()
  /** What was written last, each with a number that grows. */
  private readonly written = new Map<string, number>()
  private writes = 0
  private readonly refreshing = new Set<string>()
  private readonly coolUntil = new Map<string, number>()
  private readonly tags = new Map<string, string>()
  private holders = 0

  constructor(options: EngineOptions) {
    this.options = options
  }

  get store(): CacheStore["Service"] {
    return this.options.store
  }

  /** A name that nobody else holds a lease by. */
  holder(): string {
    return `${this.options.holder}:${++this.holders}`
  }

  tell(_tag: Change["_tag"], at: number, key: string | undefined): void {
    PubSub.publishUnsafe(this.options.changes, { _tag, at, key })
  }

  // ---- the store ----

  /** A question that the store has only so much time to answer. Whatever goes wrong is logged and counted. */
  ask<A>(
    question: Effect.Effect<A, CacheStoreError>,
    timeoutMillis: number
  ): Effect.Effect<A, CacheStoreError | Cause.TimeoutError> {
    return this.logged(inTime(question, timeoutMillis))
  }

  private asked<A>(
    operation: "lookup" | "write" | "lease" | "release",
    question: Effect.Effect<A, CacheStoreError>,
    timeoutMillis: number
  ): Effect.Effect<A, CacheStoreError | Cause.TimeoutError> {
    return isAtOnce(this.store[operation]) ? this.logged(question) : this.ask(question, timeoutMillis)
  }

  private logged<A, E>(question: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.onError(question, (cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.void
      this.counts.storeErrors++
      return reportUnhandled("Cache could not reach its store", cause)
    })
  }

  /** What is there of a key. What this process has written while it was looked for is found too. */
  lookup(
    key: string,
    tags: ReadonlyArray<string>,
    timeoutMillis: number
  ): Effect.Effect<Found, CacheStoreError | Cause.TimeoutError> {
    return Effect.suspend(() => {
      const before = this.writes
      return Effect.flatMap(
        this.asked("lookup", this.store.lookup(key, tags), timeoutMillis),
        (found) =>
          found.value === undefined && (this.written.get(key) ?? 0) > before
            ? this.lookup(key, tags, timeoutMillis)
            : Effect.succeed(found)
      )
    })
  }

  /** What was found, read; nothing where it cannot be, which is logged and counted. */
  read(key: string, { unreadable, value }: Found): Effect.Effect<Entry | undefined> {
    if (value === undefined && unreadable === undefined) return nothing
    const decoded = value === undefined
      ? Result.fail(new CacheValueError({ reason: unreadable! }))
      : decode(key, value)
    if (Result.isSuccess(decoded) && isWhole(decoded.success)) return Effect.succeed(decoded.success)
    this.counts.undecodable++
    const why = Result.isFailure(decoded) ? decoded.failure : new CacheValueError({ reason: "malformed" })
    return Effect.as(reportUnhandled("Cache could not read an entry, and asks anew", Cause.fail(why)), undefined)
  }

  /**
   * Writes an entry, in the background: whoever is interrupted, it is written. It is waited for no longer than the store may take.
   */
  write(
    entry: Entry,
    options: { readonly generation: string; readonly keepMillis: number; readonly timeoutMillis: number }
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { key } = entry
      const encoded = encode(entry)
      if (Result.isFailure(encoded)) {
        return Effect.andThen(
          reportUnhandled("Cache could not keep an answer", Cause.fail(encoded.failure)),
          this.refuse(key)
        )
      }
      const value = encoded.success
      if (jsonBytes(value) > this.options.maxEntryBytes) return this.refuse(key)
      const { generation, keepMillis, timeoutMillis } = options
      const step = this.store.write(key, value, { generation, timeToLive: Duration.millis(keepMillis) })
      const written = Effect.matchCauseEffect(this.asked("write", step, timeoutMillis), {
        onFailure: () => Effect.void,
        onSuccess: () =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            this.counts.writes++
            this.note(key)
            this.tell("Written", now, key)
          })
      })
      if (isAtOnce(this.store.write)) return written
      return Effect.flatMap(
        FiberSet.run(this.options.writes, written, { startImmediately: true }),
        (fiber) => fiber.pollUnsafe() === undefined ? Effect.asVoid(Fiber.await(fiber)) : Effect.void
      )
    })
  }

  private note(key: string): void {
    this.written.delete(key)
    this.written.set(key, ++this.writes)
    if (this.written.size > mostWritten) this.written.delete(this.written.keys().next().value!)
  }

  refuse(key: string): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      this.counts.refused++
      this.tell("Refused", now, key)
    })
  }

  /** Whether whose turn it is can be told without waiting. */
  get leasesAtOnce(): boolean {
    return isAtOnce(this.store.lease) && isAtOnce(this.store.lookup)
  }

  /** Takes a lease, if it is to be had. */
  lease(
    key: string,
    holder: string,
    leaseMillis: number,
    timeoutMillis: number
  ): Effect.Effect<boolean, CacheStoreError | Cause.TimeoutError> {
    return this.asked("lease", this.store.lease(key, holder, Duration.millis(leaseMillis)), timeoutMillis)
  }

  /** Gives a lease back, in the background, after something else if there is any. */
  release(key: string, holder: string, timeoutMillis: number, after?: Effect.Effect<unknown>): Effect.Effect<void> {
    const released = Effect.ignore(this.asked("release", this.store.release(key, holder), timeoutMillis))
    if (after === undefined && isAtOnce(this.store.release)) return released
    return this.later(after === undefined ? released : Effect.andThen(after, released))
  }

  /** Does something in the background, which the layer waits for when it closes. */
  later(effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.asVoid(FiberSet.run(this.options.writes, effect, { startImmediately: true }))
  }

  /** What is left to write is given a last chance when the layer closes. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => within(FiberSet.awaitEmpty(this.options.writes), this.options.flushMillis))
  }

  // ---- refreshes ----

  /** Refreshes a key in the background, unless this process does so already, or has just failed to. */
  refresh<R>(key: string, now: number, refresh: Effect.Effect<boolean, unknown, R>): Effect.Effect<void, never, R> {
    if (this.refreshing.has(key) || now < (this.coolUntil.get(key) ?? 0)) return Effect.void
    const ended = Effect.onExit(refresh, (exit) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        this.refreshing.delete(key)
        if (exit._tag === "Success") {
          this.coolUntil.delete(key)
          // Somebody else may have done it.
          if (exit.value) {
            this.counts.refreshes++
            this.tell("Refreshed", now, key)
          }
          return Effect.void
        }
        this.cool(key, now)
        this.counts.failedRefreshes++
        this.tell("NotRefreshed", now, key)
        return Cause.hasInterruptsOnly(exit.cause)
          ? Effect.void
          : reportUnhandled("Cache could not refresh an answer", exit.cause)
      }))
    // In the fiber that ends it: whoever led to it may be interrupted before there is one.
    const run = Effect.suspend(() => {
      if (this.refreshing.has(key)) return Effect.void
      this.refreshing.add(key)
      return ended
    })
    return Effect.contextWith((context: Context.Context<R>) =>
      Effect.asVoid(
        FiberSet.run(
          this.options.refreshes,
          // It outlives the span that it began in.
          Effect.provideContext(run, Context.omit(Tracer.ParentSpan)(context) as Context.Context<R>)
        )
      )
    )
  }

  private cool(key: string, now: number): void {
    this.coolUntil.set(key, now + coolOff)
    if (this.coolUntil.size <= 1_000) return
    for (const [cooled, until] of this.coolUntil) {
      if (until <= now) this.coolUntil.delete(cooled)
    }
  }

  // ---- tags ----

  /** The names of tags in the store: hashes, since they tell of customers. */
  tagsOf(texts: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> {
    if (digestSync !== undefined) {
      const sync = digestSync
      return Effect.succeed(texts.map((text) => this.tags.get(text) ?? this.remember(text, sync(text))))
    }
    return Effect.forEach(texts, (text) => {
      const known = this.tags.get(text)
      return known === undefined ? Effect.map(digest(text), (hash) => this.remember(text, hash)) : Effect.succeed(known)
    })
  }

  private remember(text: string, hash: string): string {
    const name = hash.slice(0, 32)
    if (this.tags.size >= mostTags) this.tags.delete(this.tags.keys().next().value!)
    this.tags.set(text, name)
    return name
  }
}

const nothing = Effect.succeed(undefined)

/** An answer is one with its end. */
const isWhole = (entry: Entry): boolean => entry._tag === "Failure" || entry.parts.at(-1)?.type === "finish"

/** A limit on an effect that may well end at once, as one of a store in memory does: then there is no need of a timer. */
const inTime = <A, E>(effect: Effect.Effect<A, E>, millis: number): Effect.Effect<A, E | Cause.TimeoutError> =>
  Effect.flatMap(
    Effect.forkChild(effect, { startImmediately: true }),
    (fiber): Effect.Effect<A, E | Cause.TimeoutError> =>
      fiber.pollUnsafe() ?? Effect.ensuring(
        Effect.timeoutOrElse(Fiber.join(fiber), {
          duration: Duration.millis(millis),
          orElse: () => Effect.fail(new Cause.TimeoutError("The store of the cache did not answer in time"))
        }),
        // Nobody waits for it to stop.
        Effect.sync(() => fiber.interruptUnsafe())
      )
  )

export const within = (effect: Effect.Effect<unknown>, millis: number): Effect.Effect<void> =>
  Effect.timeoutOrElse(Effect.asVoid(effect), { duration: Duration.millis(millis), orElse: () => Effect.void })

/** 48 random bits. */
export const randomId: Effect.Effect<string> = Random.Random.use((random) =>
  Effect.sync(() => Math.floor(random.nextDoubleUnsafe() * 2 ** 48).toString(16).padStart(12, "0"))
)
