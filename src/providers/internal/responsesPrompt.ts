/**
 * A prompt as the Responses API takes it: a list of items, which are messages of all roles, thoughts, calls and their outputs.
 *
 * System messages stay where they stand, as items of their own: beside the items, as `instructions`, there is room for one only, and
 * the API forgets it from one answer to the next. Their role is `system` and not `developer`: OpenAI's models take both alike, and
 * other servers know the older.
 */
import type * as Prompt from "effect/ai/Prompt"
import { resultText, stringify } from "./encode.ts"
import { count, type Fields, fields, items, text } from "./read.ts"
import { encodeFile } from "./responsesFile.ts"
import { type Body, Unencodable } from "./unencodable.ts"

export interface EncodedPrompt {
  readonly input: ReadonlyArray<Body>
  /** The id of the answer that the input goes on from. */
  readonly previous: string | undefined
}

/** `chained` is whether only what came after the last answer that the API remembers is sent. */
export const encodePrompt = (prompt: Prompt.Prompt, chained: boolean): EncodedPrompt => {
  const previous = chained ? lastAnswer(prompt.content) : undefined
  // Also of what is not sent: the output of such a call differs.
  const custom = customCalls(prompt.content)
  const input = prompt.content.flatMap((message, index): Array<Body> => {
    if (previous !== undefined && index <= previous.index) return []
    const at = `messages[${index}]`
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }]
      case "user":
        return [{ role: "user", content: encodeUser(message, at) }]
      case "assistant":
        return encodeAssistant(message, at)
      case "tool":
        return encodeTool(message, custom, at)
    }
  })
  return { input, previous: previous?.id }
}

const own = (part: { readonly options: Prompt.ProviderOptions }): Fields => fields(part.options["openai"])

/** The last answer that has an id and is followed by anything. */
const lastAnswer = (messages: ReadonlyArray<Prompt.Message>) => {
  for (let index = messages.length - 2; index >= 0; index--) {
    const message = messages[index]
    if (message?.role !== "assistant") continue
    const id = message.content.map((part) => text(own(part)["responseId"])).findLast((id) => id !== undefined)
    if (id !== undefined) return { id, index }
  }
  return undefined
}

const isCustom = (part: Prompt.ToolCallPart): part is Prompt.ToolCallPart & { readonly params: string } =>
  own(part)["custom"] === true && typeof part.params === "string"

const customCalls = (messages: ReadonlyArray<Prompt.Message>): ReadonlySet<string> =>
  new Set(
    messages.flatMap((message) =>
      message.role === "assistant"
        ? message.content.flatMap((part) => part.type === "tool-call" && isCustom(part) ? [part.id] : [])
        : []
    )
  )

const encodeUser = (message: Prompt.UserMessage, at: string): string | Array<Body> => {
  const [first, ...more] = message.content
  if (first === undefined) return ""
  // A plain text is what every server understands.
  if (first.type === "text" && more.length === 0) return first.text
  return message.content.map((part, index) => encodeInput(part, `${at}.content[${index}]`))
}

const encodeInput = (part: Prompt.TextPart | Prompt.FilePart, at: string): Body =>
  part.type === "text" ? { type: "input_text", text: part.text } : encodeFile(part, at)

/** An item of an answer that goes back, with the id under which the API knows it. */
interface Item {
  readonly type: "message" | "reasoning" | "call"
  readonly id: string | undefined
  readonly body: Body
}

/**
 * What a model has said before. What another provider executed itself is left out together with its results, and so are requests for
 * approval, which are between the application and its user, and the thoughts of other models.
 *
 * The API wants a thought together with what was written after it, and what it knows by its id together with the thought before it.
 * So a thought after which nothing comes is left out, and ids go back only where there is a thought.
 */
