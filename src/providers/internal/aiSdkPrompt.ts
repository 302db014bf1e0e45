/**
 * A prompt as specification v4 of the AI SDK takes it. The options of messages and parts go along as `providerOptions`; those of the
 * key `aiSdk` are our own, and say what a part has been that `effect/ai` has no word for.
 */
import type {
  JSONObject,
  JSONValue,
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4ToolResultOutput,
  SharedV4FileData
} from "@ai-sdk/provider"
import type * as Prompt from "effect/ai/Prompt"
import { stringify } from "./encode.ts"
import { addressOf, base64Of } from "./fileData.ts"
import { fields, isFields, json, text } from "./read.ts"
import { Unencodable } from "./unencodable.ts"

/** The key of what is ours in the metadata of parts and in the options of prompts. */
export const ownKey = "aiSdk"

/** A file of the user that is given by its address, which not every model takes. */
export interface Address {
  readonly url: string
  readonly mediaType: string
  readonly at: string
}

export interface EncodedPrompt {
  readonly messages: Array<LanguageModelV4Message>
  readonly addresses: ReadonlyArray<Address>
}

type Content<Role extends LanguageModelV4Message["role"]> = Extract<LanguageModelV4Message, { role: Role }>["content"]

export const encodePrompt = (prompt: Prompt.Prompt): EncodedPrompt => {
  const messages: Array<LanguageModelV4Message> = []
  const addresses: Array<Address> = []
  const approvals = remoteApprovals(prompt)
  for (const [index, message] of prompt.content.entries()) {
    const at = `messages[${index}]`
    const options = providerOptions(message.options, at)
    switch (message.role) {
      case "system":
        messages.push({ role: "system", content: message.content, ...options })
        break
      case "user":
        messages.push({ role: "user", content: encodeUser(message, at, addresses), ...options })
        break
      case "assistant": {
        const content = encodeAssistant(message, at)
        if (content.length > 0) messages.push({ role: "assistant", content, ...options })
        break
      }
      case "tool": {
        const content = encodeResults(message, at, approvals)
        if (content.length > 0) messages.push({ role: "tool", content, ...options })
      }
    }
  }
  return { messages, addresses }
}

/** The options of a message or a part, by provider. */
const providerOptions = (options: Prompt.ProviderOptions, at: string) => {
  const providerOptions: Record<string, JSONObject> = {}
  for (const [provider, value] of Object.entries(options)) {
    if (value === null || provider === ownKey) continue
    if (!isFields(value)) throw new Unencodable(`${at}.options`, "the options for a provider must be an object")
    // A prompt's options are JSON by their type, and an object is an object.
    providerOptions[provider] = value as JSONObject
  }
  return Object.keys(providerOptions).length === 0 ? undefined : { providerOptions }
}

const encodeUser = (message: Prompt.UserMessage, at: string, addresses: Array<Address>): Content<"user"> =>
  message.content.map((part, index) => {
    const where = `${at}.content[${index}]`
    if (part.type === "text") return { type: "text", text: part.text, ...providerOptions(part.options, where) }
    const file = encodeFile(part, where)
    if (file.data.type === "url") addresses.push({ url: file.data.url.href, mediaType: part.mediaType, at: where })
    return file
  })

const encodeFile = (part: Prompt.FilePart, at: string): LanguageModelV4FilePart => ({
  type: "file",
  data: encodeData(part, at),
  mediaType: part.mediaType,
  ...(part.fileName === undefined ? undefined : { filename: part.fileName }),
  ...providerOptions(part.options, at)
})

type Inline = Extract<SharedV4FileData, { type: "data" | "url" }>

const encodeData = ({ data }: Prompt.FilePart, at: string): Inline => {
  // Some providers take files from stores of their own, such as `gs://`.
  const address = typeof data === "string" && /^[a-z][a-z\d+.-]*:\/\//i.test(data) ? data : addressOf(data)
  if (address === undefined) return { type: "data", data: data instanceof Uint8Array ? data : base64Of(data) }
  const url = URL.parse(address)
  if (url === null) throw new Unencodable(at, "the address of the file is not a URL")
  return { type: "url", url }
}

