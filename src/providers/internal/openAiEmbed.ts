/**
 * Embeddings as OpenAI has them, beside Chat Completions and Responses: `POST /embeddings`.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { type EmbedProtocol, numbers } from "./embed.ts"
import { encodeJson } from "./encode.ts"
import type { Endpoint } from "./endpoint.ts"
import { count, type Fields, fields, items } from "./read.ts"

// What OpenAI takes at once. Others take more, or say what they take.
const maxInputs = 2048

export const openAiEmbed = (provider: string, endpoint: Endpoint, format: "base64" | "float"): EmbedProtocol => ({
  endpoint,
  maxInputs,
  encode: ({ dimensions, extra, inputs, model }) =>
    encodeJson(provider, model, () => ({
      model,
      input: inputs,
      encoding_format: format,
      ...(dimensions === undefined ? undefined : { dimensions }),
      ...extra
    })),
  vectors: readVectors,
  inputTokens: (answer) => {
    const usage = fields(answer["usage"])
    return usage["prompt_tokens"] ?? usage["total_tokens"]
  }
})

/** Vectors say where they belong. Those that do not are in order; where two say the same, one is missing. */
const readVectors = (answer: Fields): ReadonlyArray<ReadonlyArray<number> | undefined> => {
  const data = items(answer["data"])
  const vectors = Array.from(data, (): ReadonlyArray<number> | undefined => undefined)
  for (const [position, item] of data.entries()) {
    const { embedding, index } = fields(item)
    const place = index === undefined ? position : count(index)
    if (place !== undefined && place < vectors.length) vectors[place] = readVector(embedding)
  }
  return vectors
}

// Whatever was asked for, since some servers know only one of the two.
const readVector = (embedding: unknown): ReadonlyArray<number> | undefined =>
  typeof embedding === "string" ? decodeFloats(embedding) : numbers(embedding)

/** Numbers of four bytes, the lowest first. */
const decodeFloats = (source: string): ReadonlyArray<number> | undefined => {
  const decoded = Base64.decode(source)
  if (Result.isFailure(decoded) || decoded.success.length % 4 !== 0) return undefined
  const { buffer, byteLength, byteOffset } = decoded.success
  const view = new DataView(buffer, byteOffset, byteLength)
  const vector: Array<number> = []
  for (let offset = 0; offset < byteLength; offset += 4) vector.push(view.getFloat32(offset, true))
  return vector
}
