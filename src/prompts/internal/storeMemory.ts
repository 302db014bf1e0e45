/**
 * Prompts in process.
 */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { PromptVersion } from "../PromptVersion.ts"
import type { Entry, ExperimentRecord, LabelEvent, Score, ScoreQuery, ScoreTotal, Snapshot } from "./store.ts"
import { byName, type Home, moving, publishing, remarks, saving, taken, untouched } from "./storeHome.ts"

interface Prompt {
  readonly name: string
  readonly versions: Map<number, PromptVersion>
  readonly labels: Map<string, number>
  readonly events: Array<LabelEvent>
  readonly experiments: Map<string, Array<ExperimentRecord>>
}

/** How many scores are kept. */
const maxScores = 100_000

export const makeHome: Effect.Effect<Home> = Effect.map(
  PubSub.sliding<void>(1),
  (changes) => new MemoryHome(changes)
)

class MemoryHome implements Home {
  private readonly prompts = new Map<string, Prompt>()
  /** By their ids, in the order in which they came. */
  private readonly kept = new Map<string, Score>()
  private readonly pubsub: PubSub.PubSub<void>
  private revision = 0
  private current: Snapshot | undefined
  /** What has not changed since the last snapshot. */
  private readonly entries = new Map<string, Entry>()

  constructor(pubsub: PubSub.PubSub<void>) {
    this.pubsub = pubsub
  }

  readonly snapshot: Home["snapshot"] = Effect.sync(() => {
    this.current ??= {
      revision: String(this.revision),
      prompts: byName(Array.from(this.prompts.values(), (prompt) => {
        const entry = this.entries.get(prompt.name) ?? entryOf(prompt)
        this.entries.set(prompt.name, entry)
        return entry
      })),
      problems: [],
      staleSince: undefined
    }
    return this.current
  })

  get changes(): Home["changes"] {
    return signals(this.pubsub)
  }

  private changed(name: string): void {
    this.revision++
    this.entries.delete(name)
    this.current = undefined
    PubSub.publishUnsafe(this.pubsub, undefined)
  }

  private prompt(name: string): Prompt {
    const prompt = this.prompts.get(name) ??
      { name, versions: new Map(), labels: new Map(), events: [], experiments: new Map() }
    this.prompts.set(name, prompt)
    return prompt
  }

  readonly version: Home["version"] = (name, version) =>
    Effect.sync(() => this.prompts.get(name)?.versions.get(version))

  readonly versions: Home["versions"] = (name) => Effect.sync(() => versionsOf(this.prompts.get(name)))

  readonly publish: Home["publish"] = (draft, hash, now) =>
    Effect.suspend(() => {
      const known = this.prompts.get(draft.name)
      const same = draft.version === undefined ? undefined : known?.versions.get(draft.version)
      return Effect.map(publishing(draft, hash, versionsOf(known).at(-1), same), ({ _tag, version }) => {
        if (_tag === "Repeat") return known!.versions.get(version)!
        const published: PromptVersion = { ...draft, version, hash, createdAt: now }
        this.prompt(draft.name).versions.set(version, published)
        this.changed(draft.name)
        return published
      })
    })

  readonly adopt: Home["adopt"] = (version) =>
    Effect.suspend(() => {
      const known = this.prompts.get(version.name)?.versions.get(version.version)
      if (known !== undefined) {
        return known.hash === version.hash ? Effect.succeed(known) : taken(version.name, version.version)
      }
      this.prompt(version.name).versions.set(version.version, version)
      this.changed(version.name)
      return Effect.succeed(version)
    })

  readonly label: Home["label"] = (move, now) =>
    Effect.suspend(() => {
      const { label, name, version } = move
      const known = this.prompts.get(name)
      const current = known?.labels.get(label)
      if (current === version) {
        const last = known?.events.findLast((event) => event.label === label)
        if (last !== undefined) return Effect.succeed(last)
        if (version === undefined) return Effect.succeed(untouched(move, now))
      }
      return Effect.map(
        moving(move, current, version !== undefined && known?.versions.has(version) === true),
        () => {
          const prompt = this.prompt(name)
          const event: LabelEvent = {
            name,
            label,
            sequence: prompt.events.length + 1,
            from: current,
            version,
            at: now,
            ...remarks(move, "by", "reason")
          }
          prompt.events.push(event)
          if (version === undefined) prompt.labels.delete(label)
          else prompt.labels.set(label, version)
          this.changed(name)
          return event
        }
      )
    })

  readonly history: Home["history"] = (name) => Effect.sync(() => [...this.prompts.get(name)?.events ?? []])