/** What a model has said before. Requests for approval stay here: the specification has only the answers to them. */
const encodeAssistant = (message: Prompt.AssistantMessage, at: string): Content<"assistant"> => {
  const content: Content<"assistant"> = []
  for (const [index, part] of message.content.entries()) {
    const where = `${at}.content[${index}]`
    const options = providerOptions(part.options, where)
    const own = fields(part.options[ownKey])
    switch (part.type) {
      case "text": {
        const kind = text(own["custom"])
        content.push(
          kind === undefined
            ? { type: "text", text: part.text, ...options }
            // It has been read from an answer of that form.
            : { type: "custom", kind: kind as `${string}.${string}`, ...options }
        )
        break
      }
      case "reasoning":
        content.push({ type: "reasoning", text: part.text, ...options })
        break
      case "file":
        content.push(
          own["reasoning"] === true
            ? { type: "reasoning-file", data: encodeData(part, where), mediaType: part.mediaType, ...options }
            : encodeFile(part, where)
        )
        break
      case "tool-call":
        content.push({
          type: "tool-call",
          toolCallId: part.id,
          toolName: part.name,
          input: encodeInput(part.params, where),
          ...(part.providerExecuted ? { providerExecuted: true } : undefined),
          ...options
        })
        break
      case "tool-result":
        content.push(encodeResult(part, where))
    }
  }
  return content
}

const encodeInput = (params: unknown, at: string): JSONValue => {
  const value = typeof params === "string" ? json(params.trim() === "" ? "{}" : params) ?? params : params ?? {}
  return plain(value, at)
}

/** A value as plain JSON, which is what a provider expects of it. */
const plain = (value: unknown, at: string): JSONValue => JSON.parse(stringify(value, at)) as JSONValue

const encodeResult = (part: Prompt.ToolResultPart, at: string) => ({
  type: "tool-result" as const,
  toolCallId: part.id,
  toolName: part.name,
  output: encodeOutput(part, at),
  ...providerOptions(part.options, at)
})

const encodeOutput = (part: Prompt.ToolResultPart, at: string): LanguageModelV4ToolResultOutput => {
  const { isFailure, modelOutput, result } = part
  if (modelOutput !== undefined) return encodeModelOutput(modelOutput, isFailure, at)
  if (typeof result === "string") return { type: isFailure ? "error-text" : "text", value: result }
  const denial = fields(result)
  if (isFailure && denial["type"] === "execution-denied") {
    const reason = text(denial["reason"])
    return { type: "execution-denied", ...(reason === undefined ? undefined : { reason }) }
  }
  return { type: isFailure ? "error-json" : "json", value: plain(result, at) }
}

const encodeModelOutput = (
  parts: ReadonlyArray<Prompt.ToolModelOutputPart>,
  isFailure: boolean,
  at: string
): LanguageModelV4ToolResultOutput => {
  const texts = parts.flatMap((part) => part.type === "text" ? [part.text] : [])
  // A list has no mark for a failure, and a text has.
  if (isFailure && texts.length === parts.length) return { type: "error-text", value: texts.join("\n") }
  return {
    type: "content",
    value: parts.map((part, index) => {
      const where = `${at}.modelOutput[${index}]`
      return part.type === "text"
        ? { type: "text" as const, text: part.text, ...providerOptions(part.options, where) }
        : encodeFile(part, where)
    })
  }
}

/**
 * The approvals that a provider waits for, because the tool is its own. All others are between the application and its user.
 */
const remoteApprovals = (prompt: Prompt.Prompt): ReadonlySet<string> => {
  const remote = new Set<string>()
  const approvals = new Set<string>()
  for (const message of prompt.content) {
    if (message.role !== "assistant") continue
    for (const part of message.content) {
      if (part.type === "tool-call" && part.providerExecuted) remote.add(part.id)
    }
    for (const part of message.content) {
      if (part.type === "tool-approval-request" && remote.has(part.toolCallId)) approvals.add(part.approvalId)
    }
  }
  return approvals
}

const encodeResults = (message: Prompt.ToolMessage, at: string, approvals: ReadonlySet<string>): Content<"tool"> =>
  message.content.flatMap((part, index): Content<"tool"> => {
    const where = `${at}.content[${index}]`
    if (part.type === "tool-result") return [encodeResult(part, where)]
    if (!approvals.has(part.approvalId)) return []
    return [{
      type: "tool-approval-response",
      approvalId: part.approvalId,
      approved: part.approved,
      ...(part.reason === undefined ? undefined : { reason: part.reason }),
      ...providerOptions(part.options, where)
    }]
  })
