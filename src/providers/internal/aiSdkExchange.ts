/**
 * One call of an AI SDK model and its answer, whole or streamed.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { InvalidRequest, ModelNotFound, type ProviderError } from "../../core/LlmError.ts"
import type * as Part from "../../core/Part.ts"
import type { Request } from "../Provider.ts"
import { AiSdkAnswer } from "./aiSdkAnswer.ts"
import { classifyError, headersOf, responseOf, type Where } from "./aiSdkError.ts"
import { keysIn } from "./aiSdkKeys.ts"
import { type Model, modelProblem, type Source } from "./aiSdkModel.ts"
import { type Asked, checkAddresses, encodeRequest } from "./aiSdkRequest.ts"
import { malformed } from "./classify.ts"
import { encodeWith } from "./encode.ts"
import { drain } from "./exchange.ts"
import { rateLimits } from "./rateLimits.ts"
import { type Fields, fields } from "./read.ts"
import { restoreParams } from "./toolSchema.ts"

/** What every call to one provider shares. */
export interface Channel {
  readonly provider: string
  readonly source: Source
  readonly secrets: ReadonlyArray<string>
}

/** Asks for the whole answer. */
export const whole = (
  channel: Channel,
  request: Request
): Effect.Effect<ReadonlyArray<Part.AnswerPart>, ProviderError> =>
  Effect.flatMap(prepare(channel, request), (asked) => {
    const { failed, received } = caller(channel, request, asked.tools)
    return Effect.tryPromise({ try: (signal) => asked.generate(signal), catch: (error) => new Thrown(error) }).pipe(
      Effect.catch(failed),
      Effect.flatMap((result) =>
        Effect.flatMap(received(fields(result), false), (where) => {
          const answer = new AiSdkAnswer(where, restoreParams(request.tools))
          const read = answer.whole(fields(result), request.responseFormat.type === "json")
          return "failure" in read ? Effect.fail(read.failure) : Effect.succeed(read.parts)
        })
      )
    )
  })

/** Asks for the answer in parts. */
export const stream = (channel: Channel, request: Request): Stream.Stream<Part.ProviderPart, ProviderError> =>
  Stream.unwrap(
    Effect.gen(function*() {
      const asked = yield* prepare(channel, request)
      const { failed, received } = caller(channel, request, asked.tools)
      const { signal } = yield* Effect.acquireRelease(
        Effect.sync(() => new AbortController()),
        (controller) => Effect.sync(() => controller.abort())
      )
      const result = yield* Effect.tryPromise({
        try: () => asked.stream(signal).then((result) => abandonWith(signal, result)),
        catch: (error) => new Thrown(error)
      }).pipe(Effect.catch(failed))
      const where = yield* received(fields(result), true)
      const source = fields(result)["stream"]
      if (!(source instanceof ReadableStream) || source.locked) {
        return Stream.fail(malformed(where.exchange, "it is no stream, or one that somebody else reads"))
      }
      const answer = new AiSdkAnswer(where, restoreParams(request.tools))
      const pull = yield* pullParts(source.getReader(), where, answer)
      return Stream.fromPull(Effect.succeed(pull))
    })
  )

