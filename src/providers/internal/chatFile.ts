/**
 * Files in a prompt, as Chat Completions takes them: images by address or inline, audio and PDF documents inline.
 */
import type * as Prompt from "effect/ai/Prompt"
import { addressOf, base64Of, dataUrl, fileId, imageUrl, printable } from "./fileData.ts"
import { fields, text } from "./read.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** One part of a user's message. */
export const encodeUserPart = (part: Prompt.UserMessagePart, at: string): Body => {
  if (part.type === "text") return { type: "text", text: part.text }
  const mediaType = part.mediaType.toLowerCase()
  if (mediaType.startsWith("image/")) return encodeImage(part, mediaType)
  const audio = audioFormats[mediaType]
  if (audio !== undefined) return encodeAudio(part, audio, at)
  if (mediaType === "application/pdf") return encodeDocument(part, mediaType, at)
  throw new Unencodable(at, `a file of type ${printable(mediaType)} cannot be sent over Chat Completions`)
}

const audioFormats: { readonly [mediaType: string]: string } = {
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/wave": "wav",
  "audio/mp3": "mp3",
  "audio/mpeg": "mp3"
}

const encodeImage = (part: Prompt.FilePart, mediaType: string): Body => {
  const detail = text(fields(part.options["openai"])["imageDetail"])
  return {
    type: "image_url",
    image_url: {
      url: imageUrl(part.data, mediaType),
      ...(detail === undefined ? undefined : { detail })
    }
  }
}

const encodeAudio = (part: Prompt.FilePart, format: string, at: string): Body => {
  if (addressOf(part.data) !== undefined) throw new Unencodable(at, "audio must be given as bytes, not as a URL")
  return { type: "input_audio", input_audio: { data: base64Of(part.data), format } }
}

const encodeDocument = (part: Prompt.FilePart, mediaType: string, at: string): Body => {
  if (addressOf(part.data) !== undefined) throw new Unencodable(at, "a PDF must be given as bytes, not as a URL")
  const uploaded = fileId(part.data)
  if (uploaded !== undefined) return { type: "file", file: { file_id: uploaded } }
  return {
    type: "file",
    file: { filename: part.fileName ?? "document.pdf", file_data: dataUrl(part.data, mediaType) }
  }
}
