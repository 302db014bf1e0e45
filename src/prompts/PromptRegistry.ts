/**
 * Prompts that are deployed, tested and rolled back like code: no prompt stands in the application, every answer can be traced to the
 * version it was made with, and a bad version is rolled back in a second, without a deploy.
 *
 * - {@link define} names a prompt, its variables by a schema, and the models that its versions may name. What is given back is typed: a
 *   missing or mistyped variable does not compile.
 * - {@link publish} adds a version, if it fits the definition. Nobody uses it until {@link label} moves a label to it; {@link rollback}
 *   moves it back.
 * - {@link generateText}, {@link streamText} and {@link generateObject} ask the model that the version names, with its settings;
 *   {@link render} gives the prompt itself.
 * - {@link withLabel} and {@link withVersion} choose another version for a region of a program.
 *
 * **How it serves.** All prompts are kept in memory, as they were at one moment, and replaced as a whole when the store says that something
 * has changed. A call asks nobody: its messages, settings and model are of one version, old or new. While the store is out, what was there
 * before is served, and {@link status} says since when.
 *
 * **What goes inside, what outside**
 *
 * The registry stands outside of all policies: retries, fallbacks, budgets and caches belong to the models that a definition is given. They
 * see which prompt a call is made with (`Call.prompt`), and so do receipts and the ledger.
 *
 * **Gotchas**
 *
 * - A definition is made once, as a constant: what was checked for it is remembered with it.
 * - Other programs see a label that was moved when their store tells them; how long that takes is the store's.
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { NoExcessProperties } from "effect/Types"
import { Current } from "../core/Attribution.ts"
import { type Call, mergeSettings, type Settings } from "../core/Call.ts"
import * as Generate from "../core/Generate.ts"
import * as Llm from "../core/Llm.ts"
import {
  type InvalidOutput,
  type OutputTruncated,
  PromptInvalid,
  type PromptNotFound,
  type StreamInterrupted
} from "../core/LlmError.ts"
import type * as Part from "../core/Part.ts"
import * as Plan from "../core/Plan.ts"
import type { PromptReference } from "../core/PromptReference.ts"
import * as Receipt from "../core/Receipt.ts"
import { reportUnhandled } from "../policies/internal/reportUnhandled.ts"
import type { Comparison } from "./Comparison.ts"
import { stopVariant } from "./internal/experimentDeploy.ts"
import { observedOf, type Trip } from "./internal/experimentGuard.ts"
import { comparison, Tally } from "./internal/registryCompare.ts"
import * as Deploy from "./internal/registryDeploy.ts"
import {
  type AnyHandle,
  type Handle,
  makeHandle,
  type Models,
  type VariablesSchema
} from "./internal/registryHandle.ts"
import { again, type Failed, Prompts, type Rendered, sentences } from "./internal/registryPrompts.ts"
import * as Scores from "./internal/registryScore.ts"
import { type Choice, choose, type Wanted } from "./internal/registrySnapshot.ts"
import {
  type Entry,
  type LabelEvent,
  type Problem,
  type PromptConflict,
  type PromptRefused,
  PromptStore,
  type PromptStoreError,
  type Score
} from "./PromptStore.ts"
import { type Bounds, boundsOf } from "./PromptTemplate.ts"
import type { Content, Draft, PromptVersion } from "./PromptVersion.ts"

export { type AnyHandle, type Handle, type Models, type Rendered, type VariablesSchema }

const { PromptUnfit } = Deploy
const { UnknownOperation } = Scores

type PromptUnfit = Deploy.PromptUnfit
type UnknownOperation = Scores.UnknownOperation

export {
  /**
   * A version does not fit the definition of its prompt, or is none: it is not published, and no label is moved to it.
   *
   * @category errors
   * @since 0.1.0
   */
  PromptUnfit,
  /**
   * It is not known which prompt an operation was made with, and nothing was scored.
   *
   * @category errors
   * @since 0.1.0
   */
  UnknownOperation
}

// ---------------------------------------------------------------------------------------------------------------------
// definitions
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Defines a prompt: what its versions have to keep to.
 *
 * **Details**
 *
 * Templates are given what `variables` encodes to, which must be data as in JSON: `Schema.DateFromString`, not `Schema.Date`. A variable that is not optional must be used by every
 * version.
 *
 * `models` are whole stacks of policies, by names of your own: a version that names another one changes the model without a deploy.
 * `model` is for versions that name none. Without `models`, the prompt can only be rendered.
 *
 * `label` is asked for where nothing else is said: `production` by default.
 *
 * Throws a `RangeError` that says what is not legal.
 *
 * **Example** (A prompt with two models)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { PromptRegistry } from "effect-bulwark/prompts"
 * import { Provider } from "effect-bulwark/providers"
 * import { Schema } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 * class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}
 *
 * const summarize = PromptRegistry.define("summarize", {
 *   variables: Schema.Struct({ document: Schema.String, words: Schema.optionalKey(Schema.Int) }),
 *   models: {
 *     small: Llm.model(OpenAi, "gpt-5-mini").pipe(Llm.orElse(Llm.model(Anthropic, "claude-haiku-4-5"))),
 *     large: Llm.model(Anthropic, "claude-opus-5")
 *   },
 *   model: "small"
 * })
 *
 * summarize.label // => "production"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const define = <
  Variables extends VariablesSchema,
  const M extends Models = {},
  Output extends Schema.Top | undefined = undefined
