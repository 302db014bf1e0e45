/**
 * The one type: a call to a language model that *opens*, then *flows*.
 *
 * - **Opening** ends when the first content part is there, or, where the whole answer is asked for, with the whole answer.
 *   Until then nothing has reached the consumer, so every policy is legal: retry, fall back, give up waiting, refuse. It can
 *   fail with `E`, and only with `E`.
 * - **Flowing** starts after that. Retry and fallback are impossible by construction, since a policy transforms `open`, and
 *   `open` is over. One error is left: `StreamInterrupted`.
 *
 * A policy is a function from `Llm` to `Llm`. It is written once and right for text, objects, tools and streams alike, and
 * its type says exactly which failures and services it adds and removes.
 *
 * **Gotchas**
 *
 * - What `open` acquires belongs to the scope it is run in. A policy that gives up on an `open` and goes on must run it with
 *   {@link attempt}, so that what it held is released at once.
 * - In a `whole` call `open` must end with `Opened.Whole`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import type * as Pipeable from "effect/Pipeable"
import { pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Call from "./Call.ts"
import type { Opened } from "./Opened.ts"
import * as Plan from "./Plan.ts"

/**
 * Marks values of {@link Llm}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: TypeId = "~effect-bulwark/core/Llm"

/**
 * Marks values of {@link Llm}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export type TypeId = "~effect-bulwark/core/Llm"

/**
 * A call to a language model that may fail with `E` and needs `R`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Llm<out E, out R> extends Pipeable.Pipeable {
  readonly [TypeId]: TypeId
  /** Opens one call. */
  readonly open: (call: Call.Call) => Effect.Effect<Opened, E, R | Scope.Scope>
  /** The policies it is made of, as data. */
  readonly plan: Plan.Plan
}

/**
 * Whether a value is an {@link Llm}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isLlm = (u: unknown): u is Any => Predicate.hasProperty(u, TypeId)

/**
 * Any {@link Llm}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Any extends Llm<unknown, unknown> {}

/**
 * The failures of an {@link Llm}.
 *
 * @category models
 * @since 0.1.0
 */
export type Error<L extends Any> = L extends Llm<infer E, infer _R> ? E : never

/**
 * The services an {@link Llm} needs.
 *
 * @category models
 * @since 0.1.0
 */
export type Services<L extends Any> = L extends Llm<infer _E, infer R> ? R : never

const Proto = {
  [TypeId]: TypeId,
  pipe() {
    return pipeArguments(this, arguments)
  },
  toJSON(this: Any) {
    return { _id: "effect-bulwark/Llm", plan: this.plan }
  },
  toString(this: Any) {
    return Plan.render(this.plan)
  }
}

/**
 * Builds an {@link Llm} from what it does and what it is made of: how policies are written.
 *
 * **Example** (A policy that lowers the temperature with each attempt)
 *
 * ```ts
 * import { Llm, Plan } from "effect-bulwark"
 *
 * const cooling = <E, R>(self: Llm.Llm<E, R>): Llm.Llm<E, R> =>
 *   Llm.make({
 *     plan: Plan.policy("cooling", { children: [self.plan] }),
 *     open: (call) =>
 *       self.open({
 *         ...call,
 *         request: { ...call.request, settings: { ...call.request.settings, temperature: 1 / (1 + call.attempt) } }
 *       })
 *   })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, R>(options: {
  readonly plan: Plan.Plan
  readonly open: (call: Call.Call) => Effect.Effect<Opened, E, R | Scope.Scope>
}): Llm<E, R> => Object.assign(Object.create(Proto), options)

/**
 * Runs an `open` in a scope of its own: closed at once when it fails or is interrupted, kept until the call ends when it
 * succeeds. What every policy uses that gives up on one `open` and goes on with another.
 *
 * @category combinators
 * @since 0.1.0
 */
export const attempt = <E, R>(
  open: Effect.Effect<Opened, E, R | Scope.Scope>
): Effect.Effect<Opened, E, R | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => {
    // An interruption between this line and the next leaves an empty scope to the call's own.
    const child = Scope.forkUnsafe(scope)
    return Effect.onExit(
      Scope.provide(open, child),
      (exit) => Exit.isFailure(exit) ? Scope.close(child, exit) : Effect.void
    )
  })

/**
 * Sets request parameters for every call. What is set further out wins, and what the call itself sets wins over all.
 *
 * **Example** (One temperature for a whole stack)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 *
 * const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(
 *   Llm.orElse(Llm.model(Ollama, "llama3.3")),
 *   Llm.withSettings({ maxOutputTokens: 500 })
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withSettings: {
  (settings: Call.Settings): <E, R>(self: Llm<E, R>) => Llm<E, R>
  <E, R>(self: Llm<E, R>, settings: Call.Settings): Llm<E, R>
} = dual(
  2,
  <E, R>(self: Llm<E, R>, settings: Call.Settings): Llm<E, R> =>
    make({
      plan: Plan.withSettings(self.plan, settings),
      open: (call) =>
        self.open({
          ...call,
          request: { ...call.request, settings: Call.mergeSettings(settings, call.request.settings) }
        })
    })
)
