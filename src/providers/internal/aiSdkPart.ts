/**
 * Pieces of an AI SDK answer that are the same in both specifications, streamed or whole, as parts. What cannot be read as one is
 * `undefined`: the part's name is then kept.
 */
import type * as Response from "effect/ai/Response"
import * as Base64 from "effect/encoding/Base64"
import type * as Schema from "effect/Schema"
import { ownKey } from "./aiSdkPrompt.ts"
import { compact, type Fields, fields, isFields, json, text } from "./read.ts"

/** A piece of an answer that stands by itself. */
export type Piece =
  | Response.FilePartEncoded
  | Response.UrlSourcePartEncoded
  | Response.DocumentSourcePartEncoded
  | Response.ToolResultPartEncoded
  | Response.ToolApprovalRequestPartEncoded

/** A value as plain JSON; `undefined` where it is none. Models hand on what they like, and a part is JSON. */
export const jsonOf = (value: unknown): Schema.Json | undefined => {
  try {
    const written = JSON.stringify(value)
    // What has been written as JSON is JSON.
    return written === undefined ? undefined : json(written) as Schema.Json | undefined
  } catch {
    return undefined
  }
}

export const jsonObjectOf = (value: unknown): Schema.JsonObject | undefined => {
  const object = isFields(value) ? jsonOf(value) : undefined
  return isFields(object) ? object as Schema.JsonObject : undefined
}

/** A part's metadata: the provider's own, by its name, and what of ours there is to add. */
export const metadataOf = (
  part: Fields,
  own?: Schema.JsonObject
): { readonly metadata: Response.ProviderMetadata } | undefined => {
  const metadata = jsonObjectOf(part["providerMetadata"])
  if (metadata === undefined || Object.keys(metadata).length === 0) {
    return own === undefined ? undefined : { metadata: { [ownKey]: own } }
  }
  return { metadata: own === undefined ? metadata : { ...metadata, [ownKey]: own } }
}

/** Reads a piece that stands by itself. */
export const readPiece = (part: Fields): Piece | undefined => {
  switch (part["type"]) {
    case "file":
      return readFile(part)
    case "reasoning-file":
      return readFile(part, { reasoning: true })
    case "source":
      return readSource(part)
    case "tool-result":
      return readResult(part)
    case "tool-approval-request":
      return readApproval(part)
    default:
      return undefined
  }
}

const readFile = (part: Fields, own?: Schema.JsonObject): Piece | undefined => {
  const mediaType = text(part["mediaType"])
  if (mediaType === undefined) return undefined
  const tagged = fields(part["data"])
  const url = addressOf(tagged)
  const data = url === undefined ? bytesOf(tagged["type"] === "data" ? tagged["data"] : part["data"]) : inlineOf(url)
  if (data !== undefined) return { type: "file", mediaType, data, ...metadataOf(part, own) }
  // There is no part for a file that stands elsewhere, but one for the address.
  return url === undefined
    ? undefined
    : { type: "source", sourceType: "url", id: url, url, title: url, ...metadataOf(part, { ...own, mediaType }) }
}

const addressOf = ({ type, url }: Fields): string | undefined => {
  if (type !== "url") return undefined
  const address = url instanceof URL ? url.href : text(url)
  return address !== undefined && URL.canParse(address) ? address : undefined
}

const bytesOf = (data: unknown): string | undefined => {
  if (data instanceof Uint8Array) return Base64.encode(data)
  const source = text(data)
  const base64 = source === undefined ? undefined : inlineOf(source) ?? source
  return base64 !== undefined && base64.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(base64) ? base64 : undefined
}

const inlineOf = (url: string): string | undefined => /^data:[^,]*;base64,(.*)$/s.exec(url)?.[1]

const readSource = (part: Fields): Piece | undefined => {
  const id = text(part["id"]) ?? ""
  const title = text(part["title"])
  if (part["sourceType"] === "document") {
    const fileName = text(part["filename"])
    return {
      type: "source",
      sourceType: "document",
      id,
      mediaType: text(part["mediaType"]) ?? "application/octet-stream",
      title: title ?? fileName ?? id,
      ...(fileName === undefined ? undefined : { fileName }),
      ...metadataOf(part)
    }
  }
  const url = text(part["url"])
  if (url === undefined || !URL.canParse(url)) return undefined
  return { type: "source", sourceType: "url", id, url, title: title ?? url, ...metadataOf(part) }
}

const readResult = (part: Fields): Piece | undefined => {
  const id = text(part["toolCallId"])
  const name = text(part["toolName"])
  if (id === undefined || name === undefined) return undefined
  return {
    type: "tool-result",
    id,
    name,
    result: jsonOf(part["result"]) ?? null,
    isFailure: part["isError"] === true,
    // Results that a model brings along are of tools that its provider has run.
    providerExecuted: true,
    ...(part["preliminary"] === true ? { preliminary: true } : undefined),
    ...metadataOf(part)
  }
}

const readApproval = (part: Fields): Piece | undefined => {
  const approvalId = text(part["approvalId"])
  const toolCallId = text(part["toolCallId"])
  if (approvalId === undefined || toolCallId === undefined) return undefined
  return { type: "tool-approval-request", approvalId, toolCallId, ...metadataOf(part) }
}

/** What an answer says of itself. */
export const readResponse = (response: Fields): Response.ResponseMetadataPartEncoded | undefined => {
  const id = text(response["id"])
  const modelId = text(response["modelId"])
  if (id === undefined && modelId === undefined) return undefined
  const { timestamp } = response
  const isDate = timestamp instanceof Date && Number.isFinite(timestamp.getTime())
  return {
    type: "response-metadata",
    ...compact({ id, modelId, timestamp: isDate ? timestamp.toISOString() : undefined })
  }
}
