/**
 * A store over another: what is read is of both, what is written goes to the upper one.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import * as Version from "../PromptVersion.ts"
import {
  type Entry,
  type LabelEvent,
  type LabelMove,
  type Problem,
  PromptRefused,
  type PromptStore,
  type PromptStoreError,
  type Snapshot
} from "./store.ts"
import { byName, type Home, moving, type Operation, outage, publishing, taken } from "./storeHome.ts"
import { signals } from "./storeMemory.ts"

type Store = PromptStore["Service"]

export interface Settings {
  /** How long the upper store may take. */
  readonly timeout: Duration.Duration
  /** How long to wait before it is tried again to open the upper store. */
  readonly reopenAfter: Duration.Duration
}

/** How often whoever moves from wherever it is tries again, because somebody else moves as well. */
const maxTries = 50

/** A store that may not be there yet. */
export interface Upper {
  readonly ask: <A, E>(
    operation: Operation,
    step: (store: Store) => Effect.Effect<A, E | PromptStoreError>
  ) => Effect.Effect<A, E | PromptStoreError>
  readonly changes: Stream.Stream<void>
}

/** How long opening may take in the background. */
const openTimeout = Duration.seconds(30)

/** Opens a store, now or as soon as it can be opened. What is wrong with the program itself is a defect, at once. */
export const makeUpper = <E, R>(
  open: Effect.Effect<Store, E, Scope.Scope | R>,
  { reopenAfter, timeout }: Settings
): Effect.Effect<Upper, never, Scope.Scope | R> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const opened = yield* Deferred.make<Store>()
    let store: Store | undefined
    let failure: unknown = new Error("it took too long to open the store")
    const attempt = (limit: Duration.Duration) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const own = yield* Scope.fork(scope)
          const exit = yield* Effect.exit(restore(Effect.timeout(Scope.provide(open, own), limit)))
          if (Exit.isSuccess(exit)) {
            store = exit.value
            return yield* Deferred.succeed(opened, store)
          }
          // What was opened of it is closed.
          yield* Scope.close(own, exit)
          const error = Cause.findError(exit.cause)
          if (Result.isFailure(error)) return yield* Effect.failCause(error.failure)
          failure = error.success
          return false
        })
      )
    if (!(yield* attempt(timeout))) {
      const report = reportUnhandled("PromptStore: the upper store cannot be opened", Cause.fail(failure))
      yield* report
      yield* Effect.forkScoped(
        Effect.repeat(Effect.andThen(Effect.sleep(reopenAfter), attempt(openTimeout)), { until: (done) => done }).pipe(
          Effect.tapCause((cause) => reportUnhandled("PromptStore: the upper store cannot be opened", cause))
        )
      )
    }
    return {
      ask: (operation, step) =>
        Effect.suspend(() => store === undefined ? Effect.fail(outage(operation, failure)) : step(store)).pipe(
          Effect.timeoutOrElse({
            duration: timeout,
            orElse: () => Effect.fail(outage(operation, new Error("the store did not answer in time")))
          })
        ),
      changes: Stream.unwrap(Effect.map(Deferred.await(opened), (store) => store.changes))
    }
  })

/** What was read of one of the two stores. */
interface Side {
  readonly snapshot: Snapshot | undefined
  /** Since when it could not be read; undefined where it could. */
  readonly since: number | undefined
  readonly error: PromptStoreError | undefined
}

