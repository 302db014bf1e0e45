/**
 * Who and what a call is made for.
 *
 * Attribution travels with the fiber, not through parameters: set it once around a region of a program, and every call
 * made inside carries it into its receipt, whatever functions lie between.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"

/**
 * The parties a call is attributed to.
 *
 * @category models
 * @since 0.1.0
 */
export const Attribution = Schema.Struct({
  /** The end user on whose behalf the call is made. */
  user: Schema.optionalKey(Schema.String),
  /** The customer, workspace or organisation that the user belongs to. */
  tenant: Schema.optionalKey(Schema.String),
  /** The part of the application that makes the call. */
  feature: Schema.optionalKey(Schema.String),
  /** The application's own id of the request that led to the call. */
  requestId: Schema.optionalKey(Schema.String),
  /** Anything else, by name. */
  tags: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
})

/**
 * The parties a call is attributed to.
 *
 * @category models
 * @since 0.1.0
 */
export type Attribution = typeof Attribution.Type

/**
 * The attribution in force; empty unless {@link annotate} has set one.
 *
 * @category references
 * @since 0.1.0
 */
export const Current: Context.Reference<Attribution> = Context.Reference<Attribution>(
  "effect-bulwark/core/Attribution",
  { defaultValue: () => ({}) }
)

/**
 * Combines two attributions: the second one's fields win, tags are merged.
 *
 * @category combining
 * @since 0.1.0
 */
export const merge = (self: Attribution, that: Attribution): Attribution =>
  self.tags === undefined || that.tags === undefined
    ? { ...self, ...that }
    : { ...self, ...that, tags: { ...self.tags, ...that.tags } }

/**
 * Attributes every call made inside an effect, on top of what is already in force.
 *
 * **Details**
 *
 * A stream is attributed by the effect that runs it.
 *
 * **Example** (Attributing a region of a program)
 *
 * ```ts
 * import { Attribution } from "effect-bulwark"
 * import { Effect } from "effect"
 *
 * const inner = Effect.service(Attribution.Current).pipe(Attribution.annotate({ feature: "search" }))
 *
 * await Effect.runPromise(inner.pipe(Attribution.annotate({ tenant: "acme" })))
 * // => { tenant: "acme", feature: "search" }
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const annotate: {
  (attribution: Attribution): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, attribution: Attribution): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, attribution: Attribution): Effect.Effect<A, E, R> =>
    Effect.updateService(self, Current, (current) => merge(current, attribution))
)
