/**
 * A prompt as the Messages API takes it: system prompts beside the messages, and messages of users and the assistant in turn, each
 * a list of blocks. The results of tools stand in messages of the user.
 *
 * Blocks without a word are left out, since the API refuses them.
 */
import type * as Prompt from "effect/ai/Prompt"
import { encodeParams, resultText } from "./encode.ts"
import { encodeFile } from "./messagesFile.ts"
import { type Fields, fields, isFields, text } from "./read.ts"
import { type Body, Unencodable } from "./unencodable.ts"

export interface EncodedPrompt {
  readonly system: ReadonlyArray<Body>
  readonly messages: ReadonlyArray<Body>
}

interface Turn {
  readonly role: "user" | "assistant"
  content: Array<Body>
}

export const encodePrompt = (prompt: Prompt.Prompt): EncodedPrompt => {
  const system: Array<Body> = []
  const turns: Array<Turn> = []
  for (const [index, message] of prompt.content.entries()) {
    const at = `messages[${index}]`
    const marker = cacheControl(message.options, at)
    if (message.role === "system") {
      system.push(...markLast(encodeText(message.content), marker))
      continue
    }
    const content = markLast(encodeContent(message, at), marker)
    if (content.length === 0) continue
    const role = message.role === "assistant" ? "assistant" : "user"
    const last = turns.at(-1)
    // One turn each: some servers refuse two messages of one role in a row.
    if (last?.role === role) last.content.push(...content)
    else turns.push({ role, content })
  }
  for (const turn of turns) if (turn.role === "user") turn.content = resultsFirst(turn.content)
  trimPrefill(turns)
  if (turns.length === 0) throw new Unencodable("prompt", "it has no message with content but those of the system")
  return { system, messages: turns.map(({ content, role }) => ({ role, content })) }
}

const encodeContent = (
  message: Prompt.UserMessage | Prompt.AssistantMessage | Prompt.ToolMessage,
  at: string
): Array<Body> => {
  const blocks: Array<Body> = []
  for (const [index, part] of message.content.entries()) {
    const where = `${at}.content[${index}]`
    blocks.push(...markLast(encodePart(part, message.role, where), cacheControl(part.options, where)))
  }
  return blocks
}

/**
 * What another provider executed itself is left out together with its results, and so are requests for approval, which are
 * between the application and its user.
 */
const encodePart = (
  part: Prompt.UserMessagePart | Prompt.AssistantMessagePart | Prompt.ToolMessagePart,
  role: "user" | "assistant" | "tool",
  at: string
): Array<Body> => {
  switch (part.type) {
    case "text":
      return encodeText(part.text)
    case "file":
      if (role === "assistant") throw new Unencodable(at, "a file cannot stand in the answer of a model")
      return [encodeFile(part, at)]
    case "reasoning":
      return encodeReasoning(part)
    case "tool-call":
      return part.providerExecuted
        ? []
        : [{ type: "tool_use", id: callId(part.id), name: part.name, input: encodeParams(part.params, at) }]
    case "tool-result":
      return part.providerExecuted ? [] : [encodeResult(part, at)]
    default:
      return []
  }
}

const encodeText = (words: string): Array<Body> => words.trim() === "" ? [] : [{ type: "text", text: words }]

/** A thought goes back as it came, with its signature. One without is another provider's, and the API refuses it. */
const encodeReasoning = (part: Prompt.ReasoningPart): Array<Body> => {
  const own = fields(part.options["anthropic"])
  const redacted = text(own["redactedData"])
  if (redacted !== undefined) return [{ type: "redacted_thinking", data: redacted }]
  const signature = text(own["signature"])
  return signature === undefined ? [] : [{ type: "thinking", thinking: part.text, signature }]
}

// Other providers' ids hold characters that are refused here. A call and its result are changed alike.
const callId = (id: string): string => id.replaceAll(/[^\w-]/g, "_")

const encodeResult = (part: Prompt.ToolResultPart, at: string): Body => ({
  type: "tool_result",
  tool_use_id: callId(part.id),
  content: part.modelOutput === undefined
    ? resultText(part, at)
    : part.modelOutput.flatMap((output, index) =>
      output.type === "text" ? encodeText(output.text) : [encodeFile(output, `${at}.modelOutput[${index}]`)]
    ),
  ...(part.isFailure ? { is_error: true } : undefined)
})

const cacheControl = (options: Prompt.ProviderOptions, at: string): Fields | undefined => {
  const marker = fields(options["anthropic"])["cacheControl"]
  if (marker === undefined || marker === null) return undefined
  if (isFields(marker) && typeof marker["type"] === "string") return marker
  throw new Unencodable(at, "`options.anthropic.cacheControl` must be an object like { type: \"ephemeral\" }")
}

/** Marks what comes up to the end of the blocks as worth keeping. Thoughts cannot carry the mark. */
const markLast = (blocks: Array<Body>, marker: Fields | undefined): Array<Body> => {
  if (marker === undefined) return blocks
  const last = blocks.findLast(({ type }) => type !== "thinking" && type !== "redacted_thinking")
  if (last !== undefined) last["cache_control"] = marker
  return blocks
}

// Results have to follow the calls at once.
const resultsFirst = (content: Array<Body>): Array<Body> => {
  const isResult = ({ type }: Body) => type === "tool_result"
  return [...content.filter(isResult), ...content.filter((block) => !isResult(block))]
}

/** A text that the model is to go on from must not end with white space. */
const trimPrefill = (turns: ReadonlyArray<Turn>): void => {
  const last = turns.at(-1)
  const block = last?.content.at(-1)
  if (last?.role === "assistant" && block?.["type"] === "text") block["text"] = String(block["text"]).trimEnd()
}
