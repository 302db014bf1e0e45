/**
 * Experiments with prompts: some of the callers get another version, the same ones each time, until it is known which one is better, or
 * until it does harm.
 *
 * - {@link start} begins one: versions with weights, as `control` 90 and `candidate` 10. Whoever asks for the label of the prompt takes part,
 *   and receipts say in which variant.
 * - {@link reweigh} gives the variants other weights, and a ramp does so over time. Nobody leaves a variant that grows.
 * - Guard-rails stop a variant by themselves, in all processes, when it fails, takes or costs too much.
 * - {@link stop} ends it, and {@link promote} ends it in favour of a variant.
 * - `PromptRegistry.score` records how good answers were, and `PromptRegistry.compare` says whether the variants differ.
 *
 * **Who gets what**
 *
 * A subject, a user say, is hashed with the name of the experiment: MurmurHash3 (x86, 32 bits, seed 0) of the UTF-8 of
 * `experiment/<prompt>/<id>/<subject>`, as a fraction of 2^32, says in which of 10,000 parts it is. That is the same in all processes and
 * versions of this library, nothing is stored for a subject, and two experiments are independent. Calls without a subject, those who were
 * in a variant that was stopped, and all others get what the label points to.
 *
 * **A label that is moved wins.** An experiment is about the version that its label pointed to when it was started. Where the label points
 * elsewhere, after a rollback or a deployment, nobody takes part: all get what the label says.
 *
 * **What goes inside, what outside**
 *
 * Experiments are part of the registry: a call needs nothing but `Attribution.annotate({ user })` around it.
 *
 * **Gotchas**
 *
 * - Guard-rails see the calls of their own process, and the first process that sees enough of them stops the variant for all.
 * - Processes take steps of a ramp by their own clocks.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Attribution } from "../core/Attribution.ts"
import type * as Money from "../core/Money.ts"
import * as Deploy from "./internal/experimentDeploy.ts"
import * as Document from "./internal/experimentDocument.ts"
import type { PromptUnfit } from "./internal/registryDeploy.ts"
import { type AnyHandle, PromptRegistry } from "./PromptRegistry.ts"
import type { ExperimentRecord, PromptConflict, PromptRefused, PromptStoreError } from "./PromptStore.ts"

const { Experiment, Group, GuardRail, Step, Stop, Subject, Variant } = Document
const { ExperimentRefused } = Deploy

type ExperimentRefused = Deploy.ExperimentRefused
type Experiment = Document.Experiment
type Group = Document.Group
type GuardRail = Document.GuardRail
type Step = Document.Step
type Stop = Document.Stop
type Subject = Document.Subject
type Variant = Document.Variant

export {
  /**
   * An experiment: versions of a prompt that are tried against each other, on those who would get what a label points to.
   *
   * @category models
   * @since 0.1.0
   */
  Experiment,
  /**
   * An experiment cannot be started or changed as it is asked for, and nothing was done.
   *
   * @category errors
   * @since 0.1.0
   */
  ExperimentRefused,
  /**
   * A part of the subjects that experiments of one group share: each subject takes part in one of them at most.
   *
   * @category models
   * @since 0.1.0
   */
  Group,
  /**
   * What stops a variant: a measure of its last calls that is above a bound.
   *
   * @category models
   * @since 0.1.0
   */
  GuardRail,
  /**
   * How the subjects are shared out, from a time on.
   *
   * @category models
   * @since 0.1.0
   */
  Step,
  /**
   * Something was stopped: when, by whom and why.
   *
   * @category models
   * @since 0.1.0
   */
  Stop,
  /**
   * Whose calls have the same variant: a field of the attribution, or one of its tags.
   *
   * @category models
   * @since 0.1.0
   */
  Subject,
  /**
   * One of the versions that are tried.
   *
   * @category models
   * @since 0.1.0
   */
  Variant
}

// ---------------------------------------------------------------------------------------------------------------------
// starting
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Who does something, and why: kept with what was done.
 *
 * @category options
 * @since 0.1.0
 */
export interface Remarks {
  /** Who. */
  readonly by?: string | undefined
  /** Why. */
  readonly reason?: string | undefined
}

/**
 * A guard-rail, with units.
 *
 * **Details**
 *
 * - `errorRate`: the share of the last `calls` that failed, from 0 to 1.
 * - `cost`: what the last `calls` cost on the average, in dollars. It needs receipts that know their cost (`Budget.enforce`).
 * - `latency`: a `quantile` of what the last `calls` that succeeded took (0.95 by default).
 *
 * A variant is stopped when the measure is above the bound, and never before there were as many `calls` (100 by default). What counts is as
 * for `PromptRegistry.compare`.
 *
 * @category options
 * @since 0.1.0
 */
