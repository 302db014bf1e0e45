/**
 * The data of files in a prompt: an address, or the bytes themselves.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"

// A media type is the caller's own word, but only where it looks like one may it stand in a message.
export const printable = (mediaType: string): string =>
  /^[\w.+-]{1,40}\/[\w.+*-]{1,60}$/.test(mediaType) ? mediaType : "unknown"

export type Data = Prompt.FilePart["data"]

/** The address of a file that is not given inline. */
export const addressOf = (data: Data): string | undefined => {
  if (data instanceof URL) return data.protocol === "data:" ? undefined : data.href
  return typeof data === "string" && /^https?:\/\//i.test(data) ? data : undefined
}

/** The bytes of a file that is given inline. */
export const base64Of = (data: Data): string => {
  if (data instanceof Uint8Array) return Base64.encode(data)
  const source = typeof data === "string" ? data : data.href
  return source.startsWith("data:") ? source.slice(source.indexOf(",") + 1) : source
}

/** The bytes of a file as a URL. */
export const dataUrl = (data: Data, mediaType: string): string => {
  if (data instanceof URL) return data.href
  if (typeof data === "string" && data.startsWith("data:")) return data
  return `data:${mediaType};base64,${base64Of(data)}`
}

/** The address of an image, which its bytes can be too. */
export const imageUrl = (data: Data, mediaType: string): string =>
  addressOf(data) ?? dataUrl(data, mediaType === "image/*" ? "image/jpeg" : mediaType)

/** The id of a file that has been uploaded to OpenAI. Base64 holds neither of the two signs. */
export const fileId = (data: Data): string | undefined =>
  typeof data === "string" && /^file[-_]/.test(data) ? data : undefined
