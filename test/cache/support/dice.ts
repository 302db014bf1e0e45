/**
 * Chance that is the same each time: mulberry32.
 */
export const dice = (seed: number) => {
  let state = (seed * 0x9e3779b9) | 0
  const random = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    random,
    /** An integer from 0 up, below that. */
    below: (most: number) => Math.floor(random() * most),
    chance: (probability: number) => random() < probability
  }
}
