/**
 * Files in a prompt, as the Responses API takes them: images and documents by address, inline, or as an upload's id. Which types a
 * model understands is for the API to say; only for audio it has no words at all.
 */
import type * as Prompt from "effect/ai/Prompt"
import { addressOf, dataUrl, fileId, imageUrl, printable } from "./fileData.ts"
import { fields, text } from "./read.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** A file as a part of content. */
export const encodeFile = (part: Prompt.FilePart, at: string): Body => {
  const mediaType = part.mediaType.toLowerCase()
  const uploaded = fileId(part.data)
  if (mediaType.startsWith("image/")) {
    return {
      type: "input_image",
      detail: text(fields(part.options["openai"])["imageDetail"]) ?? "auto",
      ...(uploaded === undefined ? { image_url: imageUrl(part.data, mediaType) } : { file_id: uploaded })
    }
  }
  if (mediaType.startsWith("audio/")) {
    throw new Unencodable(at, `a file of type ${printable(mediaType)} cannot be sent over the Responses API`)
  }
  if (uploaded !== undefined) return { type: "input_file", file_id: uploaded }
  const file_url = addressOf(part.data)
  if (file_url !== undefined) return { type: "input_file", file_url }
  return {
    type: "input_file",
    filename: part.fileName ?? `document.${extensionOf(mediaType)}`,
    file_data: dataUrl(part.data, mediaType)
  }
}

// The API goes by the name's extension.
const extensionOf = (mediaType: string): string => {
  const subtype = mediaType.slice(mediaType.indexOf("/") + 1)
  if (subtype === "plain") return "txt"
  if (subtype === "markdown") return "md"
  return /^[a-z0-9]{1,8}$/.test(subtype) ? subtype : "bin"
}
