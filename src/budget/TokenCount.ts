/**
 * How many tokens a request takes, counted before it is sent: for context windows, budgets and prices.
 *
 * - {@link layer} counts with the encodings of OpenAI (the optional package `gpt-tokenizer`): exactly, where the model has such an
 *   encoding and it is documented how requests are put together; as an estimate with a margin everywhere else.
 * - {@link layerEstimate} needs no package, and estimates for every model.
 * - The whole request counts: messages and what is around them, calls of tools and their results, definitions of tools, the schema
 *   of the answer, images by their size, sound by its length, documents by their pages.
 * - Time is linear in the length of the text, whatever the text is, and a message is counted once, however often the conversation
 *   goes on from it.
 *
 * **Gotchas**
 *
 * - An estimate is meant as an upper bound that is hardly ever exceeded: `tokens` has the margin in it, `tokens - margin` is the
 *   likeliest number. `docs/context-window.md` says what the margins rest on.
 * - A text is counted in one go, a megabyte in about a fifth of a second.
 * - Models are known by their names. Where a name says nothing (a deployment of one's own), set `modelName`.
 *
 * @since 0.1.0
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import * as Tokenizer from "effect/ai/Tokenizer"
import type * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Target } from "../core/Call.ts"
import { allowedTools } from "../providers/internal/encode.ts"
import type { Amount } from "./internal/tokensAmount.ts"
import { type Encoding, EncodingUnavailable, load } from "./internal/tokensEncoding.ts"
import { type Family, familyOf } from "./internal/tokensFamily.ts"
import { makeMeter, type Meter } from "./internal/tokensRequest.ts"
import { type TextCounter, withoutTables } from "./internal/tokensText.ts"
import { makeTokenizer } from "./internal/tokensTokenizer.ts"

export { type Encoding, EncodingUnavailable }

/**
 * Marks values of {@link TokenCount}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: TypeId = "~effect-bulwark/budget/TokenCount"

/**
 * Marks values of {@link TokenCount}.
 *
 * @category type IDs
 * @since 0.1.0
 */
export type TypeId = "~effect-bulwark/budget/TokenCount"

/**
 * What is counted: a request to a model.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request extends Target {
  /** The messages. */
  readonly prompt: Prompt.Prompt
  /** The tools the model may call. Default: none. */
  readonly tools?: ReadonlyArray<Tool.Any> | undefined
  /** Whether it may call them; tools that it may not call are not sent. Default: `auto`. */
  readonly toolChoice?: LanguageModel.ToolChoice<string> | undefined
  /** Text, or JSON of a schema. Default: text. */
  readonly responseFormat?: LanguageModel.ProviderOptions["responseFormat"] | undefined
}

/**
 * A number of tokens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Count {
  /** How many tokens: where it is not exact, a number that is hardly ever exceeded. */
  readonly tokens: number
  /** Whether it is the number that the provider counts. */
  readonly exact: boolean
  /** How many of the tokens are there for safety only; 0 where it is exact. */
  readonly margin: number
}

/**
 * Counts tokens.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenCount {
  readonly [TypeId]: TypeId
  /** The tokens of a whole request. */
  readonly count: (request: Request) => Effect.Effect<Count>
  /** The tokens of a text alone. */
  readonly countText: (target: Target, text: string) => Effect.Effect<Count>
  /** `effect/ai`'s tokenizer for a model. */
  readonly tokenizer: (target: Target) => Tokenizer.Service
}

/**
 * Counts tokens.
 *
 * @category services
 * @since 0.1.0
 */
export const TokenCount: Context.Service<TokenCount, TokenCount> = Context.Service<TokenCount>(
  "effect-bulwark/budget/TokenCount"
)

/**
 * Settings of the layers.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * The name by which the maker of a model knows it, where the provider's name for it is another one. Default: the provider's
   * name.
   */
  readonly modelName?: ((target: Target) => string) | undefined
}

/**
 * Settings of {@link layer}.
 *
 * @category options
 * @since 0.1.0
 */
export interface LayerOptions extends Options {
  /** The encoding that is loaded with the layer; others are when they are first needed. Default: `o200k_base`. */
  readonly encoding?: Encoding | undefined
}

