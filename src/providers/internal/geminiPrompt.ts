/**
 * A prompt as the Gemini API takes it: the system's instructions beside the contents, and contents of the user and the model, each
 * a list of parts. The results of tools are contents of the user.
 *
 * Texts without a word are left out, since the API refuses them, unless they carry a signature.
 */
import type * as Prompt from "effect/ai/Prompt"
import { encodeParams, stringify } from "./encode.ts"
import { encodeFile, encodeInline } from "./geminiFile.ts"
import { fields, text } from "./read.ts"
import { type Body, Unencodable } from "./unencodable.ts"

export interface EncodedPrompt {
  /** The parts of the system's instructions. */
  readonly system: ReadonlyArray<Body>
  readonly contents: ReadonlyArray<Body>
}

interface Content {
  readonly message: "user" | "assistant" | "tool"
  readonly parts: Array<Body>
}

/** `signed` is whether the model refuses calls that nobody has signed. */
export const encodePrompt = (prompt: Prompt.Prompt, signed: boolean): EncodedPrompt => {
  const system: Array<Body> = []
  const contents: Array<Content> = []
  const ids = new Set<string>()
  for (const [index, message] of prompt.content.entries()) {
    const at = `messages[${index}]`
    if (message.role === "system") {
      system.push(...encodeText(message.content, undefined))
      continue
    }
    const parts: Array<Body> = []
    for (const [position, part] of message.content.entries()) {
      parts.push(...encodePart(part, `${at}.content[${position}]`, ids))
    }
    if (parts.length === 0) continue
    if (message.role === "assistant" && signed) signFirstCall(parts)
    const last = contents.at(-1)
    // The results of calls that were made together have to come together.
    if (message.role === "tool" && last?.message === "tool") last.parts.push(...parts)
    else contents.push({ message: message.role, parts })
  }
  if (contents.length === 0) throw new Unencodable("prompt", "it has no message with content but those of the system")
  return {
    system,
    contents: contents.map(({ message, parts }) => ({ role: message === "assistant" ? "model" : "user", parts }))
  }
}

/**
 * What another provider executed itself is left out together with its results, and so are requests for approval, which are
 * between the application and its user. `ids` are those of the calls that the API itself has named.
 */
const encodePart = (
  part: Prompt.UserMessagePart | Prompt.AssistantMessagePart | Prompt.ToolMessagePart,
  at: string,
  ids: Set<string>
): Array<Body> => {
  const own = fields(part.options["google"])
  const signature = text(own["thoughtSignature"])
  switch (part.type) {
    case "text":
      return encodeText(part.text, signature)
    case "reasoning":
      // A thought that is not signed is another provider's, or a summary for people.
      return signature === undefined ? [] : [sign({ text: part.text, thought: true }, signature)]
    case "file":
      return [sign(encodeFile(part, at), signature)]
    case "tool-call": {
      if (part.providerExecuted) return []
      if (own["functionCallId"] === part.id) ids.add(part.id)
      const functionCall = { ...idOf(part.id, ids), name: part.name, args: encodeParams(part.params, at) }
      return [sign({ functionCall }, signature)]
    }
    case "tool-result":
      return part.providerExecuted ? [] : [{ functionResponse: encodeResult(part, at, ids) }]
    default:
      return []
  }
}

const encodeText = (words: string, signature: string | undefined): Array<Body> =>
  words === "" && signature === undefined ? [] : [sign({ text: words }, signature)]

const sign = (part: Body, signature: string | undefined): Body =>
  signature === undefined ? part : { ...part, thoughtSignature: signature }

// What the documentation has for calls that come from elsewhere: another model's, or the application's own.
const unsigned = "skip_thought_signature_validator"

/** Models that sign their calls sign the first of those that they make together, and refuse it without. */
const signFirstCall = (parts: Array<Body>): void => {
  const calls = parts.filter((part) => "functionCall" in part)
  const [first] = calls
  if (first !== undefined && !calls.some((call) => "thoughtSignature" in call)) first["thoughtSignature"] = unsigned
}

// Other providers' ids, and those that were made up for want of one, mean nothing to the API.
const idOf = (id: string, ids: ReadonlySet<string>): Body => ids.has(id) ? { id } : {}

const encodeResult = (part: Prompt.ToolResultPart, at: string, ids: ReadonlySet<string>): Body => {
  const { modelOutput } = part
  const texts = modelOutput?.flatMap((output) => output.type === "text" ? [output.text] : [])
  const files = (modelOutput ?? []).flatMap((output, index) =>
    output.type === "file" ? [encodeInline(output, `${at}.modelOutput[${index}]`)] : []
  )
  const value = texts === undefined ? part.result ?? null : texts.join("\n")
  stringify(value, at)
  return {
    ...idOf(part.id, ids),
    name: part.name,
    // It has to be an object, and of these two names the models know the meaning.
    response: { [part.isFailure ? "error" : "output"]: value },
    ...(files.length === 0 ? undefined : { parts: files })
  }
}
