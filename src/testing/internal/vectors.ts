/**
 * Vectors that look like those of a model, and follow from the texts alone.
 */
import type { Embedded, EmbedRequest } from "../../providers/Provider.ts"
import { countTokens } from "./tokens.ts"

const defaultDimensions = 8

/** The same text has the same vector, of length one; texts that share words point into similar directions. */
export const vectorsOf = ({ dimensions = defaultDimensions, inputs }: EmbedRequest): Embedded => ({
  vectors: inputs.map((input) => vectorOf(input, dimensions)),
  inputTokens: inputs.reduce((sum, input) => sum + countTokens(input), 0)
})

const vectorOf = (input: string, dimensions: number): ReadonlyArray<number> => {
  const sum = Array.from({ length: dimensions }, () => 0)
  // A text without a word has a vector as well.
  const words = input.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [input]
  for (const word of words) {
    const next = random(hash(word))
    for (let index = 0; index < dimensions; index++) sum[index]! += next() - 0.5
  }
  const length = Math.hypot(...sum)
  return sum.map((number) => number / length)
}

const hash = (word: string): number => {
  let state = 0x811c9dc5
  for (let index = 0; index < word.length; index++) state = Math.imul(state ^ word.charCodeAt(index), 0x01000193)
  return state >>> 0
}

/** Numbers from 0 to 1 that follow from a seed: chance would make a test another one each time. */
const random = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
