/**
 * Models of the AI SDK that answer the way they are told to, in either specification.
 */
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3StreamPart,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage
} from "@ai-sdk/provider"
import { Provider } from "effect-bulwark/providers"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { request } from "./request.ts"

export class P extends Provider.Service<P>()("p") {}

/** What a model does in a call. */
export interface Script<Options, StreamPart> {
  readonly generate?: (options: Options) => unknown
  /** The parts of a stream, or all of what `doStream` gives. */
  readonly stream?: ReadonlyArray<StreamPart> | ((options: Options) => unknown)
  readonly supportedUrls?: PromiseLike<Record<string, Array<RegExp>>> | Record<string, Array<RegExp>>
}

export interface Scripted<Model, Options> {
  readonly model: Model
  readonly seen: Array<Options>
}

export const streamOf = (parts: ReadonlyArray<unknown>): ReadableStream<unknown> =>
  new ReadableStream({
    start: (controller) => {
      for (const part of parts) controller.enqueue(part)
      controller.close()
    }
  })

const scripted = <Options, StreamPart>(version: unknown, script: Script<Options, StreamPart>) => {
  const seen: Array<Options> = []
  const model = {
    specificationVersion: version,
    provider: "scripted",
    modelId: "model-x",
    supportedUrls: script.supportedUrls ?? {},
    doGenerate: (options: Options): unknown => {
      seen.push(options)
      return script.generate?.(options) ?? Promise.reject(new Error("no answer"))
    },
    doStream: (options: Options): unknown => {
      seen.push(options)
      return typeof script.stream === "function"
        ? script.stream(options)
        : Promise.resolve({ stream: streamOf(script.stream ?? []) })
    }
  }
  return { model, seen }
}

// What a script gives may be what no model should: that is what the tests are about.
export const v4 = (
  script: Script<LanguageModelV4CallOptions, LanguageModelV4StreamPart>
): Scripted<LanguageModelV4, LanguageModelV4CallOptions> =>
  scripted("v4", script) as unknown as Scripted<LanguageModelV4, LanguageModelV4CallOptions>

export const v3 = (
  script: Script<LanguageModelV3CallOptions, LanguageModelV3StreamPart>
): Scripted<LanguageModelV3, LanguageModelV3CallOptions> =>
  scripted("v3", script) as unknown as Scripted<LanguageModelV3, LanguageModelV3CallOptions>

/** A model of a specification that is not understood. */
export const outdated = (version: unknown): LanguageModelV4 => scripted(version, {}).model as unknown as LanguageModelV4

export const usage: LanguageModelV4Usage = {
  inputTokens: { total: 10, noCache: 6, cacheRead: 3, cacheWrite: 1 },
  outputTokens: { total: 5, text: 3, reasoning: 2 },
  raw: { in: 10, out: 5 }
}

/** A whole answer. */
export const answer = (content: ReadonlyArray<unknown>, rest: object = {}): Promise<unknown> =>
  Promise.resolve({ content, finishReason: { unified: "stop", raw: "stop" }, usage, warnings: [], ...rest })

export const textAnswer = () => answer([{ type: "text", text: "hi" }])

/** Asks a source for a whole answer, or for all parts of a stream. */
export const whole = (source: AiSdk.Source, rest: Partial<Provider.Request> = {}) =>
  AiSdk.make("p", source).whole(request({ toolChoice: "none", ...rest }))

export const streamed = (source: AiSdk.Source, rest: Partial<Provider.Request> = {}) =>
  Stream.runCollect(AiSdk.make("p", source).stream(request({ toolChoice: "none", ...rest })))

/** What a call asks a model of specification v4. */
export const asked = (rest: Partial<Provider.Request>) =>
  Effect.gen(function*() {
    const { model, seen } = v4({ generate: textAnswer })
    yield* whole(model, rest)
    const [{ abortSignal: _, ...options } = {} as LanguageModelV4CallOptions] = seen
    return options
  })

/** What a call asks a model of specification v3. */
export const askedV3 = (rest: Partial<Provider.Request>) =>
  Effect.gen(function*() {
    const { model, seen } = v3({ generate: textAnswer })
    yield* whole(model, rest)
    const [{ abortSignal: _, ...options } = {} as LanguageModelV3CallOptions] = seen
    return options
  })
