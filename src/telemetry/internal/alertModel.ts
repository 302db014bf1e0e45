/**
 * What an alert says, as plain JSON.
 */
import * as Schema from "effect/Schema"

/** What the numbers of an alert are compared with, and how far they are from it. */
export const Evidence = Schema.Struct({
  /** The time that was looked at, in milliseconds. */
  windowMillis: Schema.Finite,
  /** How many calls there were in it. */
  calls: Schema.Int,
  /**
   * What the expectation comes from: the same time on the days before (`days`), the hours before (`hours`), what came just before
   * (`recent`), or a number that was set (`limit`).
   */
  baseline: Schema.Literals(["days", "hours", "recent", "limit"]),
  /** How many values the expectation is made of. */
  samples: Schema.Int,
  /** The middle of these values, in the unit of `expected`; of `TokensPerCall` and `SpendStep`, where ratios count, its logarithm to base 2. */
  median: Schema.Finite,
  /** How far they are usually from it, in the same unit. */
  spread: Schema.Finite,
  /** How far off it is, in the measure of the detector. */
  score: Schema.Finite,
  /** From where on that counts. */
  threshold: Schema.Finite
})

/** What the numbers of an alert are compared with, and how far they are from it. */
export type Evidence = typeof Evidence.Type

export const Severity = Schema.Literals(["warning", "critical"])

export type Severity = typeof Severity.Type

export const Scope = Schema.Literals(["model", "feature", "all"])

export type Scope = typeof Scope.Type

export const Resolution = Schema.Literals(["recovered", "accepted", "gone"])

export type Resolution = typeof Resolution.Type

/** What an amount is of: money, or tokens of calls whose cost is not known. */
export const Unit = Schema.Literals(["microUsd", "tokens"])

export type Unit = typeof Unit.Type

const common = {
  /** What it is about, the same each time: to silence by, and to match the end with the beginning. */
  key: Schema.String,
  /** Whether it begins or is over. */
  state: Schema.Literals(["firing", "resolved"]),
  severity: Severity,
  /** Whether it is about a model for a feature, a feature, or all calls. */
  scope: Scope,
  /** The feature; absent where calls name none, and where it is about all of them. `_OTHER` for those beyond `maxSeries`. */
  feature: Schema.optionalKey(Schema.String),
  /** The model; absent where it is not about one. */
  model: Schema.optionalKey(Schema.String),
  /** When it began, as far as that can be told, in milliseconds since 1970. */
  beganAt: Schema.Finite,
  /** When this was decided, in milliseconds since 1970. */
  at: Schema.Finite,
  /**
   * Why it is over: things are as before (`recovered`), they stayed and are now what is usual (`accepted`), or nothing was seen of it any
   * more (`gone`).
   */
  resolution: Schema.optionalKey(Resolution),
  /** All of it in a line. */
  message: Schema.String,
  evidence: Evidence
}

const amount = {
  unit: Unit,
  /** What is spent, an hour. */
  observed: Schema.Finite,
  /** What would be usual, an hour. */
  expected: Schema.Finite,
  /** What has been spent since it began beyond what is usual. */
  excess: Schema.Finite
}

/** More is spent than is usual at this time of the day. */
export const SpendRate = Schema.TaggedStruct("SpendRate", { ...common, ...amount })

/** Spending has jumped within minutes, and stays there. */
export const SpendStep = Schema.TaggedStruct("SpendStep", { ...common, ...amount })

/** Calls take more tokens than is usual. */
export const TokensPerCall = Schema.TaggedStruct("TokensPerCall", {
  ...common,
  /** The tokens of a typical call (the geometric mean), prompt and answer. */
  observed: Schema.Finite,
  expected: Schema.Finite
})

/** More calls fail than is usual. */
export const ErrorRate = Schema.TaggedStruct("ErrorRate", {
  ...common,
  /** The share of calls that fail, from 0 to 1. */
  observed: Schema.Finite,
  expected: Schema.Finite,
  /** How many have failed in the window. */
  errors: Schema.Int
})

/** The same is asked again and again. */
export const Loop = Schema.TaggedStruct("Loop", {
  ...common,
  /** How often in the window; at least. */
  observed: Schema.Finite,
  /** How often is too often. */
  expected: Schema.Finite,
  /** What these calls have cost, where that is known, in micro-dollars. */
  cost: Schema.optionalKey(Schema.Finite),
  /** Tells what is asked from what else is asked: a hash, from which it cannot be read. */
  fingerprint: Schema.String,
  /** Whose calls they are. Only where it is asked for. */
  tenant: Schema.optionalKey(Schema.String)
})

