/**
 * How a schema is asked for and read back. Strict JSON schema (every property required, nothing else allowed) where the
 * schema can be written in it, since it is the common denominator of what providers enforce; the plain one elsewhere.
 */
import * as LanguageModel from "effect/ai/LanguageModel"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import type * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"

export interface StructuredOutput {
  readonly codec: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>
  readonly jsonSchema: JsonSchema.JsonSchema
  readonly strict: boolean
  /** Decodes the text of an answer. */
  readonly decode: (text: string) => ReturnType<ReturnType<typeof decoder>>
}

const decoder = (codec: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>) =>
  Schema.decodeUnknownEffect(Schema.fromJsonString(codec), { errors: "all" })

// Schemas are immutable values, mostly module constants: one translation serves all calls.
const cache = new WeakMap<Schema.Top, StructuredOutput>()

export const structuredOutput = (schema: Schema.Top): StructuredOutput => {
  const cached = cache.get(schema)
  if (cached !== undefined) return cached
  const made = make(schema as Schema.ConstraintCodec<unknown, unknown, unknown, unknown>)
  cache.set(schema, made)
  return made
}

const make = (schema: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>): StructuredOutput => {
  const strict = strictly(schema)
  const { codec, jsonSchema } = strict ?? LanguageModel.defaultCodecTransformer(schema)
  return { codec, jsonSchema, strict: strict !== undefined, decode: decoder(codec) }
}

const strictly = (schema: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>) => {
  try {
    return toCodecOpenAI(schema)
  } catch {
    // Not every schema has a strict form (its root must be an object, say); that is no error.
    return undefined
  }
}
