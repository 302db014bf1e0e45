/**
 * Bytes of which more may come, and the text they hold.
 */

/** Bytes that grow, in amortised linear time however small the pieces. */
export class ByteBuffer {
  length = 0
  private bytes = new Uint8Array(0)

  push(chunk: Uint8Array): void {
    const length = this.length + chunk.length
    if (length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.bytes.length, 256))
      grown.set(this.view())
      this.bytes = grown
    }
    this.bytes.set(chunk, this.length)
    this.length = length
  }

  /** What there is; valid until the next change. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  clear(): void {
    this.length = 0
  }
}

// Marks are removed where a text begins, which is not always where bytes do.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const lenient = new TextDecoder("utf-8", { ignoreBOM: true })

/** The text that bytes hold, or `undefined` where they are not UTF-8. */
export const utf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

/** The text that bytes hold at least: what is not UTF-8 in them becomes U+FFFD. For reading what went wrong, never for answers. */
export const utf8Lossy = (bytes: Uint8Array): string => lenient.decode(bytes)

/** The bytes without a character that has been cut off at their end. */
export const wholeCharacters = (bytes: Uint8Array): Uint8Array => {
  // The last byte that begins a character says how many belong to it.
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!
    if (byte < 0x80) break
    if (byte >= 0xC2 && byte <= 0xF4) {
      const needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
      return needed > back ? bytes.subarray(0, bytes.length - back) : bytes
    }
  }
  return bytes
}