export const Alert = Schema.Union([SpendRate, SpendStep, TokensPerCall, ErrorRate, Loop])

export type Alert = typeof Alert.Type

export type Detector = Alert["_tag"]

/** What an alert says of itself before it is told of what, when and whether it begins or ends. */
type Told = "key" | "state" | "scope" | "feature" | "model" | "beganAt" | "at" | "resolution" | "message"

type DistributiveOmit<A, K extends PropertyKey> = A extends unknown ? Omit<A, K> : never

export type Finding = DistributiveOmit<Alert, Told>

/** Whose calls a series is of. */
export interface Subject {
  readonly scope: Scope
  readonly feature: string | undefined
  readonly model: string | undefined
}

/** A name in a key: two keys are the same only where all names are. */
const escaped = (name: string | undefined): string =>
  name === undefined
    ? "-"
    : name === "-" || name === "*"
    ? `%${name.charCodeAt(0).toString(16).toUpperCase()}`
    : encodeURIComponent(name.toWellFormed())

export const keyOf = (detector: Detector, subject: Subject, more = ""): string =>
  `${detector}/${subject.scope === "all" ? "*" : escaped(subject.feature)}/` +
  `${subject.scope === "model" ? escaped(subject.model) : "*"}${more}`

const plain = (value: number): string =>
  Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: value < 1 ? 4 : 2 })

const amountOf = (value: number, unit: Unit): string =>
  unit === "microUsd" ? `$${plain(value / 1_000_000)}` : `${plain(value)} tokens`

const percent = (value: number): string => `${Number((value * 100).toPrecision(3))} %`

const times = (observed: number, expected: number): string =>
  expected > 0 ? ` (${plain(observed / expected)} times)` : ""

const minutes = (millis: number): string => `${plain(millis / 60_000)} min`

const about = ({ feature, model, scope }: Subject): string =>
  scope === "all"
    ? "all calls"
    : `${feature === undefined ? "calls without a feature" : JSON.stringify(feature)}${
      scope === "model" ? ` on ${model === undefined ? "no model" : JSON.stringify(model)}` : ""
    }`

const said = (finding: Finding): string => {
  switch (finding._tag) {
    case "SpendRate":
      return `spends ${amountOf(finding.observed, finding.unit)} an hour, at this time usually ` +
        `${amountOf(finding.expected, finding.unit)}${times(finding.observed, finding.expected)}`
    case "SpendStep":
      return `spending has jumped to ${amountOf(finding.observed, finding.unit)} an hour from ` +
        `${amountOf(finding.expected, finding.unit)}${times(finding.observed, finding.expected)}`
    case "TokensPerCall":
      return `a call takes ${plain(finding.observed)} tokens, usually ${plain(finding.expected)}` +
        times(finding.observed, finding.expected)
    case "ErrorRate":
      return `${percent(finding.observed)} of calls fail, usually ${percent(finding.expected)} ` +
        `(${finding.errors} of ${finding.evidence.calls})`
    case "Loop":
      return `the same was asked ${finding.observed} times in ${minutes(finding.evidence.windowMillis)}` +
        (finding.cost === undefined ? "" : `, for ${amountOf(finding.cost, "microUsd")}`) +
        ` (${finding.fingerprint})`
  }
}

const ends: Record<Resolution, string> = {
  recovered: "Over",
  accepted: "Now usual",
  gone: "Over, nothing more was seen"
}

export const messageOf = (finding: Finding, subject: Subject, resolution: Resolution | undefined): string =>
  `${resolution === undefined ? "" : `${ends[resolution]}: `}${about(subject)}: ${said(finding)}`

export const alertOf = (
  finding: Finding,
  subject: Subject,
  key: string,
  beganAt: number,
  at: number,
  resolution: Resolution | undefined
): Alert => ({
  ...finding,
  key,
  state: resolution === undefined ? "firing" : "resolved",
  scope: subject.scope,
  ...(subject.scope === "all" || subject.feature === undefined ? undefined : { feature: subject.feature }),
  ...(subject.scope !== "model" || subject.model === undefined ? undefined : { model: subject.model }),
  beganAt,
  at,
  ...(resolution === undefined ? undefined : { resolution }),
  message: messageOf(finding, subject, resolution)
})
