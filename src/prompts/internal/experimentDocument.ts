/**
 * An experiment as data, and who belongs to which of its variants.
 */
import * as Schema from "effect/Schema"
import type { Attribution } from "../../core/Attribution.ts"
import { Label, Name, VersionNumber } from "../PromptVersion.ts"
import { murmur3 } from "./murmur.ts"

/** Shares are whole numbers of these, so that nothing is ever rounded. */
export const buckets = 10_000

const Percent = Schema.Finite.check(
  Schema.isBetween({ minimum: 0, maximum: 100 }),
  Schema.makeFilter((value) => Math.abs(value * 100 - Math.round(value * 100)) < 1e-6, {
    expected: "per cent, with two decimals at most"
  })
)

/** How many buckets a percentage is. */
export const bucketsOf = (percent: number): number => Math.round(percent * buckets / 100)

/**
 * Whose calls have the same variant: a field of the attribution, or one of its tags.
 *
 * @category models
 * @since 0.1.0
 */
export const Subject = Schema.Union([
  Schema.Literals(["user", "tenant", "feature", "requestId"]),
  Schema.Struct({ tag: Schema.String.check(Schema.isMinLength(1)) })
])

/**
 * Whose calls have the same variant: a field of the attribution, or one of its tags.
 *
 * @category models
 * @since 0.1.0
 */
export type Subject = typeof Subject.Type

/**
 * Something was stopped: when, by whom and why.
 *
 * @category models
 * @since 0.1.0
 */
export const Stop = Schema.Struct({
  /** When, in milliseconds since 1970. */
  at: Schema.Int,
  /** Who: `guard-rail`, where nobody had to. */
  by: Schema.optionalKey(Schema.String),
  reason: Schema.optionalKey(Schema.String)
})

/**
 * Something was stopped: when, by whom and why.
 *
 * @category models
 * @since 0.1.0
 */
export type Stop = typeof Stop.Type

/**
 * One of the versions that are tried.
 *
 * @category models
 * @since 0.1.0
 */
export const Variant = Schema.Struct({
  name: Name,
  version: VersionNumber,
  /** Where it was stopped: its subjects get what the label points to. */
  stopped: Schema.optionalKey(Stop)
})

/**
 * One of the versions that are tried.
 *
 * @category models
 * @since 0.1.0
 */
export type Variant = typeof Variant.Type

/**
 * How the subjects are shared out, from a time on.
 *
 * @category models
 * @since 0.1.0
 */
export const Step = Schema.Struct({
  /** From when on, in milliseconds since 1970. */
  at: Schema.Int,
  /** The share of each variant, in per cent, with two decimals at most. They make 100 together. */
  weights: Schema.Record(Schema.String, Percent)
})

/**
 * How the subjects are shared out, from a time on.
 *
 * @category models
 * @since 0.1.0
 */
export type Step = typeof Step.Type

/**
 * What stops a variant: a measure of its last calls that is above a bound.
 *
 * @category models
 * @since 0.1.0
 */
export const GuardRail = Schema.Struct({
  /** `errorRate`: the share of calls that fail. `latency`: a quantile of what calls take. `cost`: what a call costs, on the average. */
  measure: Schema.Literals(["errorRate", "latency", "cost"]),
  /** The variant is stopped when the measure is above this: a share from 0 to 1, milliseconds, or micro-dollars. */
  above: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  /** Over how many calls: the last ones. Before there are that many, nothing is stopped. */
  calls: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 })),
  /** Of latency: which quantile, between 0 and 1. */
  quantile: Schema.optionalKey(
    Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMinimum: true }))
  )
})

/**
 * What stops a variant: a measure of its last calls that is above a bound.
 *
 * @category models
 * @since 0.1.0
 */
export type GuardRail = typeof GuardRail.Type

/**
 * A part of the subjects that experiments of one group share: each subject takes part in one of them at most.
 *
 * @category models
 * @since 0.1.0
 */
export const Group = Schema.Struct({
  name: Name,
  /** Where its part begins, in per cent of all subjects. */
  from: Percent,
  /** Where it ends. */
  to: Percent
}).check(Schema.makeFilter(({ from, to }) => from < to, { expected: "a part that ends after it begins" }))

/**
 * A part of the subjects that experiments of one group share: each subject takes part in one of them at most.
 *
 * @category models
 * @since 0.1.0
 */
export type Group = typeof Group.Type

const Fields = Schema.Struct({
  prompt: Name,
  id: Name,
  label: Label,
  base: VersionNumber,
  by: Subject,
  group: Schema.optionalKey(Group),
  variants: Schema.NonEmptyArray(Variant).check(Schema.isMaxLength(100)),
  steps: Schema.NonEmptyArray(Step).check(Schema.isMaxLength(1_000)),
  guardRails: Schema.Array(GuardRail).check(Schema.isMaxLength(100)),
  startedAt: Schema.Int,
  stopped: Schema.optionalKey(Stop)
})

