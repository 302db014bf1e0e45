/**
 * Cuts a text into parts of a bounded number of tokens, where paragraphs, lines, sentences or words end.
 */
import * as Effect from "effect/Effect"
import type { Target } from "../../core/Call.ts"
import { TokenCount } from "../TokenCount.ts"
import { isLowSurrogate } from "./tokensText.ts"

/**
 * A part of a text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Chunk {
  /** The part itself. */
  readonly text: string
  /** Where it begins; before the end of the one before it, where they overlap. */
  readonly start: number
  /** Where it ends. */
  readonly end: number
  /** How many tokens it has, counted as `TokenCount.countText` does. */
  readonly tokens: number
}

/**
 * Settings of {@link chunks}.
 *
 * @category options
 * @since 0.1.0
 */
export interface ChunkOptions extends Target {
  /** The most tokens a part may have, at least 32. */
  readonly maxTokens: number
  /** How many tokens of a part's end are said again at the beginning of the next, at most a half of it. Default: none. */
  readonly overlapTokens?: number | undefined
}

const fewest = 32

/**
 * Cuts a text into parts of at most so many tokens.
 *
 * **Details**
 *
 * A part ends where a paragraph does, or a line, a sentence, a word; where a single word is too long it is cut, but never within a
 * character. Put together, the parts are the text again, but for what overlaps.
 *
 * Throws a `RangeError` where `maxTokens` is less than 32, or `overlapTokens` more than half of it.
 *
 * **Example** (Cutting a text at its paragraphs)
 *
 * ```ts
 * import { ContextWindow, TokenCount } from "effect-bulwark/budget"
 * import { Effect } from "effect"
 *
 * const text = "The tower was built in 1889.\n\n".repeat(5)
 *
 * const parts = await Effect.runPromise(
 *   ContextWindow.chunks(text, { provider: "openai", model: "gpt-4o", maxTokens: 32 }).pipe(
 *     Effect.provide(TokenCount.layer())
 *   )
 * )
 *
 * parts.map(({ start, end, tokens }) => [start, end, tokens]) // => [[0, 90, 27], [90, 150, 18]]
 * ```
 *
 * @category splitting
 * @since 0.1.0
 */
export const chunks = (
  text: string,
  { maxTokens, overlapTokens = 0, ...target }: ChunkOptions
): Effect.Effect<ReadonlyArray<Chunk>, never, TokenCount> => {
  if (!(maxTokens >= fewest)) {
    throw new RangeError(`ContextWindow.chunks: maxTokens must be at least ${fewest}, got ${maxTokens}`)
  }
  if (!(overlapTokens >= 0 && overlapTokens <= maxTokens / 2)) {
    throw new RangeError(
      `ContextWindow.chunks: overlapTokens must be between 0 and half of maxTokens, got ${overlapTokens}`
    )
  }
  return Effect.flatMap(TokenCount, (counter) => {
    const count = (text: string) => Effect.map(counter.countText(target, text), ({ tokens }) => tokens)
    return cutText(text, count, maxTokens, overlapTokens)
  })
}

/** Counts a text. */
type Count = (text: string) => Effect.Effect<number>

interface Unit {
  readonly start: number
  readonly end: number
  readonly tokens: number
}

/** The same, with a count of one's own. */
export const cutText = (
  text: string,
  count: Count,
  maxTokens: number,
  overlapTokens: number
): Effect.Effect<ReadonlyArray<Chunk>> =>
  Effect.gen(function*() {
    // Small enough that a part can be filled up with them, and that some can be said again.
    const enough = Math.min(maxTokens / 4, overlapTokens === 0 ? Infinity : overlapTokens)
    const units = yield* unitsOf(text, 0, text.length, 0, count, maxTokens, enough)
    const found: Array<Chunk> = []
    let previous = 0
    let next = 0
    while (next < units.length) {
      let first = next
      let tokens = units[next]!.tokens
      // What is said again is given up where it leaves no room for anything new.
      for (let again = 0; first > previous; first--) {
        const before = units[first - 1]!.tokens
        again += before
        if (again > overlapTokens || tokens + before > maxTokens) break
        tokens += before
      }
      let last = next
      while (last + 1 < units.length && tokens + units[last + 1]!.tokens <= maxTokens) {
        last++
        tokens += units[last]!.tokens
      }
      // Together they may have a token more than one by one.
      let chunk = yield* chunkOf(text, units[first]!.start, units[last]!.end, count)
      while (chunk.tokens > maxTokens && first < last) {
        if (last > next) last--
        else first++
        chunk = yield* chunkOf(text, units[first]!.start, units[last]!.end, count)
      }
      found.push(chunk)
      previous = next
      next = last + 1
    }
    return found
  })

const chunkOf = (text: string, start: number, end: number, count: Count): Effect.Effect<Chunk> => {
  const part = text.slice(start, end)
  return Effect.map(count(part), (tokens) => ({ text: part, start, end, tokens }))
}

// Where a text may be cut, the best places first: after paragraphs, lines, sentences, words.
const ends: ReadonlyArray<RegExp> = [
  /\n\s*\n/g,
  /\n/g,
  /[.!?…]["'”’)\]]*\s|[。！？]/g,
  /\s/g
]

/** The level at which what is cut is a sentence. */
const sentences = 3

/** Cuts a part of a text into units that are small enough, at the best places that do. */
const unitsOf = (
  text: string,
  start: number,
  end: number,
  level: number,
  count: Count,
  maxTokens: number,
  enough: number
): Effect.Effect<ReadonlyArray<Unit>> =>
  Effect.gen(function*() {
    if (start === end) return []
    const tokens = yield* count(text.slice(start, end))
    // The whole text, a sentence, or what is small enough.
    if (tokens <= maxTokens && (level === 0 || level === sentences || tokens <= enough)) return [{ start, end, tokens }]
    const pattern = ends[level]
    if (pattern === undefined) {
      return tokens <= maxTokens ? [{ start, end, tokens }] : yield* pieces(text, start, end, tokens, count, maxTokens)
    }
    const units: Array<Unit> = []
    let from = start
    for (const found of text.slice(start, end).matchAll(pattern)) {
      const to = start + found.index + found[0].length
      for (const unit of yield* unitsOf(text, from, to, level + 1, count, maxTokens, enough)) units.push(unit)
      from = to
    }
    for (const unit of yield* unitsOf(text, from, end, level + 1, count, maxTokens, enough)) units.push(unit)
    return units
  })

/** Cuts what has no place to be cut at. */
const pieces = (
  text: string,
  start: number,
  end: number,
  tokens: number,
  count: Count,
  maxTokens: number
): Effect.Effect<ReadonlyArray<Unit>> =>
  Effect.gen(function*() {
    const units: Array<Unit> = []
    const even = Math.max(1, Math.floor((end - start) * maxTokens / tokens))
    let from = start
    while (from < end) {
      let to = whole(text, from, Math.min(end, from + even))
      let unit = yield* count(text.slice(from, to))
      // Some parts are denser than others. One character always goes.
      while (unit > maxTokens && to > whole(text, from, from + 1)) {
        to = whole(text, from, from + Math.max(1, Math.floor((to - from) * 0.8)))
        unit = yield* count(text.slice(from, to))
      }
      units.push({ start: from, end: to, tokens: unit })
      from = to
    }
    return units
  })

/** A place to cut at that is not within a character. */
const whole = (text: string, from: number, to: number): number =>
  to < text.length && isLowSurrogate(text.charCodeAt(to)) ? to - 1 > from ? to - 1 : to + 1 : to
