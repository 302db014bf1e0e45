/**
 * The pieces of an answer, streamed or whole.
 *
 * Both vocabularies are `effect/ai`'s, in their *encoded* form: plain JSON, so that an answer can be cached, stored and
 * replayed. A {@link Part} is what flows in a stream (`text-delta`, `tool-call`, `finish`, ...); an {@link AnswerPart} is
 * what stands in a full answer (`text`, `tool-call`, `finish`, ...). {@link fromAnswer} and {@link toAnswer} convert
 * between the two without loss.
 *
 * **Gotchas**
 *
 * `effect/ai` also knows an `error` part. It is not a `Part` here: a failure stands in the error type, never among the
 * words of an answer.
 *
 * @since 0.1.0
 */
import * as Response from "effect/ai/Response"
import * as Schema from "effect/Schema"
import type { StreamInterrupted } from "./LlmError.ts"

/**
 * One piece of a streamed answer as a provider sends it, as plain JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type ProviderPart = Exclude<Response.StreamPartEncoded, Response.ErrorPartEncoded>

/**
 * Unsays everything that came before it in a stream: the answer broke off, and another one begins. Only a policy that was
 * asked to (`Resume.restart`) puts it there, and only where the consumer can read it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retract {
  readonly type: "retract"
  /** Why: the reason of the `StreamInterrupted` that is not reported because of it. */
  readonly reason: StreamInterrupted["reason"]
}

/**
 * One piece of a streamed answer, as plain JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type Part = ProviderPart | Retract

/**
 * One piece of a streamed answer in `effect/ai`'s response vocabulary, and {@link Retract}.
 *
 * @category models
 * @since 0.1.0
 */
export type Decoded = Response.StreamPart<{}> | Retract

/**
 * One piece of a full answer, as plain JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type AnswerPart = Exclude<
  Response.PartEncoded,
  Response.ReasoningDeltaPartEncoded | Response.ReasoningEndPartEncoded
>

/**
 * Whether a part carries content, that is, whether a stream *commits* when it arrives.
 *
 * **Details**
 *
 * Response metadata, the start and end markers of blocks and empty deltas carry none: until the first content part, a
 * stream may still be retried or replaced, because nothing of it has reached the consumer. `finish` is content too: an
 * answer that ends without a word is an answer.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isContent = (part: Part): boolean => {
  switch (part.type) {
    case "response-metadata":
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
    case "tool-params-start":
    case "tool-params-end":
    case "retract":
      return false
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return part.delta.length > 0
    default:
      return true
  }
}

type Metadata = Response.ProviderMetadata | undefined

// Providers put metadata on any of the three parts of a block (a signature comes with the end of a reasoning block), so
// the block's metadata is the union, later keys winning within a provider.
const mergeMetadata = (self: Metadata, that: Metadata): Metadata => {
  if (that === undefined) return self
  if (self === undefined) return that
  const merged: Record<string, Schema.Json | null> = { ...self }
  for (const [provider, value] of Object.entries(that)) {
    const before = merged[provider]
    merged[provider] = isJsonObject(before) && isJsonObject(value) ? { ...before, ...value } : value
  }
  return merged
}

const isJsonObject = (value: unknown): value is { readonly [key: string]: Schema.Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const withMetadata = <A extends object>(
  part: A,
  metadata: Metadata
): A & { readonly metadata?: Response.ProviderMetadata } => metadata === undefined ? part : { ...part, metadata }

/**
 * Turns a full answer into the stream of parts that would have produced it.
 *
 * @see {@link toAnswer} for the way back.
 * @category converting
 * @since 0.1.0
 */
export const fromAnswer = (answer: Iterable<AnswerPart>): Array<ProviderPart> => {
  const parts: Array<ProviderPart> = []
  let block = 0
  for (const part of answer) {
    switch (part.type) {
      case "text":
      case "reasoning": {
        const id = String(block++)
        parts.push(withMetadata({ type: `${part.type}-start` as const, id }, part.metadata))
        if (part.text.length > 0) parts.push({ type: `${part.type}-delta` as const, id, delta: part.text })
        parts.push({ type: `${part.type}-end` as const, id })
        break
      }
      default:
        parts.push(part)
    }
  }
  return parts
}

interface OpenBlock {
  readonly type: "text" | "reasoning"
  text: string
  metadata: Metadata
}

/**
 * Folds a stream's parts into the full answer.
 *
 * **Details**
 *
 * Blocks stand where they started, however their deltas interleave; how a text was cut into deltas makes no difference.
 * The deltas of tool parameters are dropped: the `tool-call` part that follows them says it all, and parameters that were
 * never completed must not look like a call. A `retract` drops everything before it.
 *
 * **Example** (Folding deltas)
 *
 * ```ts
 * import { Part } from "effect-bulwark"
 *
 * Part.toAnswer([
 *   { type: "text-start", id: "0" },
 *   { type: "text-delta", id: "0", delta: "Hel" },
 *   { type: "text-delta", id: "0", delta: "lo" },
 *   { type: "text-end", id: "0" }
 * ])
 * // => [{ type: "text", text: "Hello" }]
 * ```
 *
 * @see {@link fromAnswer} for the way back.
 * @category converting
 * @since 0.1.0
 */
