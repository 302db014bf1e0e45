/**
 * Files in a prompt, as the Gemini API takes them: of any type, by address or inline. Which types a model understands is
 * for the API to say.
 */
import type * as Prompt from "effect/ai/Prompt"
import { addressOf, base64Of, type Data, printable } from "./fileData.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** A file as a part of content. */
export const encodeFile = (part: Prompt.FilePart, at: string): Body => {
  const fileUri = uriOf(part.data)
  if (fileUri === undefined) return encodeInline(part, at)
  const mediaType = part.mediaType.toLowerCase()
  // The API finds out what it is where nobody knows.
  return { fileData: { ...(mediaType.includes("*") ? undefined : { mimeType: mediaType }), fileUri } }
}

/** The bytes of a file. */
export const encodeInline = (part: Prompt.FilePart, at: string): Body => {
  const { data } = part
  if (uriOf(data) !== undefined) throw new Unencodable(at, "the file must be given as bytes, not as a URL")
  const mimeType = part.mediaType === "image/*" ? "image/jpeg" : part.mediaType.toLowerCase()
  if (mimeType.includes("*")) {
    throw new Unencodable(at, `the type of the file must be exact, not ${printable(part.mediaType)}`)
  }
  return { inlineData: { mimeType, data: base64Of(data) } }
}

// Google's other servers take files from Cloud Storage too.
const uriOf = (data: Data): string | undefined => {
  const source = data instanceof URL ? data.href : data
  return typeof source === "string" && source.startsWith("gs://") ? source : addressOf(data)
}
