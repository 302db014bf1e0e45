/**
 * The answer to a request: always the same for the same request, and made of its own words.
 */
import type { Asked, Message, Tool } from "./asked.ts"
import { instance } from "./instance.ts"
import { clip, keywords, summarize } from "./summary.ts"
import { countTokens, tokenize } from "./tokens.ts"

export interface Answer {
  /** The tool that is called; the tokens are then its arguments, otherwise the text. */
  readonly tool: string | undefined
  readonly tokens: ReadonlyArray<string>
  readonly finish: "stop" | "length" | "tool_calls"
  /** The text that the answer would have had next, where it stops before one. */
  readonly stopSequence: string | undefined
  /** Whether a policy has refused the prompt: then there is no answer, where a dialect says so in its place. */
  readonly blocked: boolean
  readonly promptTokens: number
}

/** What is set for a model, whatever it is asked. */
export interface Given {
  /** The text to answer with. */
  readonly text?: string | undefined
  /** Whether the answer goes on where the assistant's last message ends. */
  readonly continues?: boolean | undefined
}

/**
 * Answers with a tool call, an instance of the schema, the text that is given, the tool results quoted, or a summary: the first
 * that applies.
 */
export const answer = (request: Asked, given: Given = {}): Answer => {
  const { tool } = request
  const { stopSequence, text } = tool === undefined ? textOf(request, given) : whole(argumentsOf(tool, request))
  const tokens = tokenize(text)
  const tooLong = tokens.length > request.maxTokens
  return {
    tool: tool?.name,
    tokens: tooLong ? tokens.slice(0, request.maxTokens) : tokens,
    finish: tooLong ? "length" : tool === undefined ? "stop" : "tool_calls",
    stopSequence: tooLong ? undefined : stopSequence,
    blocked: false,
    promptTokens: promptTokens(request)
  }
}

/** The answer to a prompt that a policy has refused. */
export const blocked = (request: Asked): Answer => ({
  tool: undefined,
  tokens: [],
  finish: "stop",
  stopSequence: undefined,
  blocked: true,
  promptTokens: promptTokens(request)
})

const promptTokens = ({ messages }: Asked): number =>
  messages.reduce((total, message) => total + countTokens(message.counted), 0)

interface Text {
  readonly text: string
  readonly stopSequence: string | undefined
}

const whole = (text: string): Text => ({ text, stopSequence: undefined })

const textOf = (request: Asked, given: Given): Text => {
  const text = request.schema === undefined && given.text !== undefined ? given.text : contentOf(request)
  const begun = given.continues === true ? prefillOf(request) : undefined
  return stopped(begun !== undefined && text.startsWith(begun) ? text.slice(begun.length) : text, request.stop)
}

/** The words of the assistant that a request ends with, if it does. */
export const prefillOf = ({ messages }: Asked): string | undefined => {
  const last = messages.at(-1)
  return last?.role === "assistant" ? last.text : undefined
}

const inputOf = (messages: ReadonlyArray<Message>): string =>
  (messages.findLast((message) => message.role === "user") ?? messages.at(-1))?.text ?? ""

const argumentsOf = (tool: Tool, request: Asked): string =>
  JSON.stringify(instance(tool.parameters, inputOf(request.messages)))

const contentOf = (request: Asked): string => {
  const results = toolResults(request.messages)
  const input = results.length > 0 ? results.map((result) => result.text).join("\n") : inputOf(request.messages)
  if (request.schema === true) {
    return JSON.stringify({ answer: summarize(input), keywords: keywords(input).slice(0, 5) })
  }
  if (request.schema !== undefined) return JSON.stringify(instance(request.schema, input))
  return results.length > 0 ? results.map(quoted).join(" ") : summarize(input)
}

const toolResults = (messages: ReadonlyArray<Message>) => {
  const last = messages.findLastIndex((message) => message.role !== "tool")
  const calls = messages.flatMap((message) => message.calls)
  return messages.slice(last + 1).map((message) => ({
    text: message.text,
    name: calls.findLast((call) => call.id === message.toolCallId)?.name ?? "the tool"
  }))
}

const quoted = (result: { readonly name: string; readonly text: string }): string =>
  `According to ${result.name}: "${clip(result.text, 2000)}".`

const stopped = (text: string, stops: ReadonlyArray<string>): Text => {
  const [first] = stops
    .map((stop) => ({ stop, at: text.indexOf(stop) }))
    .filter(({ at }) => at >= 0)
    .toSorted((a, b) => a.at - b.at)
  return first === undefined ? whole(text) : { text: text.slice(0, first.at), stopSequence: first.stop }
}