/** What is wrong between the fields. */
const inconsistency = ({ guardRails, steps, variants }: typeof Fields.Type): string | undefined => {
  const names = variants.map(({ name }) => name)
  if (names[0] !== "control") return "the first variant must be named `control`"
  if (names.length < 2) return "there must be a variant beside `control`"
  if (new Set(names).size < names.length) return "variants must have different names"
  for (const [index, { at, weights }] of steps.entries()) {
    const given = Object.keys(weights)
    if (given.length !== names.length || names.some((name) => !Object.hasOwn(weights, name))) {
      return "`weights` must have one for each variant, and for no other"
    }
    const sum = Object.values(weights).reduce((sum, weight) => sum + bucketsOf(weight), 0)
    if (sum !== buckets) return `\`weights\` must be 100 together, but are ${sum * 100 / buckets}`
    if (index > 0 && at < steps[index - 1]!.at) return "`steps` must be in order of time"
  }
  for (const { above, measure, quantile } of guardRails) {
    if (measure === "errorRate" && above >= 1) {
      return "an error rate is never above 1: the guard-rail would stop nothing"
    }
    if ((measure === "latency") !== (quantile !== undefined)) return "a quantile is of latency, and latency has one"
  }
  return undefined
}

/**
 * An experiment: versions of a prompt that are tried against each other, on those who would get what a label points to.
 *
 * @category models
 * @since 0.1.0
 */
export const Experiment = Schema.Struct({
  ...Fields.fields,
  /** The prompt. */
  prompt: Fields.fields.prompt,
  /** What it is called, and what tells it from other experiments with this prompt. Who gets which variant depends on it. */
  id: Fields.fields.id,
  /** The label whose calls it takes. */
  label: Fields.fields.label,
  /** The version that the label pointed to when it was started. Where the label points elsewhere, nobody takes part. */
  base: Fields.fields.base,
  /** Whose calls have the same variant. */
  by: Fields.fields.by,
  /** The group whose experiments exclude each other, and its part of it. */
  group: Fields.fields.group,
  /** What is tried; `control` is the first one. */
  variants: Fields.fields.variants,
  /** How the subjects are shared out, and from when on. */
  steps: Fields.fields.steps,
  /** What stops a variant by itself. */
  guardRails: Fields.fields.guardRails,
  /** When it was started, in milliseconds since 1970. */
  startedAt: Fields.fields.startedAt,
  /** Where it was stopped. */
  stopped: Fields.fields.stopped
}).check(Schema.makeFilter((experiment) => inconsistency(experiment)))

/**
 * An experiment: versions of a prompt that are tried against each other, on those who would get what a label points to.
 *
 * @category models
 * @since 0.1.0
 */
export type Experiment = typeof Experiment.Type

export const decodeExperiment = Schema.decodeUnknownResult(Experiment)

export const subjectOf = (by: Subject, attribution: Attribution): string | undefined => {
  if (typeof by === "string") return attribution[by]
  const { tags } = attribution
  return tags !== undefined && Object.hasOwn(tags, by.tag) ? tags[by.tag] : undefined
}

const bucketOf = (key: string): number => Math.floor(murmur3(key) / 2 ** 32 * buckets)

/** No name has a `/`: no two salts are the same. */
const bucketIn = ({ id, prompt }: Experiment, subject: string): number =>
  bucketOf(`experiment/${prompt}/${id}/${subject}`)

export const inSlice = ({ by, group }: Experiment, attribution: Attribution): boolean => {
  if (group === undefined) return true
  const subject = subjectOf(by, attribution)
  if (subject === undefined) return false
  const bucket = bucketOf(`group/${group.name}/${subject}`)
  return bucket >= bucketsOf(group.from) && bucket < bucketsOf(group.to)
}

/** Which step is in force: the last one that has begun. */
const stepAt = ({ steps }: Experiment, now: number): number => {
  let index = 0
  while (index + 1 < steps.length && steps[index + 1]!.at <= now) index++
  return index
}

/** Which variant each bucket has. A step takes buckets only from variants that shrink, and gives them only to those that grow. */
export class Layout {
  private readonly experiment: Experiment
  /** Of each step that was asked for, and all before it: a variant for each bucket. */
  private readonly owners: Array<Uint8Array> = []

  constructor(experiment: Experiment) {
    this.experiment = experiment
  }

  private advance(): void {
    const { steps, variants } = this.experiment
    const { weights } = steps[this.owners.length]!
    const before = this.owners.at(-1)
    const owners = new Uint8Array(buckets)
    const left = variants.map(({ name }) => bucketsOf(weights[name]!))
    const free: Array<number> = []
    for (let bucket = 0; bucket < buckets; bucket++) {
      const owner = before?.[bucket]
      if (owner !== undefined && left[owner]! > 0) {
        owners[bucket] = owner
        left[owner]!--
      } else free.push(bucket)
    }
    let taker = 0
    for (const bucket of free) {
      while (left[taker] === 0) taker++
      owners[bucket] = taker
      left[taker]!--
    }
    this.owners.push(owners)
  }

  /** The variant of whoever is to be told apart by `subject`. */
  variant(subject: string, now: number): Variant {
    const step = stepAt(this.experiment, now)
    while (this.owners.length <= step) this.advance()
    return this.experiment.variants[this.owners[step]![bucketIn(this.experiment, subject)]!]!
  }
}
