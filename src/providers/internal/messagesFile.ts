/**
 * Files in a prompt, as the Messages API takes them: images, PDF documents and plain texts, by address or inline.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { addressOf, base64Of, printable } from "./fileData.ts"
import { fields } from "./read.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** A file as a block of content. */
export const encodeFile = (part: Prompt.FilePart, at: string): Body => {
  const mediaType = part.mediaType.toLowerCase()
  if (mediaType.startsWith("image/")) {
    return { type: "image", source: encodeSource(part, mediaType === "image/*" ? "image/jpeg" : mediaType) }
  }
  if (mediaType === "application/pdf") return encodeDocument(part, encodeSource(part, mediaType))
  if (mediaType === "text/plain") return encodeDocument(part, encodeText(part, at))
  throw new Unencodable(at, `a file of type ${printable(mediaType)} cannot be sent over the Messages API`)
}

const encodeSource = (part: Prompt.FilePart, mediaType: string): Body => {
  const { data } = part
  // No Base64 holds an underscore: this is the id of a file that was uploaded before.
  if (typeof data === "string" && data.startsWith("file_")) return { type: "file", file_id: data }
  const url = addressOf(data)
  return url === undefined
    ? { type: "base64", media_type: mediaType, data: base64Of(data) }
    : { type: "url", url }
}

const encodeText = (part: Prompt.FilePart, at: string): Body => {
  const { data } = part
  if (typeof data === "string" && data.startsWith("file_")) return { type: "file", file_id: data }
  if (addressOf(data) !== undefined) throw new Unencodable(at, "a text must be given as bytes, not as a URL")
  const bytes = data instanceof Uint8Array ? data : Result.getOrUndefined(Base64.decode(base64Of(data)))
  if (bytes === undefined) throw new Unencodable(at, "the text is neither bytes nor Base64")
  return { type: "text", media_type: "text/plain", data: new TextDecoder().decode(bytes) }
}

const encodeDocument = (part: Prompt.FilePart, source: Body): Body => {
  const { citations, context } = fields(part.options["anthropic"])
  return {
    type: "document",
    source,
    ...(part.fileName === undefined ? undefined : { title: part.fileName }),
    ...(context === undefined ? undefined : { context }),
    ...(citations === undefined ? undefined : { citations })
  }
}
