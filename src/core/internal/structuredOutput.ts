/**
 * How a schema is asked for and read back. Strict JSON schema (every property required, nothing else allowed) where the
 * schema can be written in it, since it is the common denominator of what providers enforce; the plain one elsewhere.
 */
import * as LanguageModel from "effect/ai/LanguageModel"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import type * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

export interface StructuredOutput {
  readonly codec: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>
  readonly jsonSchema: JsonSchema.JsonSchema
  readonly strict: boolean
  /** Decodes the text of an answer. */
  readonly decode: (text: string) => ReturnType<ReturnType<typeof decoder>>
  /** What does not fit, and where: in the words of the schema, never in those of the answer. */
  readonly describe: (error: Schema.SchemaError) => string
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
  return {
    codec,
    jsonSchema,
    strict: strict !== undefined,
    decode: decoder(codec),
    describe: (error) => describeIssue(error.issue, jsonSchema)
  }
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

// A message says what was expected, never what was there. But a path can run through a key that the model has chosen (of a
// record, say): a name that the schema does not know stands as `*`.
const describeIssue = (issue: SchemaIssue.Issue, jsonSchema: JsonSchema.JsonSchema): string => {
  const known = new Set<PropertyKey>()
  collectNames(jsonSchema, known)
  return issuesOf(issue).issues.map(({ message, path }) => {
    const segments = (path ?? []).map((segment) => {
      const key = typeof segment === "object" ? segment.key : segment
      return typeof key === "number" ? `[${key}]` : known.has(key) ? `[${JSON.stringify(String(key))}]` : "[*]"
    })
    return segments.length === 0 ? message : `${message} at ${segments.join("")}`
  }).join("; ")
}

const collectNames = (value: unknown, names: Set<PropertyKey>): void => {
  if (typeof value !== "object" || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === "properties" && typeof inner === "object" && inner !== null) {
      for (const name of Object.keys(inner)) names.add(name)
    }
    collectNames(inner, names)
  }
}

const strictly = (schema: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>) => {
  try {
    return toCodecOpenAI(schema)
  } catch {
    // Not every schema has a strict form (its root must be an object, say); that is no error.
    return undefined
  }
}
