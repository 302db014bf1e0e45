/**
 * Prompts in files. Each time they are asked for all files are read, and a snapshot is made of all of them, or the one before stays. Of a
 * version that cannot be read any more, what was read of it last stays.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import * as Version from "../PromptVersion.ts"
import { type Entry, type Problem, PromptRefused, type Snapshot } from "./store.ts"
import {
  type Fault,
  formatLock,
  type Parsed,
  parseLabels,
  parseLock,
  parseVersion,
  type Pins,
  type Written,
  type YamlModule
} from "./storeFilesParse.ts"
import { list, type Listed, type Listing, lockName, type Read, read, type Root, stateOf } from "./storeFilesRead.ts"
import { byName, type Home, readOnly } from "./storeHome.ts"

export interface Settings extends Root {
  readonly yaml: YamlModule
  /** Whether a version must be in the lock file to be served. */
  readonly pinned: boolean
  /** How long files must have been as they are, where they have changed. */
  readonly settle: Duration.Duration
}

/** What was read, kept until it is there in another form. */
interface State {
  readonly texts: ReadonlyMap<string, Text>
  /** What the files that could not be read were like. */
  readonly refused: ReadonlyMap<string, string>
  /** By `name@version`. */
  readonly versions: ReadonlyMap<string, Version.PromptVersion>
  readonly labels: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly pins: Pins
  readonly signature: string
  readonly snapshot: Snapshot
}

/** What a text was read as; the same text is not read twice. */
interface Text {
  readonly text: string
  readonly parsed: Parsed<Content>
}

type Content =
  | { readonly _tag: "Version"; readonly written: Written; readonly hash: string }
  | { readonly _tag: "Labels"; readonly labels: ReadonlyMap<string, number> }
  | { readonly _tag: "Lock"; readonly pins: Pins }

const noPins: Pins = new Map()

const nothing: State = {
  texts: new Map(),
  refused: new Map(),
  versions: new Map(),
  labels: new Map(),
  pins: noPins,
  signature: "",
  snapshot: { revision: "0", prompts: new Map(), problems: [], staleSince: undefined }
}

export interface Folder {
  readonly snapshot: Effect.Effect<Snapshot, PlatformError>
  /** The pins as the lock file has them. */
  readonly pins: Effect.Effect<Pins>
}

export const makeFolder = (settings: Settings): Effect.Effect<Folder> =>
  Effect.map(Semaphore.make(1), (semaphore): Folder => {
    let state = nothing
    return {
      snapshot: semaphore.withPermits(1)(Effect.gen(function*() {
        const found = yield* settled(settings, state)
        // Nothing is taken over before all of it is there.
        state = yield* assemble(settings, state, found)
        return state.snapshot
      })),
      pins: Effect.sync(() => state.pins)
    }
  })

interface Found {
  readonly listing: Listing
  readonly reads: ReadonlyArray<Read>
  /** Those that somebody has been writing to for so long that they were not waited for. */
  readonly restless: ReadonlySet<string>
}

const scan = (settings: Settings): Effect.Effect<Found, PlatformError> =>
  Effect.gen(function*() {
    const listing = yield* list(settings)
    const reads = yield* Effect.forEach(listing.files, (file) => read(settings, file), { concurrency: 16 })
    return { listing, reads, restless: new Set<string>() }
  })

/** How often files that change again and again are waited for. */
const maxWaits = 20

/**
 * What is in the files when nobody is in the middle of writing them: where anything is not as it was read before, it must stay as it is
 * for a while.
 */
const settled = (settings: Settings, state: State): Effect.Effect<Found, PlatformError> =>
  Effect.gen(function*() {
    let found = yield* scan(settings)
    if (state === nothing) return found
    for (let wait = 0;; wait++) {
      const news = newsOf(found, state)
      if (news.length === 0) return found
      yield* Effect.sleep(settings.settle)
      const again = yield* list(settings)
      const listed = sourcesOf(again) === sourcesOf(found.listing)
      const restless = new Set<string>()
      for (const { file, state } of news) {
        if ((yield* stateOf(settings, file)) !== state) restless.add(file.source)
      }
      if (listed && restless.size === 0) return found
      if (wait === maxWaits) return { ...found, restless }
      found = yield* scan(settings)
    }
  })

/** The files that are not as they were read before. */
const newsOf = ({ reads }: Found, state: State): ReadonlyArray<Read> =>
  reads.filter((read) =>
    read._tag === "Refused"
      ? state.refused.get(read.file.source) !== read.state
      : state.texts.get(read.file.source)?.text !== read.text
  )

