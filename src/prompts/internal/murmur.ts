/**
 * MurmurHash3, x86, 32 bits, seed 0, of the UTF-8 of a text: Austin Appleby, public domain, https://github.com/aappleby/smhasher.
 * Who belongs where depends on it, in all processes and all versions: it must never change.
 */

const encoder = new TextEncoder()

const mix = (k: number): number => {
  const scrambled = Math.imul(k, 0xcc9e2d51)
  return Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b873593)
}

/** A number from 0 up to 2^32 - 1. */
export const murmur3 = (text: string, seed = 0): number => {
  const bytes = encoder.encode(text)
  const { length } = bytes
  const whole = length & ~3
  let h = seed
  for (let at = 0; at < whole; at += 4) {
    h ^= mix(bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64 | 0
  }
  if (whole < length) {
    let k = 0
    for (let at = length - 1; at >= whole; at--) k = (k << 8) | bytes[at]!
    h ^= mix(k)
  }
  h ^= length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
