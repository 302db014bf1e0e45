/**
 * What is known of the past, as plain JSON.
 */
import * as Schema from "effect/Schema"
import { Scope } from "./alertModel.ts"

const Amount = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

const Spend = Schema.Struct({
  /** The number of the first window since 1970. */
  from: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  /** What was spent in it and those after it; null where that is not known. */
  values: Schema.Array(Schema.NullOr(Amount)).check(Schema.isMaxLength(100_000)),
  step: Schema.Struct({ level: Schema.Finite, variance: Amount, blocks: Amount })
})

const Tokens = Schema.Struct({
  means: Schema.Array(Amount).check(Schema.isMaxLength(10_000)),
  mean: Amount,
  variance: Amount,
  calls: Amount,
  noise: Amount
})

const Errors = Schema.Struct({ errors: Amount, calls: Amount })

const Series = Schema.Struct({
  scope: Scope,
  feature: Schema.optionalKey(Schema.String),
  model: Schema.optionalKey(Schema.String),
  /** The last minute with a call, since 1970. */
  seen: Amount,
  money: Schema.optionalKey(Spend),
  tokens: Schema.optionalKey(Spend),
  perCall: Schema.optionalKey(Tokens),
  errors: Schema.optionalKey(Errors)
})

export type SeriesState = typeof Series.Type

export const History = Schema.Struct({
  version: Schema.Literal(1),
  /** When this was known, in milliseconds since 1970. */
  at: Schema.Finite,
  /** How long the windows are, in milliseconds. */
  windowMillis: Schema.Finite,
  series: Schema.Array(Series)
})

export type History = typeof History.Type