  readonly experiments: Home["experiments"] = (name) =>
    Effect.map(
      this.snapshot,
      ({ prompts }) =>
        Array.from(prompts.values())
          .filter((entry) => name === undefined || entry.name === name)
          .flatMap(({ experiments }) => Array.from(experiments.values()))
    )

  readonly saveExperiment: Home["saveExperiment"] = (save, now) =>
    Effect.suspend(() => {
      const { document, id, name } = save
      const revision = this.prompts.get(name)?.experiments.get(id)?.length ?? 0
      return Effect.map(saving(save, revision), () => {
        const { experiments } = this.prompt(name)
        const record: ExperimentRecord = {
          name,
          id,
          revision: revision + 1,
          document,
          at: now,
          ...remarks(save, "by", "reason")
        }
        experiments.set(id, [...experiments.get(id) ?? [], record])
        this.changed(name)
        return record
      })
    })

  readonly experimentHistory: Home["experimentHistory"] = (name, id) =>
    Effect.sync(() => this.prompts.get(name)?.experiments.get(id) ?? [])

  readonly score: Home["score"] = (scores) =>
    Effect.sync(() => {
      for (const score of scores) if (!this.kept.has(score.id)) this.kept.set(score.id, score)
      for (const id of this.kept.keys()) {
        if (this.kept.size <= maxScores) break
        this.kept.delete(id)
      }
    })

  readonly scores: Home["scores"] = (query, limit) =>
    Effect.sync(() =>
      Array.from(this.kept.values())
        .filter(asking(query))
        .toSorted((one, other) => other.at - one.at || (one.id < other.id ? -1 : 1))
        .slice(0, limit)
    )

  readonly scoreTotals: Home["scoreTotals"] = (query) =>
    Effect.sync(() => totals(Array.from(this.kept.values()).filter(asking(query))))

  readonly pruneScores: Home["pruneScores"] = (before) =>
    Effect.sync(() => {
      const size = this.kept.size
      for (const { at, id } of this.kept.values()) if (at < before) this.kept.delete(id)
      return size - this.kept.size
    })
}

/** At once, and whenever there is something; several at once are one. */
export const signals = (pubsub: PubSub.PubSub<void>): Stream.Stream<void> =>
  Stream.unwrap(Effect.map(
    PubSub.subscribe(pubsub),
    // What happens from now on is not missed.
    (subscription) => Stream.concat(Stream.succeed(undefined), Stream.fromSubscription(subscription))
  ))

const versionsOf = (prompt: Prompt | undefined): ReadonlyArray<PromptVersion> =>
  Array.from(prompt?.versions.values() ?? []).toSorted((one, other) => one.version - other.version)

const entryOf = (prompt: Prompt): Entry => ({
  name: prompt.name,
  versions: new Map(versionsOf(prompt).map((version) => [version.version, version])),
  labels: new Map(prompt.labels),
  experiments: new Map(
    Array.from(prompt.experiments, ([id, records]) => [id, records.at(-1)!] as const)
      .toSorted(([one], [other]) => one < other ? -1 : 1)
  )
})

const asking =
  ({ experiment, from, metric, name, until, versions }: ScoreQuery) => ({ at, metric: by, prompt }: Score) =>
    prompt.name === name && (versions === undefined || versions.includes(prompt.version)) &&
    (metric === undefined || by === metric) && (experiment === undefined || prompt.experiment === experiment) &&
    (from === undefined || at >= from) && (until === undefined || at < until)

const totals = (scores: ReadonlyArray<Score>): ReadonlyArray<ScoreTotal> =>
  Array.from(
    Map.groupBy(scores, ({ metric, prompt: { experiment, variant, version } }) =>
      JSON.stringify([version, experiment, variant, metric])).values(),
    (group): ScoreTotal => {
      const { metric, prompt: { experiment, variant, version } } = group[0]!
      const values = group.map(({ value }) =>
        value
      )
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      return {
        version,
        experiment,
        variant,
        metric,
        count: values.length,
        mean,
        squares: values.reduce((sum, value) => sum + (value - mean) ** 2, 0),
        least: values.reduce((one, other) => Math.min(one, other)),
        most: values.reduce((one, other) => Math.max(one, other))
      }
    }
  ).toSorted(inOrder)

/** By version, then by what it was tried in, then by measure. */
export const inOrder = (one: ScoreTotal, other: ScoreTotal): number => {
  if (one.version !== other.version) return one.version - other.version
  for (const key of ["experiment", "variant", "metric"] as const) {
    const [a, b] = [one[key] ?? "", other[key] ?? ""]
    if (a !== b) return a < b ? -1 : 1
  }
  return 0
}
