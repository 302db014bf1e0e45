/**
 * The answer to a request: always the same for the same request, and made of its own words.
 */
import { instance } from "./instance.ts"
import type { ChatRequest, Message, Tool } from "./request.ts"
import { clip, keywords, summarize } from "./summary.ts"
import { countTokens, tokenize } from "./tokens.ts"

export interface Answer {
  /** The tool that is called; the tokens are then its arguments, otherwise the text. */
  readonly tool: string | undefined
  readonly tokens: ReadonlyArray<string>
  readonly finish: "stop" | "length" | "tool_calls"
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
export const answer = (request: ChatRequest, given: Given = {}): Answer => {
  const promptTokens = request.messages.reduce((total, message) => total + countTokens(message.counted), 0)
  const { tool } = request
  const whole = tool === undefined ? textOf(request, given) : argumentsOf(tool, request)
  const tokens = tokenize(whole)
  const tooLong = tokens.length > request.maxTokens
  return {
    tool: tool?.name,
    tokens: tooLong ? tokens.slice(0, request.maxTokens) : tokens,
    finish: tooLong ? "length" : tool === undefined ? "stop" : "tool_calls",
    promptTokens
  }
}

const textOf = (request: ChatRequest, given: Given): string => {
  const text = request.schema === undefined && given.text !== undefined ? given.text : contentOf(request)
  const begun = given.continues === true ? prefillOf(request) : undefined
  return stopped(begun !== undefined && text.startsWith(begun) ? text.slice(begun.length) : text, request.stop)
}

/** The words of the assistant that a request ends with, if it does. */
export const prefillOf = ({ messages }: ChatRequest): string | undefined => {
  const last = messages.at(-1)
  return last?.role === "assistant" ? last.text : undefined
}

const inputOf = (messages: ReadonlyArray<Message>): string =>
  (messages.findLast((message) => message.role === "user") ?? messages.at(-1))?.text ?? ""

const argumentsOf = (tool: Tool, request: ChatRequest): string =>
  JSON.stringify(instance(tool.parameters, inputOf(request.messages)))

const contentOf = (request: ChatRequest): string => {
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

const stopped = (text: string, stops: ReadonlyArray<string>): string => {
  const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0)
  return found.length === 0 ? text : text.slice(0, Math.min(...found))
}