const sourcesOf = ({ files }: Listing): string => files.map(({ source }) => source).join("\n")

const assemble = (
  settings: Settings,
  before: State,
  { listing, reads, restless }: Found
): Effect.Effect<State> =>
  Effect.gen(function*() {
    const texts = new Map<string, Text>()
    const unread = new Map<string, string>()
    const problems: Array<Problem> = [...listing.problems]
    const good: Array<{ readonly file: Listed; readonly content: Content; readonly modified: number }> = []
    /** Versions and labels that are there, and cannot be served as they are. */
    const badVersions = new Map<string, Array<Problem>>()
    const badLabels = new Map<string, Array<Problem>>()
    let pins: Pins | undefined
    let badLock = false

    const refuse = (file: Listed, found: ReadonlyArray<Problem>) => {
      if (file.kind === "lock") {
        badLock = true
        for (const problem of found) problems.push({ ...problem, lastGood: before.pins !== noPins })
      } else if (file.kind === "labels") badLabels.set(file.name!, [...badLabels.get(file.name!) ?? [], ...found])
      else {
        const key = keyOf(file)
        badVersions.set(key, [...badVersions.get(key) ?? [], ...found])
      }
    }

    for (const read of reads) {
      const { file } = read
      if (read._tag === "Refused") {
        unread.set(file.source, read.state)
        refuse(file, [read.problem])
        continue
      }
      if (restless.has(file.source)) {
        refuse(file, [
          problemOf(file, {
            kind: "Unreadable",
            message: "somebody is writing to it",
            remedy: "Write to another file, and then give it this name"
          })
        ])
        continue
      }
      const known = before.texts.get(file.source)
      const parsed = known?.text === read.text ? known.parsed : yield* parse(settings.yaml, file, read.text)
      texts.set(file.source, { text: read.text, parsed })
      if (parsed._tag === "Bad") refuse(file, parsed.faults.map((fault) => problemOf(file, fault)))
      else if (parsed.value._tag === "Lock") pins = parsed.value.pins
      else good.push({ file, content: parsed.value, modified: read.modified })
    }
    const inForce = pins ?? (badLock ? before.pins : noPins)

    // Each number has one file.
    const files = Map.groupBy(listing.files.filter(({ kind }) => kind === "version"), keyOf)
    for (const [key, [, ...others]] of files) {
      for (const file of others) {
        badVersions.set(key, [
          ...badVersions.get(key) ?? [],
          problemOf(file, {
            kind: "Duplicate",
            message: "there is another file of this version",
            remedy: "Remove one of the two, or give it the next number"
          })
        ])
      }
    }

    const versions = new Map<string, Version.PromptVersion>()
    for (const { content, file, modified } of good) {
      if (content._tag !== "Version") continue
      const key = keyOf(file)
      const fault = faultOf(settings, files, inForce, file, content)
      if (fault !== undefined) badVersions.set(key, [...badVersions.get(key) ?? [], problemOf(file, fault)])
      if (badVersions.has(key)) continue
      const { createdAt, version: _, ...rest } = content.written
      const last = before.versions.get(key)
      versions.set(key, {
        ...rest,
        name: file.name!,
        version: file.version!,
        hash: content.hash,
        // To be touched is not to be published again.
        createdAt: createdAt ?? (last?.hash === content.hash ? last.createdAt : modified)
      })
    }
    for (const [key, found] of badVersions) {
      const last = before.versions.get(key)
      const [{ name, version }] = found as [Problem]
      // What was pinned meanwhile must be what was read.
      const pin = inForce.get(name!)?.get(version!)
      const lastGood = last !== undefined && (pin === undefined || pin === last.hash)
      if (lastGood) versions.set(key, last)
      for (const problem of found) problems.push({ ...problem, lastGood })
    }
    for (const [name, hashes] of inForce) {
      for (const [version, pin] of hashes) {
        const key = `${name}@${version}`
        if (files.has(key)) continue
        const last = before.versions.get(key)
        const lastGood = last?.hash === pin
        if (lastGood) versions.set(key, last)
        problems.push({
          kind: "Missing",
          source: lockName,
          name,
          version,
          message: `version ${version} of ${name} was published, and its file is not there`,
          remedy: "Put the file back",
          lastGood
        })
      }
    }

    const labels = new Map<string, ReadonlyMap<string, number>>()
    for (const { content, file } of good) {
      if (content._tag !== "Labels") continue
      if (!labels.has(file.name!)) labels.set(file.name!, content.labels)
      else {
        badLabels.set(file.name!, [
          problemOf(file, {
            kind: "Duplicate",
            message: "there is another file of labels",
            remedy: "Remove one of the two"
          })
        ])
      }
    }
    for (const [name, found] of badLabels) {
      const last = before.labels.get(name)
      if (last === undefined) labels.delete(name)
      else labels.set(name, last)
      for (const problem of found) problems.push({ ...problem, lastGood: last !== undefined })
    }

    const prompts = byName(entriesOf(before, versions, labels, problems))
    const signature = signatureOf(prompts, problems)
    return {
      texts,
      refused: unread,
      versions,
      labels,
      pins: inForce,
      signature,
      snapshot: signature === before.signature ? before.snapshot : {
        revision: String(Number(before.snapshot.revision) + 1),
        prompts,
        problems,
        staleSince: undefined
      }
    }
  })

