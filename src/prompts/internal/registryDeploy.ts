/**
 * How versions get into use: published when they fit, labels moved, and moved back.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Draft, format, type PromptVersion } from "../PromptVersion.ts"
import { compile, type Fault } from "./promptCompile.ts"
import type { AnyHandle } from "./registryHandle.ts"
import type { Prompts } from "./registryPrompts.ts"
import { type LabelEvent, type LabelMove, type PromptConflict, PromptRefused, type PromptStoreError } from "./store.ts"
import { describeIssue } from "./storeHome.ts"

/**
 * A version does not fit the definition of its prompt, or is none: it is not published, and no label is moved to it. It quotes names, and
 * never what a prompt says.
 *
 * @category errors
 * @since 0.1.0
 */
export class PromptUnfit extends Schema.TaggedError<PromptUnfit>()("PromptUnfit", {
  /** The name of the prompt. */
  name: Schema.String,
  /** The number of the version, where it has one. */
  version: Schema.optionalKey(Schema.Int),
  /** All that is wrong. */
  faults: Schema.Array(Schema.Struct({
    /** Where: a message and its line, an include, the model, ... */
    where: Schema.String,
    /** What is wrong, as part of a sentence. */
    problem: Schema.String,
    /** How to mend it, as a sentence. */
    remedy: Schema.String
  }))
}) {
  /**
   * Says where and what is wrong, and how to mend it.
   *
   * @since 0.1.0
   */
  override get message(): string {
    const prompt = this.version === undefined ? this.name : format({ name: this.name, version: this.version })
    const faults = this.faults.map(({ problem, remedy, where }) => `${where}: ${problem}. ${remedy}`)
    return `the prompt ${prompt} is not fit to be used: ${faults.join("; ")}`
  }
}

export type DeployError = PromptStoreError | PromptConflict | PromptRefused

const decodeDraft = Schema.decodeUnknownResult(Draft, { errors: "all", onExcessProperty: "error" })

export const unfit = (
  { name, version }: { readonly name: string; readonly version?: number },
  faults: ReadonlyArray<Fault>
): PromptUnfit => new PromptUnfit({ name, ...(version === undefined ? undefined : { version }), faults })

/** What is written is read anew, if it can be; else it will be when the store says so. */
export const reload = (prompts: Prompts): Effect.Effect<void> => Effect.ignore(prompts.load)

/** All that is wrong with a version, by a definition or by itself. */
export const faultsOf = (
  prompts: Prompts,
  handle: AnyHandle | undefined,
  version: PromptVersion
): ReadonlyArray<Fault> => {
  const compilation = compile(version, prompts.serving.find, prompts.options.bounds)
  return Result.isFailure(compilation)
    ? compilation.failure
    : handle === undefined
    ? []
    : prompts.faults(compilation.success, handle.defined)
}

export const publish = (
  prompts: Prompts,
  handle: AnyHandle,
  input: unknown
): Effect.Effect<PromptVersion, PromptUnfit | DeployError> =>
  Effect.gen(function*() {
    const decoded = decodeDraft(input)
    if (Result.isFailure(decoded)) {
      const problem = describeIssue(decoded.failure.issue)
      return yield* unfit({ name: handle.name }, [{ where: "the draft", problem, remedy: "Correct the field" }])
    }
    const draft = decoded.success
    // Fragments may have been published elsewhere, a moment ago.
    yield* prompts.load
    const last = Math.max(0, ...prompts.serving.source.prompts.get(handle.name)?.versions.keys() ?? [])
    const version: PromptVersion = { ...draft, version: draft.version ?? last + 1, hash: "", createdAt: 0 }
    const faults = faultsOf(prompts, handle, version)
    if (faults.length > 0) return yield* unfit(draft, faults)
    const { store } = prompts.options
    const published = yield* prompts.inTime("publish", store.publish(draft))
    yield* reload(prompts)
    return published
  })

export const label = (
  prompts: Prompts,
  prompt: AnyHandle | string,
  move: Omit<LabelMove, "name">
): Effect.Effect<LabelEvent, PromptUnfit | DeployError> =>
  Effect.gen(function*() {
    const { store } = prompts.options
    const [name, handle] = typeof prompt === "string" ? [prompt, undefined] : [prompt.name, prompt]
    if (move.version !== undefined) {
      yield* prompts.load
      const version = prompts.serving.find(name, move.version) ??
        (yield* prompts.inTime("version", store.version(name, move.version)))
      const faults = version === undefined ? [] : faultsOf(prompts, handle, version)
      if (faults.length > 0) return yield* unfit({ name, version: move.version }, faults)
    }
    const event = yield* prompts.inTime("label", store.label({ ...move, name }))
    yield* reload(prompts)
    return event
  })

/** Where a label has pointed to, back from now: to go back to what was there before takes a step off, whoever takes it. */
export const trail = (events: ReadonlyArray<LabelEvent>, label: string): ReadonlyArray<number> => {
  const trail: Array<number> = []
  for (const { label: moved, version } of events) {
    if (moved !== label || version === undefined) continue
    if (trail.at(-1) === version) continue
    if (trail.at(-2) === version) trail.pop()
    else trail.push(version)
  }
  return trail
}

export const rollback = (
  prompts: Prompts,
  prompt: AnyHandle | string,
  options: {
    readonly label: string
    readonly to?: number | undefined
    readonly by?: string | undefined
    readonly reason?: string | undefined
  }
): Effect.Effect<LabelEvent, PromptUnfit | DeployError> =>
  Effect.gen(function*() {
    const { store } = prompts.options
    const name = typeof prompt === "string" ? prompt : prompt.name
    yield* prompts.load
    // Not where it was moved to last: it may be where the application was shipped with it.
    const current = prompts.serving.source.prompts.get(name)?.labels.get(options.label)
    const before = trail(yield* prompts.inTime("history", store.history(name)), options.label)
    const version = options.to ?? before.at(before.at(-1) === current ? -2 : -1)
    if (version === undefined) {
      return yield* new PromptRefused({
        operation: "label",
        reason: "UnknownVersion",
        name,
        problem: `the label ${JSON.stringify(options.label)} has pointed to no other version before`,
        remedy: "Say which version it shall point to (`to`)"
      })
    }
    // Two who roll back at once roll back once.
    return yield* label(prompts, prompt, {
      label: options.label,
      version,
      from: current ?? "nothing",
      by: options.by,
      reason: options.reason ?? "rollback"
    })
  })
