/**
 * The tables of OpenAI's encodings, each loaded when it is first needed: it takes about an eighth of a second and 76 MB.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Tables, type TextCounter, withTables } from "./tokensText.ts"

/**
 * An encoding of OpenAI's: `o200k_base` of all models since gpt-4o, `cl100k_base` of gpt-4 and gpt-3.5.
 *
 * @category models
 * @since 0.1.0
 */
export type Encoding = "o200k_base" | "cl100k_base"

/**
 * The package `gpt-tokenizer`, which has the tables of the encodings, is not there or cannot be loaded.
 *
 * @category errors
 * @since 0.1.0
 */
export class EncodingUnavailable extends Schema.TaggedError<EncodingUnavailable>(
  "effect-bulwark/budget/TokenCount/EncodingUnavailable"
)("EncodingUnavailable", {
  /** The encoding that was wanted. */
  encoding: Schema.Literals(["o200k_base", "cl100k_base"]),
  /** What the loading failed with. */
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the encoding ${this.encoding} cannot be loaded: install its package with \`npm install gpt-tokenizer\`, ` +
      "or count with `TokenCount.layerEstimate`, which needs none"
  }
}

// Written out, so that bundlers find them.
const tables: { readonly [Name in Encoding]: () => Promise<Tables> } = {
  o200k_base: () => import("gpt-tokenizer/encoding/o200k_base"),
  cl100k_base: () => import("gpt-tokenizer/encoding/cl100k_base")
}

/** Loads an encoding. */
export const load = (encoding: Encoding): Effect.Effect<TextCounter, EncodingUnavailable> =>
  Effect.map(
    Effect.tryPromise({
      try: () => tables[encoding](),
      catch: (cause) => new EncodingUnavailable({ encoding, cause })
    }),
    withTables
  )
