/**
 * What consumers call: text, objects and streams from an `Llm`, and an `Llm` as `effect/ai`'s `LanguageModel`.
 *
 * All names here are found in the `Llm` namespace.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Prompt from "effect/ai/Prompt"
import type * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import * as Arr from "effect/Array"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Stream from "effect/Stream"
import type { NoExcessProperties } from "effect/Types"
import type { Call, Request, Settings } from "./Call.ts"
import * as Internal from "./internal/languageModel.ts"
import { runStream, runWhole } from "./internal/operation.ts"
import { toPull } from "./internal/pull.ts"
import { structuredOutput } from "./internal/structuredOutput.ts"
import { tracedAs, tracedTools } from "./internal/unrecorded.ts"
import { type Llm, make } from "./Llm.ts"
import { InvalidOutput, OutputTruncated, StreamInterrupted, toAiError, type ToolFailed } from "./LlmError.ts"
import * as Opened from "./Opened.ts"
import * as Part from "./Part.ts"
import * as Plan from "./Plan.ts"
import type { Receipt } from "./Receipt.ts"

// ---------------------------------------------------------------------------------------------------------------------
// options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a text is generated from: `effect/ai`'s options, and request parameters for this call.
 *
 * @category options
 * @since 0.1.0
 */
export interface TextOptions<Tools extends Record<string, Tool.Any>> extends LanguageModel.GenerateTextOptions<Tools> {
  /** Request parameters: they win over those of the stack and of its models. */
  readonly settings?: Settings | undefined
}

/**
 * What a text is generated from where there are no tools.
 *
 * @category options
 * @since 0.1.0
 */
export interface TextOptionsWithoutToolkit {
  /** The messages: a text, or any prompt of `effect/ai`. */
  readonly prompt: Prompt.RawInput
  /** No tools. */
  readonly toolkit?: undefined
  /** Request parameters: they win over those of the stack and of its models. */
  readonly settings?: Settings | undefined
}

/**
 * What an object is generated from.
 *
 * @category options
 * @since 0.1.0
 */
export interface ObjectOptions<Tools extends Record<string, Tool.Any>, S extends Schema.Top>
  extends LanguageModel.GenerateObjectOptions<Tools, S>
{
  /** Request parameters: they win over those of the stack and of its models. */
  readonly settings?: Settings | undefined
}

/**
 * What an object is generated from where there are no tools.
 *
 * @category options
 * @since 0.1.0
 */
export interface ObjectOptionsWithoutToolkit<S extends Schema.Top> extends TextOptionsWithoutToolkit {
  /** The schema of the object. */
  readonly schema: S
  /** Its name, which some providers show to the model. Default: the schema's identifier, or `output`. */
  readonly objectName?: string | undefined
}

/**
 * The failures that a toolkit adds to an operation: the handlers' own, and those of calling and decoding.
 *
 * @category options
 * @since 0.1.0
 */
export type ToolkitError<Options> =
  | Exclude<LanguageModel.ExtractError<Options>, AiError.AiError>
  | InvalidOutput
  | ToolFailed

// ---------------------------------------------------------------------------------------------------------------------
// answers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A full answer: `effect/ai`'s response, with the receipt of the call that produced it.
 *
 * @category models
 * @since 0.1.0
 */
export class Answer<
  Tools extends Record<string, Tool.Any>,
  Mode extends Response.ToolParametersMode = "decoded"
> extends LanguageModel.GenerateTextResponse<Tools, Mode> {
  /** What happened. */
  readonly receipt: Receipt

  constructor(content: Array<Response.Part<Tools, Mode>>, receipt: Receipt) {
    super(content)
    this.receipt = receipt
  }
}

/**
 * An answer that is an object, with the receipt of the call that produced it.
 *
 * @category models
 * @since 0.1.0
 */
export class ObjectAnswer<
  Tools extends Record<string, Tool.Any>,
  A,
  Mode extends Response.ToolParametersMode = "decoded"