export type GuardRailOptions =
  | {
    readonly measure: "errorRate"
    readonly above: number
    readonly calls?: number | undefined
  }
  | {
    readonly measure: "cost"
    readonly above: Money.Decimal
    readonly calls?: number | undefined
  }
  | {
    readonly measure: "latency"
    readonly above: Duration.Input
    readonly quantile?: number | undefined
    readonly calls?: number | undefined
  }

/**
 * The weights of all variants, in per cent, with two decimals at most: together they are 100.
 *
 * @category options
 * @since 0.1.0
 */
export type Weights<Names extends string> = { readonly [Name in Names | "control"]: number }

/**
 * How weights change over time.
 *
 * @category options
 * @since 0.1.0
 */
export interface Ramp<Names extends string> {
  /** How long after the experiment was started, or given other weights. */
  readonly after: Duration.Input
  readonly weights: Weights<Names>
}

/**
 * A version that is tried.
 *
 * @category options
 * @since 0.1.0
 */
export interface VariantOptions {
  readonly version: number
  /** Its share of the subjects, in per cent. */
  readonly weight: number
}

/**
 * What the others are compared with.
 *
 * @category options
 * @since 0.1.0
 */
export interface ControlOptions {
  /** Default: what the label points to. */
  readonly version?: number | undefined
  /** Its share of the subjects, in per cent. */
  readonly weight: number
}

/**
 * An experiment that is to be started.
 *
 * @category options
 * @since 0.1.0
 */
export interface StartOptions<Names extends string> extends Remarks {
  /** What it is called, and what tells it from other experiments with this prompt: named as a prompt is. Who gets which variant depends on it. */
  readonly id: string
  /** Versions by names of your own, with their weights. `control` is what the label points to, where it has no version. */
  readonly variants:
    & { readonly [Name in Names]: Name extends "control" ? ControlOptions : VariantOptions }
    & { readonly control: ControlOptions }
  /** Other weights, later. */
  readonly ramp?: ReadonlyArray<Ramp<NoInfer<Names>>> | undefined
  /** The label whose calls it takes. Default: that of the definition, or `production`. */
  readonly label?: string | undefined
  /** Whose calls have the same variant. Default: `user`. */
  readonly subject?: Subject | undefined
  /** Its part of a group of experiments, none of whose subjects takes part in two. Default: none. */
  readonly group?: Group | undefined
  /** What stops a variant other than `control`. Default: nothing. */
  readonly guardRails?: ReadonlyArray<GuardRailOptions> | undefined
}

type Failure = Deploy.ExperimentRefused | PromptStoreError | PromptConflict | PromptRefused

/**
 * Starts an experiment: from here on, callers are shared out.
 *
 * **Details**
 *
 * Fails with `ExperimentRefused` and what is wrong: weights that are not 100 together, a version that is not there, another experiment that
 * wants the same subjects. With a definition, a version that does not fit it is refused (`PromptUnfit`). Of two who start the same
 * experiment at once one does, and the other fails with `PromptConflict`.
 *
 * An experiment that was stopped can be started again: everybody gets the variant they had, if the weights are the same.
 *
 * **Gotchas**
 *
 * Two that are started at the same moment in two processes may want the same subjects after all. Then the earlier one has them, in all
 * processes.
 *
 * **Example** (Ten per cent, a day later half of all)
 *
 * ```ts
 * import { Experiment, PromptRegistry } from "effect-bulwark/prompts"
 * import { Schema } from "effect"
 *
 * const summarize = PromptRegistry.define("summarize", { variables: Schema.Struct({ document: Schema.String }) })
 *
 * const program = Experiment.start(summarize, {
 *   id: "shorter",
 *   variants: { control: { weight: 90 }, candidate: { version: 2, weight: 10 } },
 *   ramp: [{ after: "1 day", weights: { control: 50, candidate: 50 } }],
 *   guardRails: [
 *     { measure: "errorRate", above: 0.05, calls: 200 },
 *     { measure: "latency", above: "8 seconds", quantile: 0.95 },
 *     { measure: "cost", above: "0.02" }
 *   ],
 *   by: "ada",
 *   reason: "are shorter summaries as helpful?"
 * })
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const start = <Names extends string>(
  prompt: AnyHandle | string,
  options: StartOptions<Names>
): Effect.Effect<Experiment, Failure | PromptUnfit, PromptRegistry> =>
  PromptRegistry.use(({ prompts }) => Deploy.start(prompts, prompt, options))

// ---------------------------------------------------------------------------------------------------------------------
// changing and ending
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Gives the variants other weights, from now on, in place of what was still to come of a ramp.
 *
 * **Details**
 *
 * Subjects leave only variants that shrink, and come only to those that grow: nobody moves between two others, and nobody leaves a variant
 * that grows.
 *
 * @category operations
 * @since 0.1.0
 */
