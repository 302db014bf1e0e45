/**
 * What prompts are served from: everything as it was at one moment, its templates parsed once. It is replaced as a whole.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Attribution } from "../../core/Attribution.ts"
import { PromptNotFound } from "../../core/LlmError.ts"
import type { PromptReference } from "../../core/PromptReference.ts"
import type { PromptVersion } from "../PromptVersion.ts"
import { type Moment, Traffic } from "./experimentTraffic.ts"
import { type Compilation, compile, type Find, isCurrent } from "./promptCompile.ts"
import type { Entry, Snapshot } from "./store.ts"
import type { Bounds } from "./templateEngine.ts"

export class Serving {
  readonly source: Snapshot
  /** When it was read, in milliseconds since 1970. */
  readonly loadedAt: number
  /** The experiments that run. */
  readonly traffic: Traffic
  readonly bounds: Bounds
  private readonly compiled = new Map<PromptVersion, Compilation>()

  constructor(source: Snapshot, loadedAt: number, bounds: Bounds) {
    this.source = source
    this.traffic = new Traffic(source)
    this.loadedAt = loadedAt
    this.bounds = bounds
  }

  readonly find: Find = (name, version) => this.source.prompts.get(name)?.versions.get(version)

  /** The templates of a version: parsed when it is asked for first. */
  compile(version: PromptVersion): Compilation {
    const known = this.compiled.get(version)
    if (known !== undefined) return known
    const compilation = compile(version, this.find, this.bounds)
    this.compiled.set(version, compilation)
    return compilation
  }

  /** Takes over what another one has parsed and is still the same. */
  private adopt(previous: Serving): void {
    for (const compilation of previous.compiled.values()) {
      if (Result.isSuccess(compilation) && isCurrent(compilation.success, this.find)) {
        const { name, version } = compilation.success.version
        this.compiled.set(this.find(name, version)!, compilation)
      }
    }
  }

  /** All that labels point to, and all that is tried, is parsed before it is served, a little at a time: others have their turn between. */
  static readonly build = (
    source: Snapshot,
    previous: Serving | undefined,
    loadedAt: number,
    bounds: Bounds
  ): Effect.Effect<Serving> =>
    Effect.gen(function*() {
      const serving = new Serving(source, loadedAt, bounds)
      if (previous !== undefined) serving.adopt(previous)
      let parsed = 0
      const tried = Map.groupBy(serving.traffic.all, ({ experiment }) => experiment.prompt)
      for (const { labels, name, versions } of source.prompts.values()) {
        const variants = (tried.get(name) ?? []).flatMap(({ experiment }) => experiment.variants)
        for (const number of new Set([...labels.values(), ...variants.map(({ version }) => version)])) {
          const version = versions.get(number)
          if (version === undefined || serving.compiled.has(version)) continue
          serving.compile(version)
          if (++parsed % 50 === 0) yield* Effect.yieldNow
        }
      }
      return serving
    })

  /** What labels point to and cannot be served. */
  get faults(): ReadonlyArray<{ readonly version: PromptVersion; readonly label: string; readonly problem: string }> {
    return Array.from(this.source.prompts.values()).flatMap(({ labels, versions }) =>
      Array.from(labels).flatMap(([label, number]) => {
        const version = versions.get(number)
        const compilation = version === undefined ? undefined : this.compile(version)
        return compilation === undefined || Result.isSuccess(compilation)
          ? []
          : compilation.failure.map(({ problem, remedy, where }) => ({
            version: version!,
            label,
            problem: `${where}: ${problem}. ${remedy}`
          }))
      })
    )
  }
}

/** What is asked for: a version, or the first of some labels that the prompt has. */
export type Wanted =
  | { readonly labels: ReadonlyArray<string> }
  | { readonly version: number }

export interface Choice {
  readonly version: PromptVersion
  readonly reference: PromptReference
}

/**
 * Chooses the version for a call: by what is asked for, and for whom it is made. Experiments split the calls of a label, and nothing else.
 */
export const choose = (
  { source, traffic }: Serving,
  name: string,
  wanted: Wanted,
  attribution: Attribution,
  moment: Moment
): Result.Result<Choice, PromptNotFound> => {
  const entry = source.prompts.get(name)
  if (entry === undefined) return notFound(name, wanted, entry)
  if ("version" in wanted) {
    const version = entry.versions.get(wanted.version)
    return version === undefined ? notFound(name, wanted, entry) : Result.succeed(chosen(version, {}))
  }
  for (const label of wanted.labels) {
    const number = entry.labels.get(label)
    const version = number === undefined ? undefined : entry.versions.get(number)
    if (version === undefined) continue
    const part = traffic.choose(entry, label, attribution, moment)
    const tried = part === undefined ? undefined : entry.versions.get(part.variant.version)
    return Result.succeed(
      part === undefined || tried === undefined
        ? chosen(version, { label })
        : chosen(tried, { label, experiment: part.experiment.id, variant: part.variant.name })
    )
  }
  return notFound(name, wanted, entry)
}

const chosen = (
  version: PromptVersion,
  how: Pick<PromptReference, "label" | "experiment" | "variant">
): Choice => ({
  version,
  reference: { name: version.name, version: version.version, hash: version.hash, ...how }
})

const notFound = (name: string, wanted: Wanted, entry: Entry | undefined): Result.Result<never, PromptNotFound> =>
  Result.fail(new PromptNotFound({ prompt: name, wanted, labels: Array.from(entry?.labels.keys() ?? []) }))
