/**
 * How experiments begin, change and end: each change is saved if nobody else has saved one in between, or is thought over.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Money from "../../core/Money.ts"
import {
  bucketsOf,
  decodeExperiment,
  type Experiment,
  type Group,
  type GuardRail,
  type Step,
  type Stop,
  type Subject,
  type Variant
} from "./experimentDocument.ts"
import { decodeRecord } from "./experimentTraffic.ts"
import { type DeployError, faultsOf, label as moveLabel, type PromptUnfit, reload, unfit } from "./registryDeploy.ts"
import type { AnyHandle } from "./registryHandle.ts"
import type { Prompts } from "./registryPrompts.ts"
import type { ExperimentRecord, PromptConflict, PromptRefused, PromptStoreError } from "./store.ts"
import { describeIssue } from "./storeHome.ts"

/**
 * An experiment cannot be started or changed as it is asked for, and nothing was done.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExperimentRefused extends Schema.TaggedError<ExperimentRefused>()("ExperimentRefused", {
  /** The prompt. */
  prompt: Schema.String,
  /** The experiment. */
  id: Schema.String,
  /**
   * Why not: a field is not legal; another experiment has the same subjects; there is no such experiment or variant, or nothing that the
   * label points to; it is running already; it is stopped.
   */
  reason: Schema.Literals(["Invalid", "Overlap", "NotFound", "Running", "Stopped"]),
  /** What is wrong, as a sentence. */
  problem: Schema.String,
  /** How to mend it, as a sentence. */
  remedy: Schema.String
}) {
  /**
   * Says what is wrong, and how to mend it.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `the experiment ${JSON.stringify(this.id)} with the prompt ${
      JSON.stringify(this.prompt)
    } is refused: ${this.problem}. ${this.remedy}`
  }
}

export interface Remarks {
  readonly by?: string | undefined
  readonly reason?: string | undefined
}

/** A guard-rail as it is written: with units. */
export type GuardRailOptions =
  | { readonly measure: "errorRate"; readonly above: number; readonly calls?: number | undefined }
  | { readonly measure: "cost"; readonly above: Money.Decimal; readonly calls?: number | undefined }
  | {
    readonly measure: "latency"
    readonly above: Duration.Input
    readonly quantile?: number | undefined
    readonly calls?: number | undefined
  }

export interface Ramp {
  readonly after: Duration.Input
  readonly weights: { readonly [variant: string]: number }
}

export interface StartOptions extends Remarks {
  readonly id: string
  readonly variants: { readonly [name: string]: { readonly version?: number | undefined; readonly weight: number } }
  readonly ramp?: ReadonlyArray<Ramp> | undefined
  readonly label?: string | undefined
  readonly subject?: Subject | undefined
  readonly group?: Group | undefined
  readonly guardRails?: ReadonlyArray<GuardRailOptions> | undefined
}

export const railOf = (options: GuardRailOptions): GuardRail => {
  const { calls = 100, measure } = options
  if (measure === "errorRate") return { measure, above: options.above, calls }
  if (measure === "cost") return { measure, above: Money.usd(options.above), calls }
  return {
    measure,
    above: Duration.toMillis(Duration.fromInputUnsafe(options.above)),
    quantile: options.quantile ?? 0.95,
    calls
  }
}

const stepsOf = (
  start: number,
  first: Step["weights"],
  ramp: ReadonlyArray<Ramp> = []
): readonly [Step, ...Array<Step>] => [
  { at: start, weights: first },
  ...ramp.map(({ after, weights }) => ({
    at: start + Math.round(Duration.toMillis(Duration.fromInputUnsafe(after))),
    weights
  })).toSorted((one, other) => one.at - other.at)
]

const remarksOf = ({ by, reason }: Remarks, at: number): Stop => ({
  at,
  ...(by === undefined ? undefined : { by }),
  ...(reason === undefined ? undefined : { reason })
})

/** Without what is undefined: it is no JSON. */
const plain = (experiment: Experiment): Schema.Json => JSON.parse(JSON.stringify(experiment)) as Schema.Json

const refusal = (
  prompt: string,
  id: string,
  reason: ExperimentRefused["reason"],
  problem: string,
  remedy: string
): ExperimentRefused => new ExperimentRefused({ prompt, id: String(id).slice(0, 100), reason, problem, remedy })

/** Where two experiments would want the same subjects. */
const overlap = (one: Experiment, other: Experiment): string | undefined => {
  const [mine, theirs] = [one.group, other.group]
  const title = JSON.stringify(`${other.prompt}/${other.id}`)
  if (mine !== undefined && mine.name === theirs?.name) {
    if (JSON.stringify(one.by) !== JSON.stringify(other.by)) {
      return `${title} of its group tells its subjects apart by something else`
    }
    return bucketsOf(mine.from) < bucketsOf(theirs.to) && bucketsOf(theirs.from) < bucketsOf(mine.to)
      ? `${title} has the part of the group from ${theirs.from} to ${theirs.to} per cent`
      : undefined
  }
  return one.prompt === other.prompt && one.label === other.label ? `${title} runs on the same label` : undefined
}

const checked = (candidate: unknown, prompt: string, id: string): Result.Result<Experiment, ExperimentRefused> => {
  const decoded = decodeExperiment(candidate)
  return Result.isSuccess(decoded)
    ? Result.succeed(decoded.success)
    : Result.fail(
      refusal(prompt, id, "Invalid", describeIssue(decoded.failure.issue), "Correct the field, and ask again")
    )
}

/** Durations and amounts of money that are none. */
const legible = <A>(prompt: string, id: string, make: () => A): Result.Result<A, ExperimentRefused> =>
  Result.try({
    try: make,
    catch: (cause) =>
      refusal(
        prompt,
        id,
        "Invalid",
        cause instanceof Error ? cause.message : "a duration or an amount is none",
        "Correct it, and ask again"
      )
  })

export type ExperimentError = ExperimentRefused | DeployError

const nameOf = (prompt: AnyHandle | string): string => typeof prompt === "string" ? prompt : prompt.name

export const start = (
  prompts: Prompts,
  prompt: AnyHandle | string,
  options: StartOptions
): Effect.Effect<Experiment, ExperimentError | PromptUnfit> =>
  Effect.gen(function*() {
    const { id } = options
    const name = nameOf(prompt)
    const label = options.label ?? (typeof prompt === "string" ? "production" : prompt.label)
    yield* prompts.load
    const { serving } = prompts
    const base = serving.source.prompts.get(name)?.labels.get(label)
    if (base === undefined) {
      const problem = `the label ${JSON.stringify(label)} points to no version`
      return yield* refusal(name, id, "NotFound", problem, "Move the label to the version that most are to get")
    }
    const now = yield* Clock.currentTimeMillis
    const names = ["control", ...Object.keys(options.variants).filter((variant) => variant !== "control")]
    const candidate = yield* Effect.fromResult(legible(name, id, () => ({
      prompt: name,
      id,
      label,
      base,
      by: options.subject ?? "user",
      ...(options.group === undefined ? undefined : { group: options.group }),
      variants: names.map((variant) => ({
        name: variant,
        version: options.variants[variant]?.version ?? (variant === "control" ? base : undefined)
      })),
      steps: stepsOf(
        now,
        Object.fromEntries(Object.entries(options.variants).map(([variant, { weight }]) => [variant, weight])),
        options.ramp
      ),
      guardRails: (options.guardRails ?? []).map(railOf),
      startedAt: now
    })))
    const experiment = yield* Effect.fromResult(checked(candidate, name, id))
    for (const version of new Set(experiment.variants.map(({ version }) => version))) {
      const found = serving.find(name, version)
      if (found === undefined) {
        return yield* refusal(name, id, "NotFound", `there is no version ${version}`, "Publish the version first")
      }
      const faults = faultsOf(prompts, typeof prompt === "string" ? undefined : prompt, found)
      if (faults.length > 0) return yield* unfit({ name, version }, faults)
    }
    for (const { experiment: other } of serving.traffic.all) {
      if (other.prompt === name && other.id === id) {
        const problem = "it is running already"
        return yield* refusal(name, id, "Running", problem, "Stop it first, or give it other weights")
      }
      const problem = overlap(experiment, other)
      if (problem !== undefined) {
        const remedy = "Stop that one, or give both parts of one group that do not overlap"
        return yield* refusal(name, id, "Overlap", problem, remedy)
      }
    }
    const { store } = prompts.options
    yield* prompts.inTime(
      "saveExperiment",
      store.saveExperiment({
        name,
        id,
        document: plain(experiment),
        from: serving.source.prompts.get(name)?.experiments.get(id)?.revision ?? 0,
        by: options.by,
        reason: options.reason
      })
    )
    yield* reload(prompts)
    return experiment
  })

/** An experiment as the store has it now. */
const latest = (
  prompts: Prompts,
  name: string,
  id: string
): Effect.Effect<readonly [ExperimentRecord, Experiment], PromptStoreError | ExperimentRefused> =>
  Effect.flatMap(prompts.inTime("experiments", prompts.options.store.experiments(name)), (records) => {
    const record = records.find((record) => record.id === id)
    if (record === undefined) {
      const remedy = "See which there are with `Experiment.list`"
      return Effect.fail(refusal(name, id, "NotFound", "there is no such experiment", remedy))
    }
    const experiment = decodeRecord(record)
    return Result.isSuccess(experiment)
      ? Effect.succeed([record, experiment.success] as const)
      : Effect.fail(refusal(name, id, "Invalid", experiment.failure, "Start it anew under another name"))
  })

const isConflict = (error: ExperimentError): error is PromptConflict => error._tag === "PromptConflict"

/** Changes an experiment, whoever else does. What there is nothing to change about is left as it is. */
const change = (
  prompts: Prompts,
  name: string,
  id: string,
  remarks: Remarks,
  next: (experiment: Experiment, now: number) => Result.Result<Experiment, ExperimentRefused>
): Effect.Effect<{ readonly experiment: Experiment; readonly changed: boolean }, ExperimentError> => {
  const attempt: Effect.Effect<
    { readonly experiment: Experiment; readonly changed: boolean },
    ExperimentRefused | PromptStoreError | PromptConflict | PromptRefused
  > = Effect.gen(function*() {
    const [record, experiment] = yield* latest(prompts, name, id)
    const changed = yield* Effect.fromResult(next(experiment, yield* Clock.currentTimeMillis))
    if (changed === experiment) return { experiment, changed: false }
    const legal = yield* Effect.fromResult(checked(changed, name, id))
    const { store } = prompts.options
    yield* prompts.inTime(
      "saveExperiment",
      store.saveExperiment({ name, id, document: plain(legal), from: record.revision, ...remarks })
    )
    return { experiment: legal, changed: true }
  })
  // Each conflict is somebody else's success.
  return Effect.tap(Effect.retry(attempt, { while: isConflict, times: 100 }), () => reload(prompts))
}

const stoppedAlready = (name: string, id: string): Result.Result<never, ExperimentRefused> =>
  Result.fail(refusal(name, id, "Stopped", "it is stopped", "Start it again, or another one"))

export const stop = (
  prompts: Prompts,
  prompt: AnyHandle | string,
  id: string,
  remarks: Remarks
): Effect.Effect<Experiment, ExperimentError> =>
  Effect.map(
    change(prompts, nameOf(prompt), id, remarks, (experiment, now) =>
      Result.succeed(
        experiment.stopped === undefined ? { ...experiment, stopped: remarksOf(remarks, now) } : experiment
      )),
    ({ experiment }) => experiment
  )

const variantOf = (experiment: Experiment, name: string): Result.Result<Variant, ExperimentRefused> => {
  const { id, prompt, variants } = experiment
  const variant = variants.find((variant) => variant.name === name)
  return variant === undefined
    ? Result.fail(
      refusal(
        prompt,
        id,
        "NotFound",
        `there is no variant ${JSON.stringify(name)}`,
        `It is one of ${variants.map(({ name }) => name).join(", ")}`
      )
    )
    : Result.succeed(variant)
}

export const stopVariant = (
  prompts: Prompts,
  prompt: AnyHandle | string,
  id: string,
  name: string,
  remarks: Remarks,
  startedAt?: number
): Effect.Effect<{ readonly experiment: Experiment; readonly changed: boolean }, ExperimentError> =>
  change(
    prompts,
    nameOf(prompt),
    id,
    remarks,
    (experiment, now) =>
      Result.map(variantOf(experiment, name), (variant): Experiment => {
        const over = experiment.stopped !== undefined || startedAt !== undefined && experiment.startedAt !== startedAt
        if (over || variant.stopped !== undefined) return experiment
        const stopped = { ...variant, stopped: remarksOf(remarks, now) }
        const [control, ...others] = experiment.variants
        const replaced = (known: Variant) => known.name === name ? stopped : known
        return { ...experiment, variants: [replaced(control), ...others.map(replaced)] }
      })
  )

export const reweigh = (
  prompts: Prompts,
  prompt: AnyHandle | string,
  id: string,
  options: Remarks & { readonly weights: Step["weights"]; readonly ramp?: ReadonlyArray<Ramp> | undefined }
): Effect.Effect<Experiment, ExperimentError> =>
  Effect.map(
    change(
      prompts,
      nameOf(prompt),
      id,
      { by: options.by, reason: options.reason },
      (experiment, now) => {
        if (experiment.stopped !== undefined) return stoppedAlready(experiment.prompt, id)
        return Result.map(
          legible(experiment.prompt, id, () => stepsOf(now, options.weights, options.ramp)),
          (steps): Experiment => {
            // What has been is what the next step goes on from; what was to come does not.
            const [first, ...rest] = experiment.steps
            return { ...experiment, steps: [first, ...rest.filter(({ at }) => at <= now), ...steps] }
          }
        )
      }
    ),
    ({ experiment }) => experiment
  )

export const promote = (
  prompts: Prompts,
  prompt: AnyHandle | string,
  id: string,
  name: string,
  remarks: Remarks
): Effect.Effect<Experiment, ExperimentError | PromptUnfit> =>
  Effect.gen(function*() {
    const [, experiment] = yield* latest(prompts, nameOf(prompt), id)
    const { base, label, stopped } = experiment
    if (stopped !== undefined) return yield* Effect.fromResult(stoppedAlready(experiment.prompt, id))
    const variant = yield* Effect.fromResult(variantOf(experiment, name))
    const { by, reason = `${name} of the experiment ${id}` } = remarks
    // The label first: whoever ends between the two leaves all with the winner, since an experiment is over where its label is elsewhere.
    yield* moveLabel(prompts, prompt, { label, version: variant.version, from: base, by, reason })
    return yield* stop(prompts, prompt, id, { by, reason: remarks.reason ?? `promoted ${name}` })
  })

export const list = (
  prompts: Prompts,
  prompt: AnyHandle | string | undefined
): Effect.Effect<ReadonlyArray<Experiment>, PromptStoreError> =>
  Effect.map(
    prompts.inTime("experiments", prompts.options.store.experiments(prompt === undefined ? undefined : nameOf(prompt))),
    (records) =>
      records.flatMap((record) => {
        const experiment = decodeRecord(record)
        return Result.isSuccess(experiment) ? [experiment.success] : []
      })
  )
