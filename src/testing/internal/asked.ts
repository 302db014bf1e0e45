/**
 * What a request asks for, whatever dialect it is written in: all that decides the answer.
 */
import * as Result from "effect/Result"
import type { Checked } from "./checked.ts"

export interface Asked {
  readonly model: string
  readonly messages: ReadonlyArray<Message>
  readonly stream: boolean
  readonly maxTokens: number
  readonly stop: ReadonlyArray<string>
  /** The tool that the answer must call, if any. */
  readonly tool: Tool | undefined
  /** The schema that the answer must satisfy, if any; `true` for any object. */
  readonly schema: unknown
}

export interface Tool {
  readonly name: string
  readonly parameters: unknown
}

export interface Message {
  /** `user`, `assistant`, `tool`, or what says how to answer (`system`, `developer`). */
  readonly role: string
  readonly text: string
  /** What the message costs: its text, and the calls it makes. */
  readonly counted: string
  readonly toolCallId: string | undefined
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: string }>
}

/** A message that is nothing but a text. */
export const textMessage = (role: string, text: string): Message => ({
  role,
  text,
  counted: text,
  toolCallId: undefined,
  calls: []
})

/** The result of a tool. */
export const toolResult = (toolCallId: string | undefined, text: string): Message => ({
  ...textMessage("tool", text),
  toolCallId
})

/** A message that may call tools. */
export const callingMessage = (
  role: string,
  text: string,
  calls: ReadonlyArray<{ readonly id: string; readonly name: string; readonly arguments: string }>
): Message => ({
  ...textMessage(role, text),
  counted: [text, ...calls.map((call) => call.name + call.arguments)].join(""),
  calls
})

/** How a request chooses among its tools. */
export interface Choice {
  readonly none: boolean
  readonly name: string | undefined
  /** What is said where there is no tool of that name. */
  readonly unknown: Checked<never>
}

/** The tool to call: the one that is named, or else the first; none where the last word is a tool's already. */
export const chosen = (
  tools: ReadonlyArray<Tool | undefined>,
  { name, none, unknown }: Choice,
  messages: ReadonlyArray<Message>
): Checked<Tool | undefined> => {
  const known = tools.filter((tool) => tool !== undefined)
  const found = name === undefined ? known[0] : known.find((tool) => tool.name === name)
  if (name !== undefined && found === undefined) return unknown
  return Result.succeed(none || messages.at(-1)?.role === "tool" ? undefined : found)
}

/** The texts of a list of parts, one a line. */
export const joined = (texts: ReadonlyArray<string>): string => texts.filter((text) => text !== "").join("\n")