/** What a model has thrown, or rejected with. */
class Thrown {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

/** Closes a stream that nobody waits for any more: a model that looks at no signal begins it all the same. */
const abandonWith = (signal: AbortSignal, result: unknown): unknown => {
  const { stream } = fields(result)
  if (signal.aborted && stream instanceof ReadableStream) void stream.cancel().catch(ignore)
  return result
}

const ignore = () => {}

const prepare = (channel: Channel, request: Request): Effect.Effect<Asked, ProviderError> =>
  // Anew for each run: a request that is sent twice is two.
  Effect.suspend(() => {
    const { failed } = caller(channel, request, [])
    const found = findModel(channel, request.model)
    if (found instanceof Thrown) return failed(found)
    if ("_tag" in found) return Effect.fail(found)
    const encoded = encodeWith(channel.provider, request.model, () => encodeRequest(found, request))
    if (Result.isFailure(encoded)) return Effect.fail(encoded.failure)
    const asked = encoded.success
    if (asked.addresses.length === 0) return Effect.succeed(asked)
    return Effect.tryPromise({
      try: async () => await found.supportedUrls,
      catch: (error) => new Thrown(error)
    }).pipe(
      Effect.catch(failed),
      Effect.flatMap((supported) =>
        Effect.fromResult(encodeWith(channel.provider, request.model, () => checkAddresses(supported, asked.addresses)))
      ),
      Effect.as(asked)
    )
  })

const findModel = (
  { provider, source }: Channel,
  model: string
): Model | Thrown | InvalidRequest | ModelNotFound => {
  if (typeof source !== "function") {
    return source.modelId === model ? source : new ModelNotFound({ provider, model })
  }
  try {
    const found = source(model)
    const problem = modelProblem(found)
    return problem === undefined
      ? found
      : new InvalidRequest({ provider, model, parameter: "model", problem: `the model: ${problem}` })
  } catch (error) {
    return new Thrown(error)
  }
}

/** What becomes of a call: a failure, or a response. Both may say what is left of the provider's limits. */
const caller = (channel: Channel, request: Request, tools: Asked["tools"]) => {
  const origin = { provider: channel.provider, model: request.model, secrets: channel.secrets }
  return {
    failed: ({ error }: Thrown): Effect.Effect<never, ProviderError> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const response = headersSafely(error)
        if (response !== undefined) request.onResponse?.(rateLimits(response.headers, now))
        const exchange = { origin, status: 0, headers: {}, now }
        return Effect.fail(classifyError({ exchange, flowing: false, tools }, error))
      }),
    received: (result: Fields, flowing: boolean): Effect.Effect<Where> =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const said = fields(result["response"])["headers"]
        const headers = headersOf(said)
        request.onResponse?.(rateLimits(headers, now))
        const known = { ...origin, secrets: [...origin.secrets, ...keysIn([{ responseHeaders: headers }])] }
        // A model that runs in this very process has no response.
        return { exchange: { origin: known, status: said === undefined ? 0 : 200, headers, now }, flowing, tools }
      })
  }
}

const headersSafely = (error: unknown): ReturnType<typeof responseOf> => {
  try {
    return responseOf(error)
  } catch {
    return undefined
  }
}

type PartsPull = Pull.Pull<Arr.NonEmptyReadonlyArray<Part.ProviderPart>, ProviderError>

const pullParts = (
  reader: ReadableStreamDefaultReader<unknown>,
  where: Where,
  answer: AiSdkAnswer
): Effect.Effect<PartsPull, never, Scope.Scope> => {
  let ended = false
  const read = Effect.tryPromise({ try: () => reader.read(), catch: (error) => new Thrown(error) })
  const settle: PartsPull = Effect.suspend(() => {
    const parts = answer.take()
    // What was said before a failure is handed on first; the next pull fails.
    if (Arr.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
    if (answer.failure !== undefined) return Effect.fail(answer.failure)
    return answer.done || ended ? Cause.done() : next
  })
  const next: PartsPull = Effect.matchEffect(read, {
    onSuccess: ({ done, value }) => {
      if (done) ended = true
      else answer.part(value)
      return settle
    },
    onFailure: ({ error }) => {
      ended = true
      answer.stop(classifyError(where, error))
      return settle
    }
  })
  // The end of the body follows the end of the answer, and a connection that has been read to its end serves the next request.
  const rest = Effect.flatMap(read, ({ done }) => done ? Cause.done() : Effect.void)
  const close = Effect.suspend(() =>
    Effect.andThen(
      answer.done && answer.failure === undefined && !ended ? drain(rest) : Effect.void,
      Effect.sync(() => void reader.cancel().catch(ignore))
    )
  )
  return Effect.as(Effect.addFinalizer(() => close), settle)
}