/**
 * Counts with the encodings of OpenAI.
 *
 * **Details**
 *
 * Needs the package `gpt-tokenizer`: without it the layer fails with `EncodingUnavailable`, which says what to do. Counts for
 * models of others are those of `o200k_base`, with a factor.
 *
 * **Example** (Counting a question)
 *
 * ```ts
 * import { TokenCount } from "effect-bulwark/budget"
 * import { Effect } from "effect"
 * import { Prompt } from "effect/ai"
 *
 * const prompt = Prompt.make("How high is the Eiffel tower?")
 *
 * const count = (model: string) =>
 *   Effect.runPromise(
 *     TokenCount.count({ provider: "any", model, prompt }).pipe(Effect.provide(TokenCount.layer()))
 *   )
 *
 * await count("gpt-4o") // => { tokens: 14, exact: true, margin: 0 }
 * await count("claude-opus-5") // => { tokens: 37, exact: false, margin: 14 }
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: LayerOptions): Layer.Layer<TokenCount, EncodingUnavailable> =>
  Layer.effect(
    TokenCount,
    Effect.gen(function*() {
      const first = options?.encoding ?? "o200k_base"
      const loaded = new Map<Encoding, TextCounter>([[first, yield* load(first)]])
      // Where the package has one encoding it has the others.
      const other = yield* Effect.cached(
        Effect.orDie(load(first === "o200k_base" ? "cl100k_base" : "o200k_base"))
      )
      return make(options, ({ encoding }) => {
        const counter = loaded.get(encoding)
        return counter !== undefined
          ? Effect.succeed(counter)
          : Effect.tap(other, (counter) => Effect.sync(() => loaded.set(encoding, counter)))
      })
    })
  )

/**
 * Estimates for every model, from the kinds of the characters alone.
 *
 * **When to use**
 *
 * Use where a wider margin does not matter: to refuse what is far too long, or in a browser.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEstimate = (options?: Options): Layer.Layer<TokenCount> =>
  Layer.sync(TokenCount, () => {
    const counter = Effect.succeed(withoutTables)
    return make(options, () => counter)
  })

const make = (options: Options | undefined, counterOf: (family: Family) => Effect.Effect<TextCounter>): TokenCount => {
  const modelName = options?.modelName ?? (({ model }) => model)
  const meters = new Map<Family, Meter>()
  const meterOf = (target: Target): Effect.Effect<Meter> =>
    Effect.suspend(() => {
      const family = familyOf(modelName(target))
      const known = meters.get(family)
      if (known !== undefined) return Effect.succeed(known)
      return Effect.map(counterOf(family), (counter) => {
        const meter = makeMeter(family, counter)
        meters.set(family, meter)
        return meter
      })
    })
  return {
    [TypeId]: TypeId,
    count: (request) =>
      Effect.map(meterOf(request), (meter) =>
        toCount(meter.request(
          request.prompt.content,
          allowedTools({ tools: request.tools ?? [], toolChoice: request.toolChoice ?? "auto" }),
          request.responseFormat ?? { type: "text" }
        ))),
    countText: (target, text) => Effect.map(meterOf(target), (meter) => toCount(meter.text(text))),
    tokenizer: (target) => makeTokenizer(meterOf(target))
  }
}

const toCount = ({ bound, exact, expected }: Amount): Count => {
  const tokens = Math.ceil(bound)
  return { tokens, exact, margin: exact ? 0 : tokens - Math.round(expected) }
}

/**
 * The tokens of a whole request.
 *
 * @category counting
 * @since 0.1.0
 */
export const count = (request: Request): Effect.Effect<Count, never, TokenCount> =>
  Effect.flatMap(TokenCount, (service) => service.count(request))

/**
 * The tokens of a text alone, without what is around it in a request.
 *
 * @category counting
 * @since 0.1.0
 */
export const countText = (target: Target, text: string): Effect.Effect<Count, never, TokenCount> =>
  Effect.flatMap(TokenCount, (service) => service.countText(target, text))

/**
 * `effect/ai`'s `Tokenizer` for a model.
 *
 * **Details**
 *
 * `tokenize` gives the tokens of a prompt's content, without what is around the messages: where the model has an encoding of
 * OpenAI those of its texts, and zeros for what is no text or has none. `truncate` keeps the newest messages that fit, in time
 * linear in their length.
 *
 * **Example** (Keeping the newest messages)
 *
 * ```ts
 * import { TokenCount } from "effect-bulwark/budget"
 * import { Effect, Layer } from "effect"
 * import { Tokenizer } from "effect/ai"
 *
 * const program = Effect.gen(function*() {
 *   const tokenizer = yield* Tokenizer.Tokenizer
 *   const tokens = yield* tokenizer.tokenize("Hello, world!")
 *   const newest = yield* tokenizer.truncate([
 *     { role: "user", content: "How high is the Eiffel tower?" },
 *     { role: "user", content: "Thank you." }
 *   ], 5)
 *   return [tokens, newest.content.length]
 * })
 *
 * const layer = TokenCount.tokenizer({ provider: "openai", model: "gpt-5-mini" }).pipe(Layer.provide(TokenCount.layer()))
 *
 * await Effect.runPromise(Effect.provide(program, layer)) // => [[13225, 11, 2375, 0], 1]
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const tokenizer = (target: Target): Layer.Layer<Tokenizer.Tokenizer, never, TokenCount> =>
  Layer.effect(Tokenizer.Tokenizer, Effect.map(TokenCount, (service) => service.tokenizer(target)))