> extends Answer<Tools, Mode> {
  /** The object. */
  readonly value: A

  constructor(value: A, content: Array<Response.Part<Tools, Mode>>, receipt: Receipt) {
    super(content, receipt)
    this.value = value
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// operations
// ---------------------------------------------------------------------------------------------------------------------

const requestOf = (
  options: { readonly prompt: Prompt.RawInput; readonly settings?: Settings | undefined },
  responseFormat: Request["responseFormat"] = { type: "text" }
): Request => ({
  prompt: Prompt.make(options.prompt),
  tools: [],
  toolChoice: "none",
  responseFormat,
  settings: options.settings ?? {}
})

type AnyToolkit = LanguageModel.ToolkitInput<Record<string, Tool.Any>>

// The one place where our typed failures travel through hooks that are typed for another error. `LanguageModel` hands on
// what it does not know, and `catchTools` below takes back what it adds.
const smuggled = <E>(error: E): AiError.AiError => error as unknown as AiError.AiError

// `E` may hold an `AiError` of its own only where a user's `Llm` fails with one; it is then read as one of the toolkit.
const catchTools = <E>(error: E): Exclude<E, AiError.AiError> | InvalidOutput | ToolFailed =>
  AiError.isAiError(error) ? Internal.fromToolError(error) : error as Exclude<E, AiError.AiError>

/** Runs a use of a `LanguageModel` over our `Llm`, our failures passing through it unharmed. */
const withToolkit = <E, R, A, E2, R2>(
  llm: Llm<E, R>,
  settings: Settings | undefined,
  toolkit: AnyToolkit,
  use: (model: LanguageModel.LanguageModel, toolkit: AnyToolkit) => Effect.Effect<A, E2, R2>
): Effect.Effect<
  { readonly response: A; readonly receipt: Receipt },
  E | Exclude<E2, AiError.AiError> | InvalidOutput | ToolFailed,
  R | R2
> =>
  Effect.contextWith((context: Context.Context<R>) => {
    let receipt: Receipt | undefined
    return Internal.make(llm, context, {
      settings: settings ?? {},
      onError: smuggled,
      onReceipt: (closed) => {
        receipt = closed
      },
      within: tracedAs(context)
    }).pipe(
      Effect.flatMap((model) => use(model, tracedTools(toolkit, context))),
      Effect.withTracerEnabled(false),
      // A response without a call cannot be: `LanguageModel` has nothing else to make one of.
      Effect.map((response) => ({ response, receipt: receipt! })),
      Effect.mapError(catchTools<E | E2>)
    )
  })

/**
 * Generates a full answer.
 *
 * **Details**
 *
 * Fails with the failures of the `Llm`, and only those. With a toolkit, `effect/ai` resolves the tool calls of the answer:
 * the handlers' services and failures are in the type, as are `InvalidOutput` (the model called a tool wrongly) and
 * `ToolFailed`. A text that reached its output limit ends with the finish reason `length`: see {@link whole}.
 *
 * **Example** (Asking a question)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Llm.generateText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "What is the capital of France?" })
 *
 * const answer = await Effect.runPromise(
 *   Effect.provide(program, ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Paris.")]))
 * )
 *
 * answer.text // => "Paris."
 * answer.receipt.attempts.length // => 1
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export function generateText<E, R>(
  llm: Llm<E, R>,
  options: TextOptionsWithoutToolkit
): Effect.Effect<Answer<{}>, E, R>
export function generateText<
  E,
  R,
  Tools extends Record<string, Tool.Any>,
  Options extends NoExcessProperties<
    TextOptions<Tools> & { readonly toolkit: LanguageModel.ToolkitInput<Tools> },
    Options
  >
>(
  llm: Llm<E, R>,
  options: Options & TextOptions<Tools> & { readonly toolkit: LanguageModel.ToolkitInput<Tools> }
): Effect.Effect<
  Answer<Tools, LanguageModel.ExtractToolParametersMode<Options>>,
  E | ToolkitError<Options>,
  R | LanguageModel.ExtractServices<Options>
>
export function generateText<E, R>(
  llm: Llm<E, R>,
  options: TextOptionsWithoutToolkit | TextOptions<Record<string, Tool.Any>>
): Effect.Effect<unknown, unknown, unknown> {
  if (options.toolkit === undefined) {
    return Effect.map(
      runWhole(llm, requestOf(options), Effect.succeed),
      (settled) => new Answer(settled.answer.map(Part.decodeAnswer), settled.receipt)
    )
  }
  const { settings, ...rest } = options
  return Effect.map(
    withToolkit(llm, settings, options.toolkit, (model, toolkit) => model.generateText({ ...rest, toolkit })),
    ({ receipt, response }) => new Answer(response.content, receipt)
  )
}

/**
 * Generates an object of a schema.
 *
 * **Details**
 *
 * On top of the failures of the `Llm`: `OutputTruncated` when the answer reached its output limit, since half an object is
 * none, and `InvalidOutput` when it does not decode. Where the schema can be written as strict JSON schema it is sent as
 * such; elsewhere the plain one is sent, and the answer is decoded all the same.
 *
 * **Example** (Reading facts out of a text)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Schema } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const City = Schema.Struct({ name: Schema.String, country: Schema.String })
 *
 * const program = Llm.generateObject(Llm.model(OpenAi, "gpt-5-mini"), {
 *   prompt: "Which city is the Eiffel tower in?",
 *   schema: City
 * })
 *
 * const answer = await Effect.runPromise(Effect.provide(
 *   program,
 *   ScriptedProvider.layer(OpenAi, [ScriptedProvider.text(`{"name":"Paris","country":"France"}`)])
 * ))
 *
 * answer.value // => { name: "Paris", country: "France" }
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export function generateObject<E, R, S extends Schema.Top>(
  llm: Llm<E, R>,
  options: ObjectOptionsWithoutToolkit<S>
): Effect.Effect<ObjectAnswer<{}, S["Type"]>, E | OutputTruncated | InvalidOutput, R | S["DecodingServices"]>
export function generateObject<
  E,
  R,
  S extends Schema.Encoder<Record<string, unknown>, unknown>,
  Tools extends Record<string, Tool.Any>,
  Options extends NoExcessProperties<
    ObjectOptions<Tools, S> & { readonly toolkit: LanguageModel.ToolkitInput<Tools> },
    Options
  >
>(
  llm: Llm<E, R>,
  options: Options & ObjectOptions<Tools, S> & { readonly toolkit: LanguageModel.ToolkitInput<Tools> }
): Effect.Effect<
  ObjectAnswer<Tools, S["Type"], LanguageModel.ExtractToolParametersMode<Options>>,
  E | OutputTruncated | ToolkitError<Options>,
  R | LanguageModel.ExtractServices<Options> | S["DecodingServices"]
>
export function generateObject<E, R, S extends Schema.Encoder<Record<string, unknown>, unknown>>(
  llm: Llm<E, R>,
  options: ObjectOptionsWithoutToolkit<S> | ObjectOptions<Record<string, Tool.Any>, S>
): Effect.Effect<unknown, unknown, unknown> {
  if (options.toolkit === undefined) {
    const format = {
      type: "json",
      objectName: options.objectName ?? identifierOf(options.schema),
      schema: options.schema
    } as const
    return Effect.map(
      runWhole(llm, requestOf(options, format), (answer, call) => decodeObject(options.schema, answer, call)),
      (settled) => new ObjectAnswer(settled.value, settled.answer.map(Part.decodeAnswer), settled.receipt)
    )
  }
  const { settings, ...rest } = options
  return Effect.map(
    withToolkit(whole(llm), settings, options.toolkit, (model, toolkit) => model.generateObject({ ...rest, toolkit })),
    ({ receipt, response }) => new ObjectAnswer(response.value, response.content, receipt)
  )
}

const decodeObject = (
  schema: Schema.Top,
  answer: ReadonlyArray<Part.AnswerPart>,
  call: Call
): Effect.Effect<unknown, OutputTruncated | InvalidOutput, unknown> => {
  const text = Part.text(answer)
  const truncated = truncation(answer, call)
  if (truncated !== undefined) return Effect.fail(truncated)
  const { decode, describe } = structuredOutput(schema)
  return Effect.mapError(decode(text), (error) =>
    new InvalidOutput({
      ...servedBy(call),
      problem: text.trim() === "" ? "it has no text" : describe(error),
      text: Redacted.make(text)
    }))
}

const identifierOf = (schema: Schema.Top): string => {
  const identifier = SchemaAST.resolveIdentifier(schema.ast)
  return identifier === undefined ? "output" : identifier.replaceAll(/[^\w-]/g, "_").slice(0, 64)
}

const servedBy = (call: Call) => {
  const serving = call.recorder.serving
  return serving === undefined ? undefined : {
    provider: serving.provider,
    model: serving.model,
    ...(serving.usage === undefined ? undefined : { usage: serving.usage })
  }
}

const truncation = (parts: ReadonlyArray<Part.Part | Part.AnswerPart>, call: Call): OutputTruncated | undefined =>
  parts.some((part) => part.type === "finish" && part.reason === "length")
    ? new OutputTruncated({
      ...servedBy(call),
      partial: Redacted.make(call.recorder.serving?.partial() ?? Part.text(parts))
    })
    : undefined

/**
 * Generates an answer and hands over its parts as they come.
 *
 * **Details**
 *
 * Fails with the failures of the `Llm` while nothing has arrived, and with `StreamInterrupted` afterwards. With a toolkit,
 * tools run while the answer still flows, and their results are among the parts. When the consumer stops reading, the
 * request is cancelled.
 *
 * **Example** (Reading an answer as it comes)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Stream } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = Llm.streamText(Llm.model(OpenAi, "gpt-5-mini"), { prompt: "Count to three." }).pipe(
 *   Llm.textDeltas,
 *   Stream.runCollect
 * )
 *
 * await Effect.runPromise(
 *   Effect.provide(program, ScriptedProvider.layer(OpenAi, [ScriptedProvider.text(["one", " two", " three"])]))
 * )
 * // => ["one", " two", " three"]
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export function streamText<E, R>(
  llm: Llm<E, R>,
  options: TextOptionsWithoutToolkit
): Stream.Stream<Part.Decoded, E | StreamInterrupted, R>
export function streamText<
  E,
  R,
  Tools extends Record<string, Tool.Any>,
  Options extends NoExcessProperties<
    TextOptions<Tools> & { readonly toolkit: LanguageModel.ToolkitInput<Tools> },
    Options
  >
>(
  llm: Llm<E, R>,
  options: Options & TextOptions<Tools> & { readonly toolkit: LanguageModel.ToolkitInput<Tools> }
): Stream.Stream<
  Response.StreamPart<Tools, LanguageModel.ExtractToolParametersMode<Options>>,
  E | StreamInterrupted | ToolkitError<Options>,
  R | LanguageModel.ExtractServices<Options>
>
export function streamText<E, R>(
  llm: Llm<E, R>,
  options: TextOptionsWithoutToolkit | TextOptions<Record<string, Tool.Any>>
): Stream.Stream<unknown, unknown, unknown> {
  if (options.toolkit === undefined) {
    return Stream.mapArray(runStream(llm, requestOf(options), true), Arr.map((part) => Part.decode(part)))
  }
  const { settings, toolkit, ...rest } = options
  return Stream.unwrap(Effect.contextWith((context: Context.Context<R>) =>
    Effect.map(
      Internal.make(llm, context, { settings: settings ?? {}, onError: smuggled, within: tracedAs(context) }),
      (model) =>
        model.streamText({ ...rest, toolkit: tracedTools(toolkit, context) }).pipe(
          Stream.mapError(catchTools),
          Stream.provideService(References.TracerEnabled, false)
        )
    )
  ))
}

/**
 * Keeps of a stream of parts the text that a reader sees.
 *
 * **Gotchas**
 *
 * A text that was shown cannot be unsaid: where the stream holds a `retract` part (see `Resume.restart`), this one fails with
 * `StreamInterrupted` instead.
 *
 * @category operations
 * @since 0.1.0
 */
export const textDeltas = <E, R>(
  parts: Stream.Stream<Response.AnyPart | Part.Part, E, R>
): Stream.Stream<string, E | StreamInterrupted, R> =>
  Stream.transformPull(parts, (pull) =>
    Effect.sync(() => {
      const shown: Array<string> = []
      let unsaid: StreamInterrupted | undefined
      const next: Pull.Pull<Arr.NonEmptyReadonlyArray<string>, E | StreamInterrupted, void> = Effect.flatMap(
        pull,
        (parts) => {
          const texts: Array<string> = []
          for (const part of parts) {
            if (part.type === "text-delta") texts.push(part.delta)
            else if (part.type === "retract" && shown.length + texts.length > 0) {
              unsaid = new StreamInterrupted({
                partial: Redacted.make([...shown, ...texts].join("")),
                reason: part.reason
              })
              break
            }
          }
          for (const text of texts) shown.push(text)
          return Arr.isReadonlyArrayNonEmpty(texts) ? Effect.succeed(texts) : step
        }
      )
      const step = Effect.suspend(() => unsaid === undefined ? next : Effect.fail(unsaid))
      return step
    }))

// ---------------------------------------------------------------------------------------------------------------------
// demands and adapters
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Demands whole answers: one that the output limit cut is `OutputTruncated` instead of a text with finish reason `length`.
 *
 * **Details**
 *
 * A stream that has begun cannot fail as a call any more: there, the cut is a `StreamInterrupted` with reason `truncated`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const whole = <E, R>(self: Llm<E, R>): Llm<E | OutputTruncated, R> =>
  make({
    plan: Plan.policy("whole", { children: [self.plan] }),
    open: (call) =>
      Effect.flatMap(self.open(call), (opened) => {
        if (opened._tag === "Flow") return Effect.succeed(Opened.flow(untilTruncated(opened.parts, call)))
        const truncated = truncation(opened.parts, call)
        return truncated === undefined ? Effect.succeed(opened) : Effect.fail(truncated)
      })
  })

/** The words before the cut are handed on; the finish part becomes the failure it is. */
const untilTruncated = (
  parts: Stream.Stream<Part.Part, StreamInterrupted>,
  call: Call
): Stream.Stream<Part.Part, StreamInterrupted> =>
  Stream.unwrap(Effect.map(toPull(parts), (pull) => {
    let cut: StreamInterrupted | undefined
    const next = Effect.flatMap(pull, (parts) => {
      const truncated = truncation(parts, call)
      if (truncated === undefined) return Effect.succeed(parts)
      cut = call.recorder.serving?.interrupted("truncated", truncated) ??
        new StreamInterrupted({ partial: truncated.partial, reason: "truncated", failure: truncated })
      const words = parts.filter((part) => part.type !== "finish")
      return Arr.isReadonlyArrayNonEmpty(words) ? Effect.succeed(words) : Effect.fail(cut)
    })
    return Stream.fromPull(Effect.succeed(Effect.suspend(() => cut === undefined ? next : Effect.fail(cut))))
  }))

/**
 * Serves an `Llm` as `effect/ai`'s `LanguageModel`: everything written against that (Chat, toolkits, agents, MCP servers)
 * becomes resilient without a changed line.
 *
 * **Details**
 *
 * Failures become the reasons of an `AiError` that `docs/errors.md` lists; their own tag is in the reason's metadata. To keep
 * them apart in types, call the `Llm` directly.
 *
 * **Gotchas**
 *
 * The spans of the operations are `effect/ai`'s own here. With a toolkit, it writes the parameters of tool calls on them (the
 * attribute `parameters`), and a span that ends in failure may quote what the model wrote. `Llm.generateText` and its like leave
 * none of that.
 *
 * **Example** (A drop-in model)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const program = LanguageModel.generateText({ prompt: "Hello?" })
 *
 * const layer = Llm.layerLanguageModel(Llm.model(OpenAi, "gpt-5-mini")).pipe(
 *   Layer.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("Hello!")]))
 * )
 *
 * const answer = await Effect.runPromise(Effect.provide(program, layer))
 *
 * answer.text // => "Hello!"
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLanguageModel = <E, R>(llm: Llm<E, R>): Layer.Layer<LanguageModel.LanguageModel, never, R> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.contextWith((context: Context.Context<R>) =>
      Internal.make(llm, context, { settings: {}, onError: toAiError })
    )
  )
