/**
 * What is asked, and whom: what plans, receipts and those who watch know of a call.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import type * as Tool from "effect/ai/Tool"
import type * as Schema from "effect/Schema"

/**
 * Request parameters that models share. What is absent is left to the provider's default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  /** The most tokens the answer may have, reasoning included. */
  readonly maxOutputTokens?: number | undefined
  /** Sampling temperature. Reasoning models may refuse any but their own. */
  readonly temperature?: number | undefined
  /** Nucleus sampling: the probability mass to sample from, from 0 to 1. */
  readonly topP?: number | undefined
  /** Texts at which the answer ends. */
  readonly stop?: ReadonlyArray<string> | undefined
  /** Asks for the same answer to the same request, as far as the provider can. */
  readonly seed?: number | undefined
  /** How much a reasoning model should think, in the provider's words (`low`, `high`, ...). */
  readonly reasoningEffort?: string | undefined
  /**
   * Any other fields of the provider's request body. They win over all of the above. Objects are merged with those that are sent anyway;
   * one of another `type` takes the place of the whole.
   */
  readonly extra?: { readonly [field: string]: Schema.Json } | undefined
}

/**
 * Combines two settings: what the second one sets wins, extra fields are merged.
 *
 * @category combining
 * @since 0.1.0
 */
export const mergeSettings = (self: Settings, that: Settings): Settings => {
  const merged: { -readonly [Key in keyof Settings]: Settings[Key] } = { ...self }
  for (const key of Object.keys(that) as Array<keyof Settings>) {
    if (that[key] !== undefined) Object.assign(merged, { [key]: that[key] })
  }
  if (self.extra !== undefined && that.extra !== undefined) merged.extra = { ...self.extra, ...that.extra }
  return merged
}

/**
 * What is asked of a model, in `effect/ai`'s vocabulary.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  /** The messages. */
  readonly prompt: Prompt.Prompt
  /** The tools the model may call. */
  readonly tools: ReadonlyArray<Tool.Any>
  /** Whether it may, must or must not call them. */
  readonly toolChoice: LanguageModel.ToolChoice<string>
  /** Text, or JSON of a schema. */
  readonly responseFormat: LanguageModel.ProviderOptions["responseFormat"]
  /** Request parameters. */
  readonly settings: Settings
}

/**
 * A model of a provider, as receipts, plans and errors name it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Target {
  /** The name of the provider service. */
  readonly provider: string
  /** The provider's name for the model. */
  readonly model: string
}