export const reweigh = (
  prompt: AnyHandle | string,
  id: string,
  options: Remarks & {
    /** The share of each variant, in per cent, with two decimals at most: together they are 100. */
    readonly weights: { readonly [variant: string]: number }
    /** Other weights, later. */
    readonly ramp?: ReadonlyArray<Ramp<string>> | undefined
  }
): Effect.Effect<Experiment, Failure, PromptRegistry> =>
  PromptRegistry.use(({ prompts }) => Deploy.reweigh(prompts, prompt, id, options))

/**
 * Stops one variant, for good: its subjects get what the label points to, and take part no more. The others go on as they are. One that is
 * stopped already stays as it is, with who stopped it and why.
 *
 * @category operations
 * @since 0.1.0
 */
export const stopVariant = (
  prompt: AnyHandle | string,
  id: string,
  variant: string,
  remarks: Remarks = {}
): Effect.Effect<Experiment, Failure, PromptRegistry> =>
  PromptRegistry.use(({ prompts }) =>
    Effect.map(Deploy.stopVariant(prompts, prompt, id, variant, remarks), ({ experiment }) => experiment)
  )

/**
 * Ends an experiment: everybody gets what the label points to. One that is stopped already stays as it is.
 *
 * @category operations
 * @since 0.1.0
 */
export const stop = (
  prompt: AnyHandle | string,
  id: string,
  remarks: Remarks = {}
): Effect.Effect<Experiment, Failure, PromptRegistry> =>
  PromptRegistry.use(({ prompts }) => Deploy.stop(prompts, prompt, id, remarks))

/**
 * Ends an experiment in favour of a variant: the label is moved to its version, if it still points to where it did, and the experiment is
 * stopped. `PromptRegistry.rollback` takes that back.
 *
 * **Details**
 *
 * The label is moved first, and an experiment is over where its label is elsewhere: whoever is killed between the two leaves everybody with
 * the winner. To ask for it again does the rest.
 *
 * @category operations
 * @since 0.1.0
 */
export const promote = (
  prompt: AnyHandle | string,
  id: string,
  variant: string,
  remarks: Remarks = {}
): Effect.Effect<Experiment, Failure | PromptUnfit, PromptRegistry> =>
  PromptRegistry.use(({ prompts }) => Deploy.promote(prompts, prompt, id, variant, remarks))

// ---------------------------------------------------------------------------------------------------------------------
// looking
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Experiments as the store has them now, also those that are stopped: with one prompt, or all.
 *
 * @category getters
 * @since 0.1.0
 */
export const list = (
  prompt?: AnyHandle | string
): Effect.Effect<ReadonlyArray<Experiment>, PromptStoreError, PromptRegistry> =>
  PromptRegistry.use(({ prompts }) => Deploy.list(prompts, prompt))

/**
 * What became of an experiment, the first event first: each `document` is an {@link Experiment}, with who saved it and why.
 *
 * @category getters
 * @since 0.1.0
 */
export const history = (
  prompt: AnyHandle | string,
  id: string
): Effect.Effect<ReadonlyArray<ExperimentRecord>, PromptStoreError, PromptRegistry> =>
  PromptRegistry.use(({ prompts, store }) =>
    prompts.inTime(
      "experimentHistory",
      store.experimentHistory(typeof prompt === "string" ? prompt : prompt.name, id)
    )
  )

/**
 * Says which variant a caller has at a time, by the experiment alone: whether or not the label still points where it did, and whether or not
 * the variant is stopped. `undefined` where there is no subject, or where it is in another part of the group.
 *
 * **Example** (The same everywhere)
 *
 * ```ts
 * import { Experiment } from "effect-bulwark/prompts"
 *
 * const experiment: Experiment.Experiment = {
 *   prompt: "summarize",
 *   id: "shorter",
 *   label: "production",
 *   base: 1,
 *   by: "user",
 *   variants: [{ name: "control", version: 1 }, { name: "candidate", version: 2 }],
 *   steps: [{ at: 0, weights: { control: 50, candidate: 50 } }],
 *   guardRails: [],
 *   startedAt: 0
 * }
 *
 * const variantOf = Experiment.assign(experiment)
 *
 * variantOf({ user: "ada" }, 0) // => "control"
 * variantOf({ tenant: "acme" }, 0) // => undefined
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const assign = (
  experiment: Experiment
): (attribution: Attribution, at: number) => string | undefined => {
  const layout = new Document.Layout(experiment)
  return (attribution, at) => {
    const subject = Document.subjectOf(experiment.by, attribution)
    return subject === undefined || !Document.inSlice(experiment, attribution)
      ? undefined
      : layout.variant(subject, at).name
  }
}