export const makeHome = (upper: Upper, lower: Store): Effect.Effect<Home> =>
  Effect.gen(function*() {
    const pubsub = yield* PubSub.sliding<void>(1)
    const semaphore = yield* Semaphore.make(1)
    const nothing: Side = { snapshot: undefined, since: undefined, error: undefined }
    let sides: readonly [Side, Side] = [nothing, nothing]
    let merged: Snapshot | undefined
    let key = ""

    const look = (before: Side, read: Effect.Effect<Snapshot, PromptStoreError>): Effect.Effect<Side> =>
      Clock.clockWith((clock) =>
        Effect.match(read, {
          onSuccess: (snapshot) => ({ snapshot, since: undefined, error: undefined }),
          onFailure: (error) => ({
            snapshot: before.snapshot,
            since: before.since ?? clock.currentTimeMillisUnsafe(),
            error
          })
        })
      )

    const read = semaphore.withPermits(1)(Effect.gen(function*() {
      const [up, low] = sides
      sides = yield* Effect.all([
        look(up, upper.ask("snapshot", (store) => store.snapshot)),
        look(low, lower.snapshot)
      ], { concurrency: 2 })
      const [above, below] = sides
      if (above.snapshot === undefined && below.snapshot === undefined) return yield* above.error ?? below.error!
      const next = sides.map(({ since, snapshot }) => `${snapshot?.revision}/${since}`).join()
      if (merged === undefined || next !== key) merged = merge(above, below)
      key = next
      return merged
    }))

    /** The two stores as they are, or as the lower one was: it is only that they must not contradict each other. */
    const current = (operation: Operation, name: string) =>
      Effect.gen(function*() {
        const above = yield* upper.ask(operation, (store) => store.snapshot)
        const side = yield* look(sides[1], lower.snapshot)
        if (side.snapshot === undefined) return yield* side.error!
        return { above: above.prompts.get(name), below: side.snapshot.prompts.get(name) }
      })

    const numbered = (above: Entry | undefined, below: Entry | undefined) =>
      new Map([...below?.versions ?? [], ...above?.versions ?? []])

    const publish: Home["publish"] = (draft, hash, now) => {
      const attempt = (tries: number): Effect.Effect<Version.PromptVersion, unknown> =>
        Effect.gen(function*() {
          const { above, below } = yield* current("publish", draft.name)
          const versions = numbered(above, below)
          const last = Array.from(versions.values()).reduce<Version.PromptVersion | undefined>(
            (last, version) => last === undefined || version.version > last.version ? version : last,
            undefined
          )
          const same = draft.version === undefined ? undefined : versions.get(draft.version)
          const { _tag, version } = yield* publishing(draft, hash, last, same)
          if (_tag === "Repeat") return versions.get(version)!
          const made: Version.PromptVersion = { ...draft, version, hash, createdAt: now }
          const adopted = yield* Effect.result(upper.ask("publish", (store) => store.adopt(made)))
          if (Result.isSuccess(adopted)) return adopted.success
          // Somebody else has published meanwhile.
          return adopted.failure._tag === "PromptConflict" && draft.version === undefined && tries > 0
            ? yield* attempt(tries - 1)
            : yield* adopted.failure
        })
      return attempt(maxTries)
    }

    const label: Home["label"] = (move) => {
      const { label, name, version } = move
      const attempt = (tries: number): Effect.Effect<LabelEvent, unknown> =>
        Effect.gen(function*() {
          const { above, below } = yield* current("label", name)
          const own = above?.labels.get(label)
          const shipped = below?.labels.get(label)
          const pointing = own ?? shipped
          const versions = numbered(above, below)
          if (version === undefined && own === undefined) {
            return yield* shipped === undefined
              ? upper.ask("label", (store) => store.label({ name, label, version }))
              : inLower(move)
          }
          if (pointing !== version) yield* moving(move, pointing, version !== undefined && versions.has(version))
          // What a label points to must be there as long as the label is.
          const adopt = (number: number) => upper.ask("label", (store) => store.adopt(versions.get(number)!))
          const put = (move: LabelMove) => upper.ask("label", (store) => store.label(move))
          const moved = yield* Effect.result(Effect.gen(function*() {
            if (own === undefined && shipped !== undefined && shipped !== version) {
              // So that its history says where it came from, and it can be moved back.
              yield* adopt(shipped)
              yield* put({ name, label, version: shipped, from: "nothing", reason: "as shipped" })
            }
            if (version !== undefined) yield* adopt(version)
            return yield* put({ ...move, from: own ?? (shipped === version ? "nothing" : shipped ?? "nothing") })
          }))
          if (Result.isSuccess(moved)) return moved.success
          const { failure } = moved
          return failure._tag === "PromptConflict" && failure.subject === "label" && tries > 0
            // Somebody else was faster: where they moved it to is where it is now.
            ? yield* attempt(tries - 1)
            : yield* failure
        })
      return attempt(maxTries)
    }

    const changed = <A>(step: Effect.Effect<A, unknown>): Effect.Effect<A, unknown> =>
      Effect.tap(step, () => PubSub.publish(pubsub, undefined))

    return {
      snapshot: read,
      changes: Stream.merge(Stream.merge(signals(pubsub), lower.changes), upper.changes),
      version: (name, number) => Effect.map(versionsOf(name, "version"), (versions) => versions.get(number)),
      versions: (name) =>
        Effect.map(
          versionsOf(name, "versions"),
          (versions) => Array.from(versions.values()).toSorted((one, other) => one.version - other.version)
        ),
      publish: (draft, hash, now) => changed(publish(draft, hash, now)),
      adopt: (version) =>
        changed(Effect.gen(function*() {
          const below = yield* lower.version(version.name, version.version)
          if (below !== undefined && below.hash !== version.hash) {
            return yield* taken(version.name, version.version)
          }
          return yield* upper.ask("adopt", (store) => store.adopt(version))
        })),
      label: (move, now) => changed(label(move, now)),
      history: (name) => upper.ask("history", (store) => store.history(name)),
      experiments: (name) => upper.ask("experiments", (store) => store.experiments(name)),
      saveExperiment: (save) => changed(upper.ask("saveExperiment", (store) => store.saveExperiment(save))),
      experimentHistory: (name, id) => upper.ask("experimentHistory", (store) => store.experimentHistory(name, id)),
      score: (scores) => upper.ask("score", (store) => store.score(scores)),
      scores: (query, limit) => upper.ask("scores", (store) => store.scores({ ...query, limit })),
      scoreTotals: (query) => upper.ask("scoreTotals", (store) => store.scoreTotals(query)),
      pruneScores: (before) => upper.ask("pruneScores", (store) => store.pruneScores(before))
    }

    /** Of a store that does not answer, what was last read; where there is nothing, half an answer would be a wrong one. */
    function versionsOf(name: string, operation: Operation) {
      const of = (before: Side, asked: Effect.Effect<ReadonlyArray<Version.PromptVersion>, PromptStoreError>) =>
        Effect.catch(asked, (error) =>
          before.snapshot === undefined
            ? Effect.fail(error)
            : Effect.succeed([...before.snapshot.prompts.get(name)?.versions.values() ?? []]))
      return Effect.map(
        Effect.all([
          of(sides[0], upper.ask(operation, (store) => store.versions(name))),
          of(sides[1], lower.versions(name))
        ]),
        ([above, below]) => new Map([...below, ...above].map((version) => [version.version, version]))
      )
    }
  })

