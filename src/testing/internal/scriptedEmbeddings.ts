/**
 * Embeddings of a scripted provider; `../ScriptedProvider.ts` is where it is documented as a whole.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { outcomeOf } from "../../core/internal/recorder.ts"
import type { ProviderError } from "../../core/LlmError.ts"
import type * as Provider from "../../providers/Provider.ts"
import { vectorsOf } from "./vectors.ts"

/**
 * What the provider does with the nth request for embeddings (from 0).
 *
 * @category models
 * @since 0.1.0
 */
export type EmbedScript = (
  request: Provider.EmbedRequest,
  index: number
) => Effect.Effect<Provider.Embedded, ProviderError>

/**
 * A request for embeddings that the provider saw.
 *
 * @category models
 * @since 0.1.0
 */
export interface SeenEmbedding {
  /** What was asked. */
  readonly request: Provider.EmbedRequest
  /** When it came, in milliseconds since 1970, by the `Clock`. */
  readonly at: number
  /** How it ended: `success`, `interrupted`, or the tag of the failure; absent while it runs. */
  readonly outcome?: string | undefined
}

/**
 * What can be said of a scripted provider beside its script.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What it does with requests for embeddings. Default: {@link vectors}. */
  readonly embed?: EmbedScript | undefined
  /** The most texts that it embeds in one request. Default: 2048. */
  readonly maxInputs?: number | undefined
}

/**
 * Embeds texts without a model: the same text always has the same vector, and texts with words in common are nearer to each other than
 * texts without. Vectors have 8 numbers, where the request does not say.
 *
 * **Example** (The second of three requests fails)
 *
 * ```ts
 * import { LlmError } from "effect-bulwark"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect } from "effect"
 *
 * class OpenAi extends Provider.Service<OpenAi>()("openai") {}
 *
 * const openai = ScriptedProvider.make(OpenAi, [], {
 *   embed: (request, index) =>
 *     index === 1 ? Effect.fail(new LlmError.Overloaded({})) : ScriptedProvider.vectors(request)
 * })
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const vectors = (request: Provider.EmbedRequest): Effect.Effect<Provider.Embedded> =>
  Effect.sync(() => vectorsOf(request))

/** Serves embeddings, and puts them on record. */
export const serveEmbeddings = (
  seen: Array<SeenEmbedding>,
  { embed = vectors, maxInputs = 2048 }: Options
): Provider.Embedder => ({
  maxInputs,
  embed: (request) =>
    Clock.clockWith((clock) => {
      const embedding: { -readonly [Key in keyof SeenEmbedding]: SeenEmbedding[Key] } = {
        request,
        at: clock.currentTimeMillisUnsafe()
      }
      return Effect.onExit(embed(request, seen.push(embedding) - 1), (exit) =>
        Effect.sync(() => {
          embedding.outcome = outcomeOf(exit)
        }))
    })
})