>(
  name: string,
  options: {
    readonly variables: Variables
    readonly output?: Output | undefined
    readonly models?: M | undefined
    readonly model?: NoInfer<keyof M & string> | undefined
    readonly label?: string | undefined
  }
): Handle<Variables, M, Output> =>
  // What is kept of the options is what was given.
  makeHandle(name, options) as Handle<VariablesSchema, Models, Schema.Top | undefined> as Handle<Variables, M, Output>

// ---------------------------------------------------------------------------------------------------------------------
// the service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How the registry stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  /** Says which snapshot is served, and nothing else. */
  readonly revision: string
  /** When it was read, in milliseconds since 1970; 0 where none has been. */
  readonly loadedAt: number
  /** Since when the store, or a part of it, could not be read, in milliseconds since 1970: what was there before is served. */
  readonly staleSince: number | undefined
  /** How many prompts there are. */
  readonly prompts: number
  /** What the store has and cannot give, and why. */
  readonly problems: ReadonlyArray<Problem>
  /** What labels point to and cannot be used, and why. */
  readonly faults: ReadonlyArray<{
    readonly name: string
    readonly version: number
    readonly label: string
    readonly problem: string
  }>
  /** Experiments that are none, and why: nobody takes part in them. */
  readonly experimentFaults: ReadonlyArray<{ readonly name: string; readonly id: string; readonly problem: string }>
}

/**
 * Prompts, ready to be used.
 *
 * @category services
 * @since 0.1.0
 */
export class PromptRegistry extends Context.Service<PromptRegistry, {
  /** How it stands. */
  readonly status: Effect.Effect<Status>
  /** Reads everything anew, now. */
  readonly reload: Effect.Effect<void, PromptStoreError>
  /** Where everything is kept. */
  readonly store: PromptStore["Service"]
  /** What is served. */
  readonly prompts: Prompts
}>()("effect-bulwark/prompts/PromptRegistry") {}

/**
 * Settings of the registry.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How much templates may be and do. */
  readonly bounds?: Bounds | undefined
  /** How long the store may take to answer; longer than what a store in layers waits for the upper one. Default: 10 seconds. */
  readonly storeTimeout?: Duration.Input | undefined
  /**
   * What becomes of a program that starts while the store is out: it fails to (`fail`, the default), or it starts without prompts, calls
   * fail with `PromptNotFound`, and all is well as soon as the store is back (`allow`). A store in layers that has a shipped default is
   * not out.
   */
  readonly onStoreError?: "allow" | "fail" | undefined
  /** How many of the calls that it ran last it remembers, to score and to compare them. Default: 10,000, which is some megabytes. */
  readonly remember?: number | undefined
}

/**
 * The registry over a store.
 *
 * **Details**
 *
 * Everything is read when the layer is built. After that the store is asked when it says that something has changed, at most ten times a
 * second, and, when it was out, again and again until it is back, at most half a minute apart. What is published or moved through the
 * registry is served when that has returned.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * **Example** (In memory)
 *
 * ```ts
 * import { PromptRegistry, PromptStore } from "effect-bulwark/prompts"
 * import { Layer } from "effect"
 *
 * const prompts = PromptRegistry.layer().pipe(Layer.provide(PromptStore.layerMemory))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: {
  (options: Options & { readonly onStoreError: "allow" }): Layer.Layer<PromptRegistry, never, PromptStore>
  (options?: Options): Layer.Layer<PromptRegistry, PromptStoreError, PromptStore>
} = (options: Options = {}): Layer.Layer<PromptRegistry, never, PromptStore> => {
  const bounds = boundsOf(options.bounds)
  const storeTimeout = Duration.toMillis(Duration.fromInputUnsafe(options.storeTimeout ?? "10 seconds"))
  if (!(storeTimeout > 0 && Number.isFinite(storeTimeout))) {
    throw new RangeError(
      `PromptRegistry.layer: storeTimeout must be finite and longer than zero, got ${storeTimeout} ms`
    )
  }
  const { remember = 10_000 } = options
  if (!(Number.isSafeInteger(remember) && remember >= 1)) {
    throw new RangeError(`PromptRegistry.layer: remember must be a whole number of at least 1, got ${remember}`)
  }
  return Layer.effect(
    PromptRegistry,
    Effect.gen(function*() {
      const store = yield* PromptStore
      const trips = yield* Queue.unbounded<Trip>()
      const stop = (trip: Trip) => void Queue.offerUnsafe(trips, trip)
      const prompts = new Prompts({ store, bounds, storeTimeout, remember, stop })
      // The failure is in the type where it can be: see the overloads.
      yield* options.onStoreError === "allow"
        ? Effect.ignore(prompts.load)
        : (prompts.load as Effect.Effect<void>)
      yield* Effect.forkScoped(prompts.follow)
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(trips), (trip) => stopFor(prompts, trip))))
      return PromptRegistry.of({ status: Effect.sync(() => statusOf(prompts)), reload: prompts.load, store, prompts })
    })
  )
}

/** Tells all others that a guard-rail has stopped a variant. The first one who does is the one who is recorded. */
const stopFor = (prompts: Prompts, { experiment, reason, variant }: Trip): Effect.Effect<void> => {
  const { id, prompt, startedAt } = experiment
  return stopVariant(prompts, prompt, id, variant, { by: "guard-rail", reason }, startedAt).pipe(
    Effect.tapError((error) =>
      reportUnhandled("PromptRegistry could not stop a variant for others yet", Cause.fail(error))
    ),
    Effect.retry({ schedule: again, while: ({ _tag }) => _tag === "PromptStoreError" || _tag === "PromptConflict" }),
    Effect.flatMap(({ changed }) =>
      changed
        ? Effect.logWarning(
          `The variant ${variant} of the experiment ${id} with the prompt ${prompt} is stopped: ${reason}`
        )
        : Effect.void
    ),
    // The experiment is gone, or cannot be written: here it is stopped.
    Effect.ignoreCause
  )
}

