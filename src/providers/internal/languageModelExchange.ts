/**
 * One request to an `effect/ai` `LanguageModel` and its answer, whole or streamed.
 */
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import { ResponseIdTracker } from "effect/ai/ResponseIdTracker"
import { CurrentSpanTransformer, type SpanTransformer } from "effect/ai/Telemetry"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Settings } from "../../core/Call.ts"
import { Propagates, Within } from "../../core/internal/instrument.ts"
import { InvalidRequest, type ProviderError } from "../../core/LlmError.ts"
import * as Part from "../../core/Part.ts"
import { Observer } from "../../core/Receipt.ts"
import type { Provider, Request } from "../Provider.ts"
import { classifyAiError, classifyErrorPart } from "./classifyAiError.ts"
import { encodeAnswer, encodePart } from "./languageModelAnswer.ts"
import { objectOptions, textOptions, unsupportedSetting } from "./languageModelRequest.ts"

/** Runs an answer, or the beginning of a streamed one, with what `LanguageModel` has no words for. */
export type WithRequest = <A>(
  answer: Effect.Effect<A, ProviderError>,
  request: Request
) => Effect.Effect<A, ProviderError>

export interface Bridge {
  readonly provider: string
  /** The model that serves an id, there as long as it is in use. */
  readonly modelOf: (id: string) => Effect.Effect<LanguageModel.LanguageModel, ProviderError, Scope.Scope>
  readonly withRequest: WithRequest | undefined
  /** The settings that are passed on; all where the rest is to be ignored. */
  readonly supported: ReadonlySet<keyof Settings> | "all"
}

export const makeProvider = (bridge: Bridge): Pick<Provider, "whole" | "stream"> => ({
  whole: (request) => {
    const answer = Effect.scoped(Effect.flatMap(prepared(bridge, request), (model) => whole(bridge, model, request)))
    return bridge.withRequest === undefined ? answer : bridge.withRequest(answer, request)
  },
  stream: (request) => {
    const answer = Effect.map(prepared(bridge, request), (model) => stream(bridge, model, request))
    const { withRequest } = bridge
    return Stream.unwrap(
      withRequest === undefined
        ? answer
        : Effect.flatMap(
          Effect.scope,
          (scope) => withRequest(Scope.provide(Effect.flatMap(answer, carrying), scope), request)
        )
    )
  }
})

/** Keeps what is in force where a stream begins in force for all of it. */
const carrying = <A, E>(stream: Stream.Stream<A, E>): Effect.Effect<Stream.Stream<A, E>> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.succeed(Stream.updateContext(stream, (current: Context.Context<never>) => Context.merge(current, context)))
  )

const prepared = (
  bridge: Bridge,
  request: Request
): Effect.Effect<LanguageModel.LanguageModel, ProviderError, Scope.Scope> => {
  const unsupported = bridge.supported === "all" ? undefined : unsupportedSetting(request.settings, bridge.supported)
  return unsupported === undefined
    ? bridge.modelOf(request.model)
    : Effect.fail(new InvalidRequest({ provider: bridge.provider, model: request.model, ...unsupported }))
}

/**
 * What is ambient and not the model's to use. It must send the whole prompt, once: what a tracker takes for known to the server
 * was said by whichever model served last. And where it is an `Llm` itself, its calls are this one's: they are not receipted
 * twice. (They are replaced, not left out: the context of a stream can only grow.)
 */
const apart = (context: Context.Context<never>): Context.Context<never> =>
  context.pipe(
    Context.add(ResponseIdTracker, { clearUnsafe: constVoid, markParts: constVoid, prepareUnsafe: Option.none }),
    Context.add(Observer, () => Effect.void),
    Context.add(Within, true),
    Context.add(Propagates, false)
  )

