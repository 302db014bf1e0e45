/**
 * What a file in a prompt becomes in tokens: an image by its size, sound and films by how long they last, a document by its pages.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { addressOf, base64Of, type Data } from "../../providers/internal/fileData.ts"
import { fields, text } from "../../providers/internal/read.ts"
import { about, type Amount, times } from "./tokensAmount.ts"
import type { Family, Share } from "./tokensFamily.ts"
import { imageTokens, sizeOf } from "./tokensImage.ts"

/** A file, as far as it is given inline. */
interface Inline {
  /** How many bytes it has. */
  readonly size: number
  /** Its first bytes. */
  readonly first: (bytes: number) => Uint8Array
}

const inlineOf = (data: Data): Inline | undefined => {
  if (data instanceof Uint8Array) return { size: data.length, first: (bytes) => data.subarray(0, bytes) }
  if (addressOf(data) !== undefined) return undefined
  const base64 = base64Of(data)
  // No Base64 has these: it is the name of a file that was uploaded before, or an address of another kind.
  if (/[^A-Za-z0-9+/=\s]/.test(base64.slice(0, 64))) return undefined
  return {
    size: Math.floor(base64.length * 3 / 4),
    first: (bytes) => {
      const whole = base64.slice(0, Math.ceil(bytes / 3) * 4).replace(/\s/g, "")
      return Result.getOrElse(Base64.decode(whole.slice(0, whole.length - whole.length % 4)), () => new Uint8Array())
    }
  }
}

// Cameras put previews and profiles before a picture's size.
const headerBytes = 262_144

const share = ({ bound, expected }: Share): Amount => about(expected, bound)

/** What is taken of a file that is given by an address, or whose kind says nothing of it. */
const unknown = { pages: 20, seconds: 600 }

export const fileTokens = (
  family: Family,
  part: Prompt.FilePart,
  countText: (text: string) => Amount
): Amount => {
  const mediaType = part.mediaType.toLowerCase()
  const inline = inlineOf(part.data)
  if (mediaType.startsWith("image/")) {
    return imageTokens(
      family.image,
      inline === undefined ? undefined : sizeOf(inline.first(headerBytes)),
      text(fields(part.options["openai"])["imageDetail"])
    )
  }
  if (mediaType.startsWith("audio/")) return lasting(family.sound, inline, mediaType, 4000)
  // An hour of a film that is hardly watchable has 225 MB.
  if (mediaType.startsWith("video/")) return lasting(family.film, inline, mediaType, 62_500)
  if (mediaType.startsWith("text/") && inline !== undefined) {
    return countText(new TextDecoder().decode(inline.first(inline.size)))
  }
  return times(share(family.page), inline === undefined ? unknown.pages : pagesOf(inline))
}

/** `rate` is how many bytes a second has at least. */
const lasting = (tokens: Share, inline: Inline | undefined, mediaType: string, rate: number): Amount => {
  if (inline === undefined) return times(share(tokens), unknown.seconds)
  const header = inline.first(32)
  // RIFF: a WAV file says how many bytes a second has.
  const own = mediaType.includes("wav") && header.length === 32 && header[0] === 0x52
    ? new DataView(header.buffer, header.byteOffset).getUint32(28, true)
    : 0
  return times(share(tokens), Math.ceil(inline.size / (own > 0 ? own : rate)))
}

/** As many as the document says, or, where it says so in compressed form, one for each 3 kB. */
const pagesOf = ({ first, size }: Inline): number => {
  const document = new TextDecoder("latin1").decode(first(size))
  const pages = document.match(/\/Type\s?\/Page(?![a-z])/g)?.length ?? 0
  return pages > 0 ? pages : Math.max(1, Math.ceil(size / 3000))
}
