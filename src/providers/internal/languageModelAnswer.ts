/**
 * The parts of an `effect/ai` answer, back in the encoded form that they had before the model decoded them.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Response from "effect/ai/Response"
import * as Schema from "effect/Schema"
import type * as Part from "../../core/Part.ts"

const encodeRest = Schema.encodeUnknownSync(Response.AllParts())

/** Encodes a part that is no failure. */
export const encodePart = (part: Exclude<Response.AnyPart, Response.ErrorPart>): Response.AllPartsEncoded => {
  switch (part.type) {
    // Nearly all of a stream is these: they are written out, since a schema of all parts costs more than all else.
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return sparse({ type: part.type, id: part.id, delta: part.delta, metadata: part.metadata })
    case "tool-result":
      // Its schema is the tool's, which has encoded it already.
      return sparse(encodeRest({ ...part, result: part.encodedResult }))
    case "finish":
      return sparse(encodeRest({ ...part, response: plain(part.response) }))
    default:
      return sparse(encodeRest(part))
  }
}

/** Without what decoding has added: what says no more than its absence. */
const sparse = (encoded: Response.AllPartsEncoded): Response.AllPartsEncoded => {
  const part: { [field: string]: unknown } = { ...encoded }
  if (Object.keys(encoded.metadata ?? {}).length === 0) delete part["metadata"]
  for (const field of ["providerExecuted", "preliminary", "response"]) {
    if (part[field] === false || part[field] === undefined) delete part[field]
  }
  // (Fields that may be absent are all that is gone.)
  return part as unknown as Response.AllPartsEncoded
}

/** A part is plain JSON, and a secret header is none. */
const plain = (response: Response.FinishPart["response"]): Response.FinishPart["response"] =>
  response === undefined ? undefined : {
    ...response,
    headers: Object.fromEntries(
      Object.entries(response.headers).map(([name, value]) => [name, typeof value === "string" ? value : "<redacted>"])
    )
  }

/**
 * The parts of a full answer. One without a `finish` part is whole all the same, since the model has returned it: why it ends
 * and what it cost is not known then.
 */
export const encodeAnswer = (
  content: LanguageModel.GenerateTextResponse<{}, "deferred">["content"]
): Array<Part.AnswerPart> => {
  // (Parts of a full answer, encoded, are parts of a full answer.)
  const parts = content.map((part) => encodePart(part) as Part.AnswerPart)
  if (!parts.some((part) => part.type === "finish")) {
    parts.push({ type: "finish", reason: "unknown", usage: { inputTokens: {}, outputTokens: {} } })
  }
  return parts
}
