/**
 * The context windows of well-known models, as of November 2026. Who has a catalogue of models puts it in its place.
 */

import * as Context from "effect/Context"
import type { Target } from "../../core/Call.ts"

/**
 * A context window: how many tokens a prompt and its answer may have together; where the provider limits prompts on their own,
 * how many those may have.
 *
 * @category models
 * @since 0.1.0
 */
export type Window = number | { readonly total: number; readonly input: number }

// Names of gateways, clouds and regions may stand before a model's name, and dates after it. The first that fits.
const windows: ReadonlyArray<readonly [model: RegExp, window: Window]> = [
  [/gpt-3\.5-turbo-instruct/, 4096],
  [/gpt-3\.5|gpt-35/, 16_385],
  [/gpt-4-32k/, 32_768],
  [/gpt-4-(?:turbo|1106|0125|vision)/, 128_000],
  [/gpt-4(?![.o\d])/, 8192],
  [/gpt-4o-(?:mini-)?(?:realtime|transcribe)/, 16_000],
  [/gpt-4o|gpt-4\.5|gpt-audio/, 128_000],
  [/gpt-4\.1/, 1_047_576],
  [/gpt-oss/, 131_072],
  [/gpt-5(?:\.\d)?-chat/, 128_000],
  [/gpt-5\.[4-9](?!\d)(?!-(?:mini|nano|cyber))|gpt-[6-9](?!\d)/, { total: 1_050_000, input: 922_000 }],
  [/gpt-5/, { total: 400_000, input: 272_000 }],
  [/(?:^|[/.])o1-(?:mini|preview)/, 128_000],
  [/(?:^|[/.])o[134](?![a-z\d])|codex-mini/, 200_000],
  [/claude-(?:2\.0|1|instant)(?!\d)/, 100_000],
  [/claude-(?:[23]|(?:opus|sonnet|haiku)-4(?![-.][6-9](?!\d)))(?!\d)/, 200_000],
  [/claude-haiku-4/, 200_000],
  [/claude-(?:opus|sonnet|haiku|fable|mythos)-/, 1_000_000],
  [/gemini-1\.5-pro/, 2_097_152],
  // Answers have a limit of their own.
  [/gemini-[\d.]+-(?:pro|flash)(?!.*(?:image|tts|live|embedding))/, { total: 1_114_112, input: 1_048_576 }]
]

/**
 * Says how large the window of a model is; `undefined` where that is not known.
 *
 * **Details**
 *
 * The default is a table of well-known models, as of November 2026, that goes by their names. Put a catalogue in its place with
 * `Effect.provideService` or `Layer.succeed`.
 *
 * **Example** (A server of one's own)
 *
 * ```ts
 * import { ContextWindow } from "effect-bulwark/budget"
 * import { Layer } from "effect"
 *
 * const windows = Layer.succeed(ContextWindow.Windows, ({ provider }) => provider === "ollama" ? 8_192 : undefined)
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const Windows: Context.Reference<(target: Target) => Window | undefined> = Context.Reference<
  (target: Target) => Window | undefined
>("effect-bulwark/budget/ContextWindow/Windows", {
  defaultValue: () => ({ model }) => windows.find(([pattern]) => pattern.test(model.toLowerCase()))?.[1]
})