const encodeAssistant = (message: Prompt.AssistantMessage, at: string): Array<Body> => {
  const answer: Array<Item> = []
  for (const { part, position } of inOrder(message.content)) {
    const last = answer.at(-1)
    const id = text(own(part)["itemId"])
    switch (part.type) {
      case "text":
        if (part.text === "") break
        if (last?.type === "message" && last.id === id) addText(last.body, part)
        else answer.push({ type: "message", id, body: addText(messageOf(part), part) })
        break
      case "reasoning":
        if (id === undefined) break
        if (last?.type === "reasoning" && last.id === id) addThought(last.body, part)
        else {
          const body = { type: "reasoning", id, summary: [] }
          answer.push({ type: "reasoning", id, body: addThought(body, part) })
        }
        break
      case "tool-call":
        if (!part.providerExecuted) {
          answer.push({ type: "call", id, body: encodeCall(part, `${at}.content[${position}]`) })
        }
        break
      case "file":
        throw new Unencodable(`${at}.content[${position}]`, "a file cannot stand in the answer of a model")
    }
  }
  const end = answer.findLastIndex(({ type }) => type !== "reasoning")
  const reasoned = answer.findIndex(({ type }) => type === "reasoning")
  return answer.slice(0, end + 1).map((item, index) =>
    item.type === "reasoning" ? item.body : encodeKnown(item, reasoned !== -1 && reasoned < index)
  )
}

/**
 * The parts in the order in which they were written: calls are handed on when the answer has ended, after everything else. Parts of
 * more than one answer stay as they are.
 */
const inOrder = (content: Prompt.AssistantMessage["content"]) => {
  const parts = content.map((part, position) => ({ part, position, index: count(own(part)["outputIndex"]) }))
  const answers = new Map<number, unknown>()
  for (const { index, part } of parts) {
    const id = own(part)["itemId"]
    if (index === undefined || answers.has(index) && answers.get(index) !== id) return parts
    answers.set(index, id)
  }
  return parts.toSorted((one, other) => (one.index ?? 0) - (other.index ?? 0))
}

const messageOf = (part: Prompt.TextPart): Body => {
  const phase = text(own(part)["phase"])
  return { role: "assistant", content: [], ...(phase === undefined ? undefined : { phase }) }
}

const addText = (body: Body, part: Prompt.TextPart): Body => {
  const output = { type: "output_text", text: part.text, annotations: items(own(part)["annotations"]) }
  body["content"] = [...items(body["content"]), output]
  return body
}

const addThought = (body: Body, part: Prompt.ReasoningPart): Body => {
  const { encryptedContent, kind } = own(part)
  if (part.text !== "") {
    const [field, type] = kind === "text" ? ["content", "reasoning_text"] : ["summary", "summary_text"]
    body[field] = [...items(body[field]), { type, text: part.text }]
  }
  const encrypted = text(encryptedContent)
  if (encrypted !== undefined) body["encrypted_content"] = encrypted
  return body
}

const encodeCall = (part: Prompt.ToolCallPart, at: string): Body =>
  isCustom(part)
    ? { type: "custom_tool_call", call_id: part.id, name: part.name, input: part.params }
    : {
      type: "function_call",
      call_id: part.id,
      name: part.name,
      arguments: typeof part.params === "string" ? part.params : stringify(part.params, at)
    }

const encodeKnown = ({ body, id, type }: Item, byId: boolean): Body => {
  if (byId && id !== undefined) return type === "call" ? { ...body, id } : { type, id, status: "completed", ...body }
  if (type === "call") return body
  // Without an id it is a message like those of the other roles.
  return { ...body, content: items(body["content"]).map((output) => text(fields(output)["text"]) ?? "").join("") }
}

const encodeTool = (message: Prompt.ToolMessage, custom: ReadonlySet<string>, at: string): Array<Body> =>
  message.content.flatMap((part, index): Array<Body> =>
    part.type === "tool-result" && !part.providerExecuted
      ? [{
        type: custom.has(part.id) ? "custom_tool_call_output" : "function_call_output",
        call_id: part.id,
        output: encodeOutput(part, `${at}.content[${index}]`)
      }]
      : []
  )

const encodeOutput = (part: Prompt.ToolResultPart, at: string): string | Array<Body> =>
  part.modelOutput?.some(({ type }) => type === "file")
    ? part.modelOutput.map((output, index) => encodeInput(output, `${at}.modelOutput[${index}]`))
    : resultText(part, at)
