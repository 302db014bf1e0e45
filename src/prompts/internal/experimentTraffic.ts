/**
 * Which variant of which experiment a call is made with.
 */
import * as Result from "effect/Result"
import type { Attribution } from "../../core/Attribution.ts"
import { decodeExperiment, type Experiment, inSlice, Layout, subjectOf, type Variant } from "./experimentDocument.ts"
import type { Entry, ExperimentRecord, Snapshot } from "./store.ts"
import { describeIssue } from "./storeHome.ts"

/** What is kept under one id, from one start to the next one. */
export const runOf = ({ id, prompt, startedAt }: Experiment): string => `${prompt}/${id}/${startedAt}`

/** A variant of a run. */
export const variantKey = (experiment: Experiment, variant: string): string => `${runOf(experiment)}/${variant}`

export interface Running {
  readonly record: ExperimentRecord
  readonly experiment: Experiment
  readonly layout: Layout
  /** Those of its group that began earlier: who is theirs is not its own. */
  readonly before: ReadonlyArray<Experiment>
}

export interface ExperimentFault {
  readonly name: string
  readonly id: string
  readonly problem: string
}

/** Whoever began first goes first, in all processes. */
const earlierFirst = (one: Experiment, other: Experiment): number =>
  one.startedAt - other.startedAt || (one.prompt < other.prompt ? -1 : one.prompt > other.prompt ? 1 : 0) ||
  (one.id < other.id ? -1 : 1)

export const decodeRecord = ({ document, id, name }: ExperimentRecord): Result.Result<Experiment, string> => {
  const decoded = decodeExperiment(document)
  if (Result.isFailure(decoded)) return Result.fail(describeIssue(decoded.failure.issue))
  const experiment = decoded.success
  return experiment.prompt === name && experiment.id === id
    ? Result.succeed(experiment)
    : Result.fail("its document is that of another experiment")
}

/** All experiments of a snapshot that run. */
export class Traffic {
  readonly faults: ReadonlyArray<ExperimentFault>
  private readonly prompts = new Map<string, ReadonlyArray<Running>>()

  constructor(source: Snapshot) {
    const faults: Array<ExperimentFault> = []
    const found: Array<{ readonly record: ExperimentRecord; readonly experiment: Experiment }> = []
    for (const { experiments } of source.prompts.values()) {
      for (const record of experiments.values()) {
        const decoded = decodeRecord(record)
        if (Result.isFailure(decoded)) faults.push({ name: record.name, id: record.id, problem: decoded.failure })
        else if (decoded.success.stopped === undefined) found.push({ record, experiment: decoded.success })
      }
    }
    this.faults = faults
    const groups = new Map<string, Array<Experiment>>()
    for (
      const { experiment, record } of found.toSorted((one, other) => earlierFirst(one.experiment, other.experiment))
    ) {
      const group = experiment.group === undefined ? [] : groups.get(experiment.group.name) ?? []
      const running = { record, experiment, layout: new Layout(experiment), before: [...group] }
      if (experiment.group !== undefined) groups.set(experiment.group.name, [...group, experiment])
      this.prompts.set(experiment.prompt, [...this.prompts.get(experiment.prompt) ?? [], running])
    }
  }

  get all(): ReadonlyArray<Running> {
    return Array.from(this.prompts.values()).flat()
  }

  find(prompt: string, id: string): Running | undefined {
    return this.prompts.get(prompt)?.find(({ experiment }) => experiment.id === id)
  }

  /** The variant of a call that asks for a label. None: it gets what the label points to. */
  choose(
    entry: Entry,
    label: string,
    attribution: Attribution,
    moment: Moment
  ): { readonly experiment: Experiment; readonly variant: Variant } | undefined {
    const running = this.prompts.get(entry.name)
    if (running === undefined) return undefined
    for (const { before, experiment, layout } of running) {
      // A label that was moved wins: a rollback is one for all.
      if (experiment.label !== label || entry.labels.get(label) !== experiment.base) continue
      const subject = subjectOf(experiment.by, attribution)
      if (subject === undefined || !inSlice(experiment, attribution)) continue
      if (before.some((earlier) => inSlice(earlier, attribution))) continue
      const variant = layout.variant(subject, moment.now())
      // Who was in a variant that was stopped is in no other one: what they have seen would count for it.
      const stopped = variant.stopped !== undefined || moment.halted(variantKey(experiment, variant.name))
      return stopped ? undefined : { experiment, variant }
    }
    return undefined
  }
}

/** What a choice depends on beside the snapshot. */
export interface Moment {
  /** In milliseconds since 1970. */
  readonly now: () => number
  /** Whether a variant was stopped here, and the store does not say so yet. */
  readonly halted: (variant: string) => boolean
}