const statusOf = ({ outageSince, serving }: Prompts): Status => {
  const { problems, prompts, revision, staleSince } = serving.source
  const experimentFaults = serving.traffic.faults
  return {
    revision,
    loadedAt: serving.loadedAt,
    staleSince: outageSince === undefined
      ? staleSince
      : staleSince === undefined
      ? outageSince
      : Math.min(outageSince, staleSince),
    prompts: prompts.size,
    problems,
    experimentFaults,
    faults: serving.faults.map(({ label, problem, version: { name, version } }) => ({ name, version, label, problem }))
  }
}

/**
 * How the registry stands: since when the store is out, if it is, and what is wrong with what it has.
 *
 * @category getters
 * @since 0.1.0
 */
export const status: Effect.Effect<Status, never, PromptRegistry> = PromptRegistry.use(({ status }) => status)

/**
 * Reads everything anew, now.
 *
 * @category getters
 * @since 0.1.0
 */
export const reload: Effect.Effect<void, PromptStoreError, PromptRegistry> = PromptRegistry.use(({ reload }) => reload)

/**
 * What is served of a prompt: its versions and labels. `undefined` where there is none of that name.
 *
 * @category getters
 * @since 0.1.0
 */
export const inspect = (prompt: AnyHandle | string): Effect.Effect<Entry | undefined, never, PromptRegistry> =>
  PromptRegistry.useSync(({ prompts }) => prompts.serving.source.prompts.get(nameOf(prompt)))

/**
 * What became of the labels of a prompt, the first event first: who moved them, when and why.
 *
 * @category getters
 * @since 0.1.0
 */
export const history = (
  prompt: AnyHandle | string
): Effect.Effect<ReadonlyArray<LabelEvent>, PromptStoreError, PromptRegistry> =>
  PromptRegistry.use(({ prompts, store }) => prompts.inTime("history", store.history(nameOf(prompt))))

const nameOf = (prompt: AnyHandle | string): string => typeof prompt === "string" ? prompt : prompt.name

// ---------------------------------------------------------------------------------------------------------------------
// deploying
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a version is made of. `system` and `user` are short for a message each: the first one, and the last.
 *
 * @category options
 * @since 0.1.0
 */
export interface PublishOptions<M extends Models>
  extends Omit<Draft, "name" | "content">, Omit<Content, "messages" | "model">
{
  /** Which of the models of the definition is asked. */
  readonly model?: keyof M & string
  /** The first message, as a template. */
  readonly system?: string
  /** Messages, as templates. */
  readonly messages?: ReadonlyArray<Content["messages"][number]>
  /** The last message, as a template. */
  readonly user?: string
}

/**
 * Publishes a version, if it fits the definition. It is not used by anybody until a label points to it.
 *
 * **Details**
 *
 * Fails with `PromptUnfit` and all that is wrong: templates that are none, variables that the definition lacks, required ones that no
 * template uses, a model it does not know, fragments that are not there or include themselves. Where the schema says what values look like,
 * the version is rendered once with all that can be given and once with as little, so that a variable that may be missing and is written
 * all the same is found now.
 *
 * A version that says what the last one does is not published again: the answer is the one that is there.
 *
 * **Gotchas**
 *
 * What a condition on a value hides (`{% if kind == "a" %}`) is rendered only when a call has that value.
 *
 * **Example** (Publishing, and putting to use)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { PromptRegistry, PromptStore } from "effect-bulwark/prompts"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer, Schema } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const greet = PromptRegistry.define("greet", {
 *   variables: Schema.Struct({ name: Schema.String }),
 *   models: { small: Llm.model(OpenAi, "gpt-5-mini") },
 *   model: "small"
 * })
 *
 * const program = Effect.gen(function*() {
 *   const { version } = yield* PromptRegistry.publish(greet, {
 *     system: "You greet people in one short sentence.",
 *     user: "Greet {{ name }}.",
 *     author: "ada"
 *   })
 *   yield* PromptRegistry.label(greet, { label: "production", version, by: "ada", reason: "first version" })
 *   const answer = yield* PromptRegistry.generateText(greet, { name: "Grace" })
 *   return [answer.text, answer.receipt.prompt?.version, answer.receipt.prompt?.label]
 * })
 *
 * const prompts = PromptRegistry.layer().pipe(Layer.provide(PromptStore.layerMemory))
 * const provider = ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello, Grace!")])
 *
 * await Effect.runPromise(Effect.provide(program, [prompts, provider])) // => ["Hello, Grace!", 1, "production"]
 * ```
 *
 * @category deploying
 * @since 0.1.0
 */