// Without handlers a model runs no tools, so all it can fail with is an `AiError`.
const whole = (
  bridge: Bridge,
  model: LanguageModel.LanguageModel,
  request: Request
): Effect.Effect<ReadonlyArray<Part.AnswerPart>, ProviderError> => {
  const { responseFormat } = request
  const content = responseFormat.type === "json"
    ? objectContent(model, objectOptions(request, responseFormat))
    : Effect.map(model.generateText(textOptions(request)), ({ content }): Content => content)
  return Effect.updateContext(
    Effect.flatMap(classifier(bridge, request), (classify) => Effect.mapError(content, classify.error)).pipe(
      Effect.map(encodeAnswer)
    ),
    apart
  )
}

type Content = Parameters<typeof encodeAnswer>[0]

/**
 * The parts of an answer that should be JSON, also where they are not: whether the text decodes, and what it is if not, is not
 * for the model to decide, and an answer that does not decode has been paid for all the same. A model shows the parts to the
 * transformer of its span before it decodes them.
 */
const objectContent = (
  model: LanguageModel.LanguageModel,
  options: ReturnType<typeof objectOptions>
): Effect.Effect<Content, AiError.AiError> =>
  Effect.contextWith((context: Context.Context<never>) => {
    let captured: Content | undefined
    const outer: SpanTransformer | undefined = Context.getOrUndefined(
      context as Context.Context<CurrentSpanTransformer>,
      CurrentSpanTransformer
    )
    const capture: SpanTransformer = (answer) => {
      captured = answer.response as Content
      outer?.(answer)
    }
    return model.generateObject(options).pipe(
      Effect.map(({ content }): Content => content),
      Effect.catchReason(
        "AiError",
        "StructuredOutputError",
        (_, error) => captured === undefined ? Effect.fail(error) : Effect.succeed(captured)
      ),
      Effect.provideService(CurrentSpanTransformer, capture)
    )
  })

const stream = (
  bridge: Bridge,
  model: LanguageModel.LanguageModel,
  request: Request
): Stream.Stream<Part.ProviderPart, ProviderError> =>
  request.responseFormat.type === "json"
    // A `LanguageModel` streams texts only.
    ? Stream.unwrap(
      Effect.map(whole(bridge, model, request), (answer) => Stream.fromIterable(Part.fromAnswer(answer)))
    )
    : Stream.updateContext(
      Stream.unwrap(Effect.map(classifier(bridge, request), (classify) =>
        Stream.transformPull(
          Stream.mapError(model.streamText(textOptions(request)), classify.error),
          (pull) => Effect.sync(() => encoding(pull, classify.part))
        ))),
      apart
    )

type Parts<A> = Arr.NonEmptyReadonlyArray<A>

/** Encodes parts as they come. An `error` part is the end, after what was said before it. */
const encoding = (
  pull: Pull.Pull<Parts<Response.StreamPart<{}, "deferred">>, ProviderError, void>,
  classify: (error: unknown) => ProviderError
): Pull.Pull<Parts<Part.ProviderPart>, ProviderError, void> => {
  let failure: ProviderError | undefined
  const next: Pull.Pull<Parts<Part.ProviderPart>, ProviderError, void> = Effect.flatMap(pull, (arrived) => {
    const parts: Array<Part.ProviderPart> = []
    for (const part of arrived) {
      if (part.type === "error") {
        failure = classify(part.error)
        break
      }
      // (Parts of a stream, encoded, are parts of a stream.)
      parts.push(encodePart(part) as Part.ProviderPart)
    }
    return Arr.isReadonlyArrayNonEmpty(parts) ? Effect.succeed(parts) : step
  })
  const step = Effect.suspend(() => failure === undefined ? next : Effect.fail(failure))
  return step
}

/** Tells what failures are, by the caller's clock. */
const classifier = (bridge: Bridge, request: Request) => {
  // The keys are the model's own, which does not show them.
  const origin = { provider: bridge.provider, model: request.model, secrets: [] }
  return Clock.clockWith((clock) =>
    Effect.succeed({
      error: (error: AiError.AiError) => classifyAiError(origin, error, clock.currentTimeMillisUnsafe()),
      part: (error: unknown) => classifyErrorPart(origin, error, clock.currentTimeMillisUnsafe())
    })
  )
}
