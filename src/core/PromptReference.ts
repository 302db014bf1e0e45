/**
 * Which version of which prompt a call was made with: what stands on its receipt, in its key in the cache, and in the ledger.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Which version of which prompt a call was made with, and how it was chosen.
 *
 * @category models
 * @since 0.1.0
 */
export const PromptReference = Schema.Struct({
  /** The name of the prompt. */
  name: Schema.String,
  /** The number of the version: 1, 2, ... */
  version: Schema.Int,
  /** The hash of the content of the version. Two versions with one hash are the same prompt. */
  hash: Schema.String,
  /** The label that pointed to it, where it was chosen by one: `production`, ... */
  label: Schema.optionalKey(Schema.String),
  /** The experiment that chose it, where one did. */
  experiment: Schema.optionalKey(Schema.String),
  /** The variant of the experiment. */
  variant: Schema.optionalKey(Schema.String)
})

/**
 * Which version of which prompt a call was made with, and how it was chosen.
 *
 * @category models
 * @since 0.1.0
 */
export type PromptReference = typeof PromptReference.Type