export const publish = <V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined>(
  handle: Handle<V, M, O>,
  options: PublishOptions<M>
): Effect.Effect<
  PromptVersion,
  Deploy.PromptUnfit | PromptStoreError | PromptConflict | PromptRefused,
  PromptRegistry
> =>
  PromptRegistry.use(({ prompts }) => {
    const {
      author,
      examples,
      includes,
      message,
      messages = [],
      metadata,
      model,
      settings,
      system,
      user,
      version,
      ...rest
    } = options
    const given = (fields: object) =>
      Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined))
    return Deploy.publish(prompts, handle, {
      // What is none of these is refused there, by its name.
      ...rest,
      name: handle.name,
      ...given({ author, message, metadata, version }),
      content: {
        ...given({ model, settings, examples, includes }),
        messages: [
          ...(system === undefined ? [] : [{ role: "system", template: system }]),
          ...messages,
          ...(user === undefined ? [] : [{ role: "user", template: user }])
        ]
      }
    })
  })

/**
 * A label is to be moved.
 *
 * @category options
 * @since 0.1.0
 */
export interface LabelOptions {
  /** The label. */
  readonly label: string
  /** The version it shall point to; `undefined` takes the label away. */
  readonly version: number | undefined
  /** The version it must point to now, or `"nothing"`: else nothing is moved. Default: whatever it is. */
  readonly from?: number | "nothing" | undefined
  /** Who moves it. */
  readonly by?: string | undefined
  /** Why. */
  readonly reason?: string | undefined
}

/**
 * Moves a label to a version, at once and as a whole, and records who did so and why. With a definition, a version that does not fit it is
 * refused; with a name, only one that cannot be rendered at all.
 *
 * @category deploying
 * @since 0.1.0
 */
export const label = (
  prompt: AnyHandle | string,
  options: LabelOptions
): Effect.Effect<
  LabelEvent,
  Deploy.PromptUnfit | PromptStoreError | PromptConflict | PromptRefused,
  PromptRegistry
> => PromptRegistry.use(({ prompts }) => Deploy.label(prompts, prompt, options))

/**
 * Moves a label back to the version that it pointed to before.
 *
 * **Details**
 *
 * Once more, and it goes one further back; to go forward again, use {@link label}. A label that was taken away is put back. Of several who
 * roll back at once, one does, and the others fail with `PromptConflict`. Fails with `PromptRefused` where there is nothing to go back to.
 *
 * @category deploying
 * @since 0.1.0
 */
export const rollback = (
  prompt: AnyHandle | string,
  options?: {
    /** The label. Default: that of the definition, or `production`. */
    readonly label?: string | undefined
    /** The version to go back to. Default: the one before. */
    readonly to?: number | undefined
    /** Who rolls back. */
    readonly by?: string | undefined
    /** Why. Default: `rollback`. */
    readonly reason?: string | undefined
  }
): Effect.Effect<
  LabelEvent,
  Deploy.PromptUnfit | PromptStoreError | PromptConflict | PromptRefused,
  PromptRegistry