const keyOf = ({ name, version }: Pick<Listed, "name" | "version">): string => `${name}@${version}`

const problemOf = ({ name, source, version }: Listed, fault: Fault): Problem => ({
  source,
  ...name === undefined ? {} : { name },
  ...version === undefined ? {} : { version },
  ...fault,
  lastGood: false
})

const parse = (yaml: YamlModule, file: Listed, text: string): Effect.Effect<Parsed<Content>> => {
  const tagged = <A>(parsed: Parsed<A>, content: (value: A) => Content): Parsed<Content> =>
    parsed._tag === "Bad" ? parsed : { _tag: "Good", value: content(parsed.value) }
  return Effect.suspend(() => {
    switch (file.kind) {
      case "labels":
        return Effect.succeed(tagged(parseLabels(yaml, text), (labels) => ({ _tag: "Labels", labels })))
      case "lock":
        return Effect.succeed(tagged(parseLock(yaml, text), (pins) => ({ _tag: "Lock", pins })))
      default: {
        const parsed = parseVersion(yaml, file.source, text)
        return parsed._tag === "Bad" ? Effect.succeed(parsed) : Effect.map(
          Version.hash(parsed.value.content),
          (hash): Parsed<Content> => ({ _tag: "Good", value: { _tag: "Version", written: parsed.value, hash } })
        )
      }
    }
  })
}

/** Why a version that can be read cannot be served. */
const faultOf = (
  { pinned }: Settings,
  files: ReadonlyMap<string, unknown>,
  pins: Pins,
  { name, version }: Listed,
  { hash, written }: Extract<Content, { readonly _tag: "Version" }>
): Fault | undefined => {
  if (written.version !== undefined && written.version !== version) {
    return {
      kind: "Name",
      message: `the file is that of version ${version}, and says that it is version ${written.version}`,
      remedy: "Give it the number of its file, or give the file the number it says"
    }
  }
  for (let number = version! - 1; number >= 1; number--) {
    if (!files.has(`${name}@${number}`)) {
      return {
        kind: "Missing",
        message: `version ${number} is not there, and numbers follow one another`,
        remedy: `Put version ${number} back, or give this one its number`
      }
    }
  }
  const pin = pins.get(name!)?.get(version!)
  if (pin === undefined) {
    return pinned
      ? {
        kind: "Unpinned",
        message: `its hash is not in ${lockName}`,
        remedy: "Publish it with `PromptStore.pinFiles`"
      }
      : undefined
  }
  return pin === hash ? undefined : {
    kind: "Hash",
    message: "it was changed after it was published",
    remedy: "Put it back as it was, and write the change as the next version"
  }
}

/** A label that points to nothing that can be served points to where it did before, if that is still there. */
const entriesOf = (
  before: State,
  versions: Map<string, Version.PromptVersion>,
  labels: ReadonlyMap<string, ReadonlyMap<string, number>>,
  problems: Array<Problem>
): ReadonlyArray<Entry> => {
  const pointing = new Map<string, Map<string, number>>()
  for (const [name, all] of labels) {
    const targets = new Map<string, number>()
    pointing.set(name, targets)
    for (const [label, version] of Array.from(all).toSorted(([one], [other]) => one < other ? -1 : 1)) {
      const target = targetOf(before, versions, name, label, version)
      if (target !== undefined) targets.set(label, target)
      if (target === version && versions.has(`${name}@${version}`)) continue
      problems.push({
        kind: "Missing",
        source: `${name}/labels.yaml`,
        name,
        version,
        message: `the label ${label} points to version ${version}, which cannot be served`,
        remedy: "Write the version, or let the label point to another one",
        lastGood: target !== undefined
      })
    }
  }
  // A version whose file is gone is served for as long as a label points to it.
  for (const [name, targets] of pointing) {
    for (const version of targets.values()) {
      const key = `${name}@${version}`
      if (!versions.has(key)) versions.set(key, before.versions.get(key)!)
    }
  }
  return Array.from(Map.groupBy(versions.values(), ({ name }) => name), ([name, all]) => ({
    name,
    versions: new Map(
      all.toSorted((one, other) => one.version - other.version).map((version) => [version.version, version])
    ),
    labels: pointing.get(name) ?? new Map<string, number>(),
    experiments: new Map()
  }))
}