const inLower = ({ label, name }: LabelMove): Effect.Effect<never, PromptRefused> =>
  Effect.fail(
    new PromptRefused({
      operation: "label",
      reason: "ReadOnly",
      name,
      problem: `the label ${label} is one of the lower store`,
      remedy: "Move it to another version, or take it away where it was written"
    })
  )

const merge = (above: Side, below: Side): Snapshot => {
  const problems: Array<Problem> = [
    ...above.snapshot?.problems ?? [],
    ...below.snapshot?.problems ?? [],
    ...silent("upper", above),
    ...silent("lower", below)
  ]
  const entries = new Map<string, Entry>(above.snapshot?.prompts)
  for (const [name, low] of below.snapshot?.prompts ?? []) {
    const up = entries.get(name)
    entries.set(name, up === undefined ? { ...low, experiments: new Map() } : both(up, low, problems))
  }
  const since = [above.since, below.since].filter((since) => since !== undefined)
  return {
    revision: `${above.snapshot?.revision ?? "-"}/${below.snapshot?.revision ?? "-"}`,
    prompts: byName(entries.values()),
    problems,
    staleSince: since.length === 0 ? undefined : Math.min(...since)
  }
}

const silent = (which: string, { since, snapshot }: Side): ReadonlyArray<Problem> =>
  since === undefined ? [] : [{
    kind: "Unreadable",
    source: `the ${which} store`,
    message: `the ${which} store does not answer`,
    remedy: "See to it that it can be reached; until then what was last read of it is served",
    lastGood: snapshot !== undefined
  }]

const both = (up: Entry, low: Entry, problems: Array<Problem>): Entry => {
  for (const [number, version] of low.versions) {
    const other = up.versions.get(number)
    if (other === undefined || other.hash === version.hash) continue
    problems.push({
      kind: "Conflict",
      source: `the lower store: ${Version.format(version)}`,
      name: low.name,
      version: number,
      message: `version ${number} of the lower store is another than that of the upper one, which is served`,
      remedy: "Give the version of the lower store the next number",
      lastGood: false
    })
  }
  return {
    name: up.name,
    versions: new Map(Array.from(new Map([...low.versions, ...up.versions])).toSorted(([one], [other]) => one - other)),
    labels: sorted(new Map([...low.labels, ...up.labels])),
    experiments: up.experiments
  }
}

const sorted = <A>(map: ReadonlyMap<string, A>): ReadonlyMap<string, A> =>
  new Map(Array.from(map).toSorted(([one], [other]) => one < other ? -1 : 1))
