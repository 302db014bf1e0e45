/**
 * Arbitrary answers, in every part that `effect/ai` knows.
 */
import { Arbitrary, Schema } from "effect"
import type { Part } from "effect-bulwark"

// Small alphabets find collisions (of ids, of metadata keys) that long random texts never have.
const word = Schema.Literals(["", "a", "b", "Grüße ", "東京\n", "🗼"])
const id = Schema.Literals(["0", "1", "call_1"])

// JSON knows no negative zero, which `Schema.Int` may draw.
const integer = Schema.Literals([-3, 0, 1, 17])

const metadataValue = Schema.NullOr(Schema.Union([
  Schema.Record(Schema.Literals(["signature", "cache"]), Schema.Union([Schema.String, integer, Schema.Null])),
  Schema.Array(integer),
  Schema.String
]))

const common = {
  metadata: Schema.optionalKey(Schema.Struct({
    openai: Schema.optionalKey(metadataValue),
    anthropic: Schema.optionalKey(metadataValue)
  }))
}

const json = Schema.Union([
  Schema.String,
  integer,
  Schema.Null,
  Schema.Struct({ city: Schema.String, days: Schema.Array(integer) })
])

const tokens = Schema.optionalKey(Schema.Literals([0, 1, 17, 100_000]))

const toolCall = Schema.Struct({
  ...common,
  type: Schema.Literal("tool-call"),
  id,
  name: Schema.Literals(["Weather", "Lookup"]),
  params: json,
  providerExecuted: Schema.optionalKey(Schema.Boolean)
})

const toolResult = Schema.Struct({
  ...common,
  type: Schema.Literal("tool-result"),
  id,
  name: Schema.Literals(["Weather", "Lookup"]),
  result: json,
  isFailure: Schema.Boolean,
  providerExecuted: Schema.optionalKey(Schema.Boolean),
  preliminary: Schema.optionalKey(Schema.Boolean)
})

const approval = Schema.Struct({
  ...common,
  type: Schema.Literal("tool-approval-request"),
  approvalId: Schema.String,
  toolCallId: id
})

const file = Schema.Struct({
  ...common,
  type: Schema.Literal("file"),
  mediaType: Schema.Literals(["image/png", "application/pdf"]),
  data: Schema.Literals(["", "AAEC", "aGk="])
})

const document = Schema.Struct({
  ...common,
  type: Schema.Literal("source"),
  sourceType: Schema.Literal("document"),
  id,
  mediaType: Schema.Literal("text/plain"),
  title: word,
  fileName: Schema.optionalKey(Schema.Literal("notes.txt"))
})

const url = Schema.Struct({
  ...common,
  type: Schema.Literal("source"),
  sourceType: Schema.Literal("url"),
  id,
  url: Schema.Literals(["https://example.org/", "https://example.org/a?b=c#d"]),
  title: word
})

const responseMetadata = Schema.Struct({
  ...common,
  type: Schema.Literal("response-metadata"),
  id: Schema.optionalKey(Schema.String),
  modelId: Schema.optionalKey(Schema.Literals(["gpt-5-mini-2025-08-07", ""])),
  timestamp: Schema.optionalKey(Schema.Literals(["2026-02-03T04:05:06.007Z"]))
})

const finish = Schema.Struct({
  ...common,
  type: Schema.Literal("finish"),
  reason: Schema.Literals(["stop", "length", "content-filter", "tool-calls", "error", "pause", "other", "unknown"]),
  usage: Schema.Struct({
    inputTokens: Schema.Struct({ uncached: tokens, total: tokens, cacheRead: tokens, cacheWrite: tokens }),
    outputTokens: Schema.Struct({ total: tokens, text: tokens, reasoning: tokens })
  }),
  response: Schema.optionalKey(Schema.Struct({
    status: Schema.Literals([200, 206]),
    headers: Schema.Struct({ "x-request-id": Schema.String })
  }))
})

const others = [toolCall, toolResult, approval, file, document, url, responseMetadata, finish] as const

const block = <const Type extends string>(type: Type) =>
  Schema.Struct({ ...common, type: Schema.Literal(type), text: word })

const marker = <const Type extends string>(type: Type) => Schema.Struct({ ...common, type: Schema.Literal(type), id })

const delta = <const Type extends string>(type: Type) =>
  Schema.Struct({ ...common, type: Schema.Literal(type), id, delta: word })

/** A part of a full answer. */
export const answerPart: Arbitrary.Arbitrary<Part.AnswerPart> = Arbitrary.schema(
  Schema.Union([block("text"), block("reasoning"), ...others])
)

/** A full answer. */
export const answer: Arbitrary.Arbitrary<Array<Part.AnswerPart>> = Arbitrary.array(answerPart, { maxLength: 8 })

/** A part of a stream. */
export const streamPart: Arbitrary.Arbitrary<Part.ProviderPart> = Arbitrary.schema(
  Schema.Union([
    marker("text-start"),
    delta("text-delta"),
    marker("text-end"),
    marker("reasoning-start"),
    delta("reasoning-delta"),
    marker("reasoning-end"),
    Schema.Struct({
      ...common,
      type: Schema.Literal("tool-params-start"),
      id,
      name: Schema.Literal("Weather"),
      providerExecuted: Schema.optionalKey(Schema.Boolean)
    }),
    delta("tool-params-delta"),
    marker("tool-params-end"),
    ...others
  ])
)

/** Any sequence of stream parts, well formed or not. */
export const streamParts: Arbitrary.Arbitrary<Array<Part.ProviderPart>> = Arbitrary.array(streamPart, { maxLength: 12 })