export const toAnswer = (parts: Iterable<Part>): Array<AnswerPart> => {
  const answer: Array<AnswerPart | OpenBlock> = []
  const open = new Map<string, OpenBlock>()
  const blockOf = (type: OpenBlock["type"], id: string): OpenBlock => {
    const key = `${type}:${id}`
    let block = open.get(key)
    if (block === undefined) {
      block = { type, text: "", metadata: undefined }
      open.set(key, block)
      answer.push(block)
    }
    return block
  }
  for (const part of parts) {
    switch (part.type) {
      case "text-start":
      case "reasoning-start": {
        const type = part.type === "text-start" ? "text" : "reasoning"
        open.delete(`${type}:${part.id}`)
        blockOf(type, part.id).metadata = part.metadata
        break
      }
      case "text-delta":
      case "reasoning-delta": {
        const block = blockOf(part.type === "text-delta" ? "text" : "reasoning", part.id)
        block.text += part.delta
        block.metadata = mergeMetadata(block.metadata, part.metadata)
        break
      }
      case "text-end":
      case "reasoning-end": {
        const type = part.type === "text-end" ? "text" : "reasoning"
        const block = blockOf(type, part.id)
        block.metadata = mergeMetadata(block.metadata, part.metadata)
        open.delete(`${type}:${part.id}`)
        break
      }
      case "tool-params-start":
      case "tool-params-delta":
      case "tool-params-end":
        break
      case "retract":
        answer.length = 0
        open.clear()
        break
      default:
        answer.push(part)
    }
  }
  return answer.map((part) =>
    part.type === "text" || part.type === "reasoning"
      ? withMetadata({ type: part.type, text: part.text }, part.metadata)
      : part
  )
}

/**
 * The visible text of an answer's parts, streamed or whole, encoded or decoded, joined. What a `retract` unsays is not in it.
 *
 * @category getters
 * @since 0.1.0
 */
export const text = (parts: Iterable<Part | AnswerPart | Response.AnyPart>): string => {
  let joined = ""
  for (const part of parts) {
    if (part.type === "retract") joined = ""
    else if (part.type === "text-delta") joined += part.delta
    else if (part.type === "text") joined += part.text
  }
  return joined
}

// What `Response.makePart` sets, written out for the one part that makes up nearly all of a stream.
const PartTypeId = "~effect/ai/Response/Part"

const decodeStreamPart = Schema.decodeSync(Response.StreamPart())

/**
 * Decodes a part into `effect/ai`'s response vocabulary, without a schema for tools.
 *
 * **Details**
 *
 * The parts that every answer has are built directly: decoding them through the union of all parts costs more than
 * everything else that happens to a part here.
 *
 * @category converting
 * @since 0.1.0
 */
export function decode(part: ProviderPart): Response.StreamPart<{}>
export function decode(part: Part): Decoded
export function decode(part: Part): Decoded {
  switch (part.type) {
    case "retract":
      return part
    case "text-delta":
      return {
        [PartTypeId]: PartTypeId,
        type: part.type,
        id: part.id,
        delta: part.delta,
        metadata: part.metadata ?? {}
      }
    case "reasoning-delta":
    case "tool-params-delta":
      return Response.makePart(part.type, { id: part.id, delta: part.delta, metadata: part.metadata })
    case "finish":
      return decodeFinish(part)
    default:
      return decodeStreamPart(part) as Response.StreamPart<{}>
  }
}

const decodeFinish = (part: Response.FinishPartEncoded): Response.FinishPart =>
  part.response === undefined
    ? Response.makePart("finish", {
      reason: part.reason,
      // Built by a provider adapter, not read from outside: checking it again would cost more than the rest.
      usage: new Response.Usage(part.usage, { disableChecks: true }),
      metadata: part.metadata
    })
    : decodeStreamPart(part) as Response.FinishPart

const decodePart = Schema.decodeSync(Response.Part())

/**
 * Decodes a part of a full answer into `effect/ai`'s response vocabulary, without a schema for tools.
 *
 * @category converting
 * @since 0.1.0
 */
export const decodeAnswer = (part: AnswerPart): Response.Part<{}> => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return Response.makePart(part.type, { text: part.text, metadata: part.metadata })
    case "finish":
      return decodeFinish(part)
    default:
      return decodePart(part) as Response.Part<{}>
  }
}