const targetOf = (
  before: State,
  versions: ReadonlyMap<string, Version.PromptVersion>,
  name: string,
  label: string,
  version: number
): number | undefined => {
  if (versions.has(`${name}@${version}`)) return version
  const last = before.snapshot.prompts.get(name)?.labels.get(label)
  return last !== undefined && (versions.has(`${name}@${last}`) || before.versions.has(`${name}@${last}`))
    ? last
    : undefined
}

/** What is the same for two snapshots that serve the same. */
const signatureOf = (prompts: ReadonlyMap<string, Entry>, problems: ReadonlyArray<Problem>): string =>
  JSON.stringify([
    Array.from(prompts.values(), ({ labels, name, versions }) => [
      name,
      Array.from(labels),
      Array.from(
        versions.values(),
        ({ author, createdAt, hash, message, metadata, version }) => [
          version,
          hash,
          createdAt,
          author,
          message,
          metadata
        ]
      )
    ]),
    problems
  ])

/** Since nobody writes to it, most of what a store is asked for is not there. */
export const makeHome = (folder: Folder, changes: Home["changes"]): Home => {
  const snapshot = folder.snapshot
  const refused = (operation: Parameters<typeof readOnly>[0], name: string) =>
    readOnly(
      operation,
      name,
      "Change the files, or lay a store that can be written to over this one: `PromptStore.layerOver`"
    )
  return {
    snapshot,
    changes,
    version: (name, version) => Effect.map(snapshot, ({ prompts }) => prompts.get(name)?.versions.get(version)),
    versions: (name) => Effect.map(snapshot, ({ prompts }) => Array.from(prompts.get(name)?.versions.values() ?? [])),
    publish: (draft) => refused("publish", draft.name),
    adopt: (version) => refused("adopt", version.name),
    label: (move) => refused("label", move.name),
    history: () => Effect.succeed([]),
    experiments: () => Effect.succeed([]),
    saveExperiment: (save) => refused("saveExperiment", save.name),
    experimentHistory: () => Effect.succeed([]),
    score: ([score]) => refused("score", score?.prompt.name ?? "?"),
    scores: () => Effect.succeed([]),
    scoreTotals: () => Effect.succeed([]),
    pruneScores: () => refused("pruneScores", "all prompts")
  }
}

/**
 * A version in a file, and its hash in the lock file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pin {
  readonly name: string
  readonly version: number
  readonly hash: string
}

/** Pins whatever is not pinned yet, and says what that was. */
export const pin = (settings: Settings): Effect.Effect<ReadonlyArray<Pin>, PlatformError | PromptRefused> =>
  Effect.gen(function*() {
    const { directory, fs, path } = settings
    const folder = yield* makeFolder({ ...settings, pinned: false })
    const { problems, prompts } = yield* folder.snapshot
    const [problem] = problems
    if (problem !== undefined) {
      return yield* new PromptRefused({
        operation: "pin",
        reason: problem.kind === "Hash" ? "Hash" : "Invalid",
        name: problem.name ?? "?",
        problem: `${problem.source}: ${problem.message}`,
        remedy: problem.remedy
      })
    }
    const before = yield* folder.pins
    const pins = new Map(Array.from(before, ([name, hashes]) => [name, new Map(hashes)]))
    const added: Array<Pin> = []
    for (const { name, versions } of prompts.values()) {
      const hashes = pins.get(name) ?? new Map<number, string>()
      pins.set(name, hashes)
      for (const { hash, version } of versions.values()) {
        if (hashes.has(version)) continue
        hashes.set(version, hash)
        added.push({ name, version, hash })
      }
    }
    if (added.length === 0) return added
    // Whole, under a name that nobody reads, before it takes the place of the old one.
    const draft = path.join(directory, `.${lockName}.${yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)}`)
    yield* Effect.scoped(Effect.gen(function*() {
      const file = yield* fs.open(draft, { flag: "wx" })
      yield* file.writeAll(new TextEncoder().encode(formatLock(pins)))
      yield* file.sync
    })).pipe(
      Effect.andThen(fs.rename(draft, path.join(directory, lockName))),
      Effect.onError(() => Effect.ignore(fs.remove(draft, { force: true })))
    )
    return added
  })
