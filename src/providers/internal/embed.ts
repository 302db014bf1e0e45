/**
 * One request for embeddings over HTTP and its answer: what the protocols have in common. What a request and an answer look like is the
 * protocol's.
 */
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type { InvalidRequest, ProviderError } from "../../core/LlmError.ts"
import type { Embedded, Embedder, EmbedRequest } from "../Provider.ts"
import { readObject } from "./answerBody.ts"
import { classifyInBand, type Exchange, malformed } from "./classify.ts"
import type { Endpoint } from "./endpoint.ts"
import { isError } from "./errorBody.ts"
import { type Line, post, readBody, readText } from "./exchange.ts"
import { count, type Fields } from "./read.ts"

/** How requests are written and answers are read. */
export interface EmbedProtocol {
  readonly endpoint: Endpoint
  readonly maxInputs: number
  /** The text of a request's body. */
  readonly encode: (request: EmbedRequest) => Result.Result<string, InvalidRequest>
  /** The vectors of an answer in the order of the inputs, where there is one. */
  readonly vectors: (answer: Fields) => ReadonlyArray<ReadonlyArray<number> | undefined>
  /** What an answer says of the tokens it took. */
  readonly inputTokens: (answer: Fields) => unknown
}

/**
 * The most bytes of an answer, where the options do not say: the vectors of the largest request, with 3072 numbers each, are more than
 * an answer of a language model may have.
 */
export const defaultMaxEmbedBytes = 128 * 1024 * 1024

/** Embeds over a protocol. */
export const embedOver = (line: Omit<Line, "endpoint">, protocol: EmbedProtocol): Embedder => {
  const own: Line = { ...line, endpoint: protocol.endpoint }
  return {
    maxInputs: protocol.maxInputs,
    embed: (request) =>
      Effect.scoped(Effect.flatMap(
        post(own, { model: request.model, encode: () => protocol.encode(request), accept: "application/json" }),
        (opened) =>
          Effect.flatMap(readBody(own, opened), (body) => {
            const { exchange } = opened
            const read = readText(exchange, body, (text) => readEmbedded(protocol, exchange, text))
            return "failure" in read ? Effect.fail(read.failure) : Effect.succeed(read.embedded)
          })
      ))
  }
}

/** Reads the body of a response with status 200, which may be an error all the same. */
const readEmbedded = (
  protocol: EmbedProtocol,
  exchange: Exchange,
  body: string
): { readonly embedded: Embedded } | { readonly failure: ProviderError } => {
  const read = readObject(exchange, body)
  if ("failure" in read) return read
  if (isError(read.value)) return { failure: classifyInBand(exchange, read.value) }
  const vectors: Array<ReadonlyArray<number>> = []
  for (const vector of protocol.vectors(read.value)) {
    if (vector === undefined) return { failure: malformed(exchange, "one of its vectors is missing, or is none") }
    vectors.push(vector)
  }
  return { embedded: { vectors, inputTokens: count(protocol.inputTokens(read.value)) } }
}

/** A list of numbers, or `undefined` where it is none. */
export const numbers = (value: unknown): ReadonlyArray<number> | undefined =>
  Array.isArray(value) && value.every((item) => typeof item === "number") ? value : undefined
