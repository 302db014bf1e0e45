/**
 * Tells requests apart, in a number: by all of what they ask, each character read once.
 *
 * Two sums are mixed by multiplication and rotation, as MurmurHash3 does (Austin Appleby, public domain), and made one by the end of
 * cyrb53 (bryc, public domain): 53 bits, not for secrets. Among a million different requests there are two of the same number once in
 * twenty thousand times.
 */

/** What no request has: after so many values it is as if it ended, also where it contains itself. */
const mostValues = 100_000
const deepest = 64

/** A product only carries upwards: what is above has to come down. */
const turned = (value: number): number => (value << 13) | (value >>> 19)

/** That 1 is not true, and a text of no characters not 0. */
const kinds = { text: 101, number: 102, true: 103, false: 104, nothing: 105, bytes: 106, list: 107, end: 108 } as const

export class Fingerprint {
  private one: number
  private two: number
  private values = 0

  constructor(seed = 0) {
    this.one = 0xdeadbeef ^ seed
    this.two = 0x41c6ce57 ^ seed
  }

  private mix(value: number): void {
    this.one = turned(Math.imul(this.one ^ value, 2_654_435_761))
    this.two = turned(Math.imul(this.two ^ value, 1_597_334_677))
  }

  text(text: string): this {
    // That "ab" and "c" are not "a" and "bc".
    this.mix(kinds.text)
    this.mix(text.length)
    const { length } = text
    let { one, two } = this
    const even = length & ~1
    // Two at a time, which takes half as long.
    for (let at = 0; at < even; at += 2) {
      const codes = text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16)
      one = turned(Math.imul(one ^ codes, 2_654_435_761))
      two = turned(Math.imul(two ^ codes, 1_597_334_677))
    }
    if (even < length) {
      const code = text.charCodeAt(even)
      one = turned(Math.imul(one ^ code, 2_654_435_761))
      two = turned(Math.imul(two ^ code, 1_597_334_677))
    }
    this.one = one
    this.two = two
    return this
  }

  /** Whatever is plain data in it. */
  add(value: unknown, depth = 0): this {
    if (depth > deepest || ++this.values > mostValues) return this
    if (typeof value === "string") return this.text(value)
    if (typeof value === "number") {
      // Numbers that are no whole ones of 32 bits are told apart by how they print.
      if ((value | 0) !== value) return this.text(String(value))
      this.mix(kinds.number)
      this.mix(value)
      return this
    }
    if (value === null || typeof value === "boolean" || value === undefined) {
      this.mix(value === true ? kinds.true : value === false ? kinds.false : kinds.nothing)
      return this
    }
    if (typeof value !== "object") return typeof value === "bigint" ? this.text(String(value)) : this
    if (value instanceof Uint8Array) {
      this.mix(kinds.bytes)
      this.mix(value.length)
      for (const byte of value) this.mix(byte)
      return this
    }
    if (value instanceof URL || value instanceof Date) return this.text(String(value))
    if (Array.isArray(value)) {
      this.mix(kinds.list)
      this.mix(value.length)
      for (const item of value) this.add(item, depth + 1)
      return this
    }
    for (const key of Object.keys(value)) {
      const field = (value as Record<string, unknown>)[key]
      if (field === undefined || typeof field === "function") continue
      this.text(key).add(field, depth + 1)
    }
    // The end of an object, so that what comes after is not taken to be in it.
    this.mix(kinds.end)
    return this
  }

  /** A whole number from 0 up to 2^53 - 1. */
  get number(): number {
    let { one, two } = this
    one = Math.imul(one ^ (one >>> 16), 2_246_822_507) ^ Math.imul(two ^ (two >>> 13), 3_266_489_909)
    two = Math.imul(two ^ (two >>> 16), 2_246_822_507) ^ Math.imul(one ^ (one >>> 13), 3_266_489_909)
    return 4_294_967_296 * (2_097_151 & two) + (one >>> 0)
  }
}