> =>
  PromptRegistry.use(({ prompts }) =>
    Deploy.rollback(prompts, prompt, {
      ...options,
      label: options?.label ?? (typeof prompt === "string" ? "production" : prompt.label)
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// choosing
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Which versions are asked for instead of those that definitions name.
 *
 * @category references
 * @since 0.1.0
 */
export interface Selection {
  /** For all prompts: the first of these labels that a prompt has. */
  readonly labels: ReadonlyArray<string> | undefined
  /** For some prompts, by name: a version. */
  readonly versions: { readonly [prompt: string]: number }
}

/**
 * The selection in force; none unless {@link withLabel} or {@link withVersion} has made one.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentSelection: Context.Reference<Selection> = Context.Reference<Selection>(
  "effect-bulwark/prompts/Selection",
  { defaultValue: () => ({ labels: undefined, versions: {} }) }
)

/**
 * Asks for another label, of all prompts in a region of a program: for previews and tests, say. Of several labels the first that a prompt
 * has counts.
 *
 * **Example** (What is on its way to production, where there is something)
 *
 * ```ts
 * import { PromptRegistry } from "effect-bulwark/prompts"
 * import { Effect } from "effect"
 *
 * const preview = <A, E, R>(handler: Effect.Effect<A, E, R>) =>
 *   PromptRegistry.withLabel(handler, ["staging", "production"])
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLabel: {
  (label: string | ReadonlyArray<string>): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, label: string | ReadonlyArray<string>): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, label: string | ReadonlyArray<string>): Effect.Effect<A, E, R> =>
    Effect.updateService(
      self,
      CurrentSelection,
      (current) => ({ ...current, labels: typeof label === "string" ? [label] : label })
    )
)

/**
 * Asks for one version of one prompt in a region of a program, whatever labels say.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withVersion: {
  (prompt: AnyHandle | string, version: number): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, prompt: AnyHandle | string, version: number): Effect.Effect<A, E, R>
} = dual(
  3,
  <A, E, R>(self: Effect.Effect<A, E, R>, prompt: AnyHandle | string, version: number): Effect.Effect<A, E, R> =>
    Effect.updateService(
      self,
      CurrentSelection,
      (current) => ({ ...current, versions: { ...current.versions, [nameOf(prompt)]: version } })
    )
)

const wantedOf = ({ label, name }: AnyHandle, { labels, versions }: Selection): Wanted => {
  const version = Object.hasOwn(versions, name) ? versions[name] : undefined
  return version === undefined ? { labels: labels ?? [label] } : { version }
}

/**
 * Which version a call would be made with, here and now.
 *
 * @category getters
 * @since 0.1.0
 */
export const resolve = (handle: AnyHandle): Effect.Effect<PromptReference, PromptNotFound, PromptRegistry> =>
  Effect.map(chosen(handle), ({ reference }) => reference)

const chosen = (handle: AnyHandle): Effect.Effect<Choice, PromptNotFound, PromptRegistry> =>
  Effect.flatMap(PromptRegistry, ({ prompts }) =>
    Effect.withFiber((fiber) => {
      const wanted = wantedOf(handle, fiber.getRef(CurrentSelection))
      return Effect.fromResult(
        choose(prompts.serving, handle.name, wanted, fiber.getRef(Current), prompts.moment(fiber))
      )
    }))

/**
 * Fails unless what would be used here and now fits the definition.
 *
 * **When to use**
 *
 * When a program starts, and in tests that run against the prompts of production: a prompt that another program has changed is found before
 * a user finds it.
 *
 * @category getters
 * @since 0.1.0
 */
export const check = (
  handle: AnyHandle
): Effect.Effect<PromptReference, PromptInvalid | PromptNotFound, PromptRegistry> =>
  Effect.flatMap(PromptRegistry, ({ prompts }) =>
    Effect.flatMap(chosen(handle), ({ reference, version }) => {
      const compilation = prompts.serving.compile(version)
      const faults = Result.isFailure(compilation)
        ? compilation.failure
        : prompts.faults(compilation.success, handle.defined)
      return faults.length === 0
        ? Effect.succeed(reference)
        : Effect.fail(
          new PromptInvalid({ prompt: version.name, version: version.version, problems: sentences(faults) })
        )
    }))

// ---------------------------------------------------------------------------------------------------------------------
// calling
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a call may add to its prompt.
 *
 * @category options
 * @since 0.1.0
 */
export interface CallOptions {
  /** No tools. */
  readonly toolkit?: undefined
  /** Request parameters: they win over those of the version. */
  readonly settings?: Settings | undefined
  /** Messages after those of the prompt: a conversation, or files and images. */
  readonly messages?: Prompt.RawInput | undefined
}

/**
 * What a call with tools may add to its prompt.
 *
 * @category options
 * @since 0.1.0
 */
export interface ToolCallOptions<Tools extends Record<string, Tool.Any>>
  extends Omit<LanguageModel.GenerateTextOptions<Tools>, "prompt">, Omit<CallOptions, "toolkit">
{
  /** The tools that the model may call. */
  readonly toolkit: LanguageModel.ToolkitInput<Tools>
}

/**
 * A prompt that can be run: its definition has models.
 *
 * @category models
 * @since 0.1.0
 */
export type Runnable<V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined> =
  & Handle<V, M, O>
  & ([keyof M] extends [never] ? "Give `models` to `PromptRegistry.define` to run the prompt" : unknown)

/**
 * The failures of the models that a prompt may be run on.
 *
 * @category models
 * @since 0.1.0
 */
export type ModelError<M extends Models> = Llm.Error<M[keyof M]>

/**
 * The services of the models that a prompt may be run on.
 *
 * @category models
 * @since 0.1.0
 */
export type ModelServices<M extends Models> = Llm.Services<M[keyof M]>

type Unmade = PromptInvalid | PromptNotFound

/**
 * Makes a prompt of the version that is asked for here and now, without asking a model. It may be system messages alone: what follows is
 * somebody else's.
 *
 * **Example** (A prompt for somebody else's code)
 *
 * ```ts
 * import { PromptRegistry, PromptStore } from "effect-bulwark/prompts"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const greet = PromptRegistry.define("greet", { variables: Schema.Struct({ name: Schema.String }) })
 *
 * const program = Effect.gen(function*() {
 *   const { version } = yield* PromptRegistry.publish(greet, { user: "Greet {{ name }}." })
 *   yield* PromptRegistry.label(greet, { label: "production", version })
 *   const { prompt, reference } = yield* PromptRegistry.render(greet, { name: "{{ name }}" })
 *   return [reference.version, prompt.content.map(({ content }) => content)]
 * })
 *
 * const prompts = PromptRegistry.layer().pipe(Layer.provide(PromptStore.layerMemory))
 *
 * const rendered = await Effect.runPromise(Effect.provide(program, prompts))
 *
 * JSON.stringify(rendered).includes("Greet {{ name }}.") // => true
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const render = <V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined>(
  handle: Handle<V, M, O>,
  variables: V["Type"]
): Effect.Effect<Rendered, Unmade, PromptRegistry> =>
  Effect.flatMap(
    // What follows is somebody else's.
    made(handle, variables, true),
    (rendered) => Result.isSuccess(rendered) ? Effect.succeed(rendered.success) : Effect.fail(rendered.failure.error)
  )

const made = (
  handle: AnyHandle,
  variables: unknown,
  followed: boolean
): Effect.Effect<Result.Result<Rendered, Failed>, never, PromptRegistry> =>
  Effect.flatMap(PromptRegistry, ({ prompts }) =>
    Effect.withFiber((fiber) =>
      Effect.succeed(
        prompts.render(handle.defined, wantedOf(handle, fiber.getRef(CurrentSelection)), variables, fiber, followed)
      )
    ))

/** What is asked of which model: also where there is no prompt, so that a call that fails for that has a receipt as any other. */
interface Run<M extends Models> {
  readonly prompts: Prompts
  readonly llm: Llm.Llm<ModelError<M> | Unmade, ModelServices<M>>
  readonly prompt: Prompt.Prompt
  readonly settings: Settings
}

const runOf = <V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined>(
  handle: Handle<V, M, O>,
  variables: V["Type"],
  options: { readonly settings?: Settings | undefined; readonly messages?: Prompt.RawInput | undefined }
): Effect.Effect<Run<M>, never, PromptRegistry> =>
  Effect.suspend(() => {
    const messages = Prompt.make(options.messages ?? [])
    return Effect.zipWith(
      PromptRegistry,
      made(handle, variables, messages.content.length > 0),
      ({ prompts }, rendered): Run<M> => {
        if (Result.isFailure(rendered)) return { prompts, ...unmade(rendered.failure) }
        const { model, prompt, reference, settings } = rendered.success
        // A prompt without models is no `Runnable`, and of one with models a version is served only if it names one of them.
        const llm = handle.models[model!] as Llm.Llm<ModelError<M>, ModelServices<M>>
        return {
          prompts,
          llm: Llm.make({ plan: llm.plan, open: (call) => llm.open(madeWith(call, reference)) }),
          prompt: Prompt.concat(prompt, messages),
          settings: mergeSettings(settings, options.settings ?? {})
        }
      }
    )
  })

const unmade = <M extends Models>({ error, reference }: Failed): Omit<Run<M>, "prompts"> => ({
  llm: Llm.make({
    plan: Plan.policy("prompt", { detail: "which cannot be made", children: [] }),
    open: (call) => {
      if (reference !== undefined) madeWith(call, reference)
      return Effect.fail(error)
    }
  }),
  prompt: Prompt.empty,
  settings: {}
})

const madeWith = (call: Call, reference: PromptReference): Call => {
  call.recorder.prompt = reference
  return { ...call, prompt: reference }
}

/**
 * Generates a full answer, by the model that the version names and with its settings.
 *
 * **Details**
 *
 * Fails with the failures of all models that the definition has, since any may be named; with `PromptNotFound` where there is no version;
 * and with `PromptInvalid` where the variables do not fit. The receipt says which version it was, also of a call that failed.
 *
 * With a toolkit, as `Llm.generateText`.
 *
 * @category operations
 * @since 0.1.0
 */
export function generateText<V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined>(
  handle: Runnable<V, M, O>,
  variables: V["Type"],
  options?: CallOptions
): Effect.Effect<Generate.Answer<{}>, ModelError<M> | Unmade, ModelServices<M> | PromptRegistry>
export function generateText<
  V extends VariablesSchema,
  M extends Models,
  O extends Schema.Top | undefined,
  Tools extends Record<string, Tool.Any>,
  Options extends NoExcessProperties<ToolCallOptions<Tools>, Options>
>(
  handle: Runnable<V, M, O>,
  variables: V["Type"],
  options: Options & ToolCallOptions<Tools>
): Effect.Effect<
  Generate.Answer<Tools, LanguageModel.ExtractToolParametersMode<Options>>,
  ModelError<M> | Unmade | Generate.ToolkitError<Options>,
  ModelServices<M> | PromptRegistry | LanguageModel.ExtractServices<Options>
>
export function generateText<V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined>(
  handle: Handle<V, M, O>,
  variables: V["Type"],
  options: CallOptions | ToolCallOptions<Record<string, Tool.Any>> = {}
): Effect.Effect<unknown, unknown, unknown> {
  const { messages: _, ...rest } = options
  return Effect.flatMap(
    runOf(handle, variables, options),
    ({ llm, prompt, prompts, settings }) => {
      const answer: Effect.Effect<unknown, unknown, unknown> = rest.toolkit === undefined
        ? Generate.generateText(llm, { prompt, settings })
        : Generate.generateText(llm, { ...rest, toolkit: rest.toolkit, prompt, settings })
      return Receipt.observe(answer, prompts.observed)
    }
  )
}

/**
 * Generates an object of the definition's `output`, by the model that the version names and with its settings.
 *
 * **Details**
 *
 * As {@link generateText}, and with `OutputTruncated` and `InvalidOutput`, as `Llm.generateObject`.
 *
 * @category operations
 * @since 0.1.0
 */
export const generateObject = <V extends VariablesSchema, M extends Models, O extends Schema.Top>(
  handle: Runnable<V, M, O>,
  variables: V["Type"],
  options: Omit<CallOptions, "toolkit"> & { readonly objectName?: string | undefined } = {}
): Effect.Effect<
  Generate.ObjectAnswer<{}, O["Type"]>,
  ModelError<M> | Unmade | OutputTruncated | InvalidOutput,
  ModelServices<M> | PromptRegistry | O["DecodingServices"]
> =>
  Effect.flatMap(
    runOf<V, M, O>(handle, variables, options),
    ({ llm, prompt, prompts, settings }) =>
      Receipt.observe(
        Generate.generateObject(llm, { prompt, settings, schema: handle.output, objectName: options.objectName }),
        prompts.observed
      )
  )

/**
 * Generates an answer and hands over its parts as they come, by the model that the version names and with its settings.
 *
 * **Details**
 *
 * As {@link generateText} while nothing has arrived, and with `StreamInterrupted` afterwards. The version is the one in use when the stream
 * is run.
 *
 * @category operations
 * @since 0.1.0
 */
export function streamText<V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined>(
  handle: Runnable<V, M, O>,
  variables: V["Type"],
  options?: CallOptions
): Stream.Stream<Part.Decoded, ModelError<M> | Unmade | StreamInterrupted, ModelServices<M> | PromptRegistry>
export function streamText<
  V extends VariablesSchema,
  M extends Models,
  O extends Schema.Top | undefined,
  Tools extends Record<string, Tool.Any>,
  Options extends NoExcessProperties<ToolCallOptions<Tools>, Options>
>(
  handle: Runnable<V, M, O>,
  variables: V["Type"],
  options: Options & ToolCallOptions<Tools>
): Stream.Stream<
  Response.StreamPart<Tools, LanguageModel.ExtractToolParametersMode<Options>>,
  ModelError<M> | Unmade | StreamInterrupted | Generate.ToolkitError<Options>,
  ModelServices<M> | PromptRegistry | LanguageModel.ExtractServices<Options>
>
export function streamText<V extends VariablesSchema, M extends Models, O extends Schema.Top | undefined>(
  handle: Handle<V, M, O>,
  variables: V["Type"],
  options: CallOptions | ToolCallOptions<Record<string, Tool.Any>> = {}
): Stream.Stream<unknown, unknown, unknown> {
  const { messages: _, ...rest } = options
  return Stream.unwrap(Effect.map(
    runOf(handle, variables, options),
    ({ llm, prompt, prompts, settings }) => {
      const parts: Stream.Stream<unknown, unknown, unknown> = rest.toolkit === undefined
        ? Generate.streamText(llm, { prompt, settings })
        : Generate.streamText(llm, { ...rest, toolkit: rest.toolkit, prompt, settings })
      return Stream.updateService(
        parts,
        Receipt.Observer,
        (outer) => (receipt: Receipt.Receipt) => Effect.andThen(prompts.observed(receipt), outer(receipt))
      )
    }
  ))
}

// ---------------------------------------------------------------------------------------------------------------------
// scoring and comparing
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What may be said with a score.
 *
 * @category options
 * @since 0.1.0
 */
export interface ScoreOptions {
  /**
   * What tells it from other scores: one that was seen before is left as it is. Default: the operation, the measure, and who scored, so that
   * each of them scores an answer once.
   */
  readonly id?: string | undefined
  /** Who scored: a user, a judge, ... */
  readonly by?: string | undefined
  readonly comment?: string | undefined
}

/**
 * Records how good an answer was, by one measure: whether it helped (1 or 0), how many stars it got, how a judge found it.
 *
 * **Details**
 *
 * It is recorded for the version, and the variant of an experiment, that the answer was made with. By the id of an operation alone that is
 * known for the last calls that this registry ran (`remember`). Elsewhere and later, give the receipt, or `{ operationId, prompt }` of it.
 *
 * Fails with `UnknownOperation` where it is not known, and with `PromptRefused` where the value is not finite.
 *
 * **Gotchas**
 *
 * A second score by the same rater for the same answer and measure changes nothing: requests may be sent twice. To have it count, give it
 * an `id`.
 *
 * **Example** (A thumb, up or down)
 *
 * ```ts
 * import { PromptRegistry } from "effect-bulwark/prompts"
 *
 * const thumb = (operationId: string, user: string, up: boolean) =>
 *   PromptRegistry.score(operationId, "helpful", up ? 1 : 0, { by: user })
 * ```
 *
 * @category comparing
 * @since 0.1.0
 */
export const score = (
  operation: string | { readonly operationId: string; readonly prompt?: PromptReference | undefined },
  metric: string,
  value: number,
  options: ScoreOptions = {}
): Effect.Effect<Score, Scores.UnknownOperation | PromptStoreError | PromptRefused, PromptRegistry> =>
  PromptRegistry.use(({ prompts }) => Scores.score(prompts, operation, metric, value, options))

/**
 * What is compared, and how.
 *
 * @category options
 * @since 0.1.0
 */
export interface CompareOptions<E = never, R = never> {
  /** Only calls and scores of this experiment: only then were the callers shared out by chance. Default: all. */
  readonly experiment?: string | undefined
  /** Only what began from this time on, in milliseconds since 1970. Default: all of the past. */
  readonly from?: number | undefined
  /** Only what began before this time. Default: no end. */
  readonly until?: number | undefined
  /** The confidence of intervals, between 0 and 1. A difference is significant when its p-value is below the rest. Default: 0.95. */
  readonly confidence?: number | undefined
  /** How many values each version needs, for a difference to be one: at least 2. Default: 30. */
  readonly minimum?: number | undefined
  /** The receipts of all calls, from a ledger. Default: the last calls that this registry ran (`remember`). */
  readonly receipts?: Stream.Stream<Receipt.Receipt, E, R> | undefined
}

/**
 * Puts versions of a prompt side by side: how many calls there were, how many succeeded, how good the answers were, how long they took, and
 * what they used and cost; each with its interval of confidence, and for each version and measure whether it differs from the first one by
 * more than chance would have it.
 *
 * **Details**
 *
 * Quality is that of all scores in the store. What calls were like comes from the calls that this registry ran last, or from `receipts`.
 *
 * Not counted are calls that were interrupted, and those that failed before anything was sent and not for their prompt: for want of money, of
 * a permit, or at an open circuit. Answers without a model (`degraded`) are failures where a model was asked. Answers from a cache are calls,
 * but have neither a latency nor tokens nor a cost: they would say how long a version has been there.
 *
 * Rates have Wilson's interval, and their difference Newcombe's; they are tested by Pearson's chi-squared test or, where a cell expects fewer
 * than five, by Fisher's exact test. Means are tested by Welch's t-test. All tests look both ways.
 *
 * **Gotchas**
 *
 * One difference in twenty is significant by chance alone at a confidence of 0.95. Whoever compares six measures, or looks every day and stops
 * when it pleases, will find one. Say before how long an experiment runs, and which measure decides.
 *
 * Each call counts as one. Where few users make most of the calls, what pleases them decides, and intervals are narrower than they should be.
 *
 * Throws a `RangeError` that names the option, where one is not legal.
 *
 * @category comparing
 * @since 0.1.0
 */
export const compare = <E = never, R = never>(
  prompt: AnyHandle | string,
  versions: readonly [number, ...Array<number>],
  options: CompareOptions<E, R> = {}
): Effect.Effect<Comparison, E | PromptStoreError, R | PromptRegistry> => {
  const { confidence = 0.95, experiment, from, minimum = 30, receipts, until } = options
  if (!(confidence > 0 && confidence < 1)) {
    throw new RangeError(`PromptRegistry.compare: confidence must be between 0 and 1, got ${confidence}`)
  }
  if (!(Number.isSafeInteger(minimum) && minimum >= 2)) {
    throw new RangeError(`PromptRegistry.compare: minimum must be a whole number of at least 2, got ${minimum}`)
  }
  const name = nameOf(prompt)
  return Effect.gen(function*() {
    const { prompts, store } = yield* PromptRegistry
    const tallies = new Map(versions.map((version) => [version, new Tally(version)]))
    const add = (call: ReturnType<typeof observedOf>) => {
      if (call === undefined || call.prompt.name !== name) return
      if (experiment !== undefined && call.prompt.experiment !== experiment) return
      if (from !== undefined && call.at < from || until !== undefined && call.at >= until) return
      tallies.get(call.prompt.version)?.add(call)
    }
    if (receipts === undefined) { for (const call of prompts.recent.all) add(call) }
    else yield* Stream.runForEach(receipts, (receipt) => Effect.sync(() => add(observedOf(receipt))))
    const totals = yield* prompts.inTime(
      "scoreTotals",
      store.scoreTotals({ name, versions: Array.from(tallies.keys()), experiment, from, until })
    )
    return comparison({ prompt: name, tallies: Array.from(tallies.values()), totals, confidence, minimum })
  })
}
