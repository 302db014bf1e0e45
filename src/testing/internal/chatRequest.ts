/**
 * Reads a Chat Completions request, checked as the real API checks it.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { type Asked, callingMessage, chosen, joined, type Message, type Tool } from "./asked.ts"
import {
  anArray,
  anObject,
  aString,
  type Checked,
  each,
  fieldsOf,
  invalid,
  isAbsent,
  missing,
  optionalBoolean,
  optionalLimit,
  textOf,
  wrongKind
} from "./checked.ts"

const roles = ["developer", "system", "user", "assistant", "tool", "function"]

/**
 * Reads a request body, or says what is wrong with it.
 */
export const parseRequest = (value: unknown): Checked<Asked> =>
  Result.gen(function*() {
    const body = yield* anObject(value, "body")
    const model = yield* aString(body.model, "model")
    if (model === "") return yield* invalid("model", "Invalid 'model': empty string.")
    const messages = yield* parseMessages(body.messages)
    const stream = yield* optionalBoolean(body.stream, "stream")
    if (body.n !== undefined && body.n !== null && body.n !== 1) {
      return yield* invalid("n", "Invalid value for 'n': only 1 is supported.", "unsupported_value")
    }
    if (Predicate.isObject(body.stream_options) && !stream) {
      return yield* invalid(
        "stream_options",
        "The 'stream_options' parameter is only allowed when 'stream' is enabled."
      )
    }
    return {
      model,
      messages,
      stream,
      maxTokens: Math.min(
        yield* optionalLimit(body.max_completion_tokens, "max_completion_tokens"),
        yield* optionalLimit(body.max_tokens, "max_tokens")
      ),
      stop: yield* parseStop(body.stop),
      tool: yield* chosenTool(body.tools, body.tool_choice, messages),
      schema: yield* parseFormat(body.response_format)
    }
  })

const parseMessages = (value: unknown): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    const messages = yield* anArray(value, "messages")
    if (messages.length === 0) {
      return yield* invalid(
        "messages",
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "empty_array"
      )
    }
    return yield* each(messages, (index) => `messages[${index}]`, parseMessage)
  })

const parseMessage = (value: unknown, at: string): Checked<Message> =>
  Result.gen(function*() {
    const message = yield* anObject(value, at)
    if (message.role === undefined) return yield* missing(`${at}.role`)
    if (!Predicate.isString(message.role) || !roles.includes(message.role)) {
      return yield* invalid(
        `${at}.role`,
        `Invalid value: '${String(message.role)}'. Supported values are: ${
          roles.map((role) => `'${role}'`).join(", ")
        }.`
      )
    }
    const text = yield* parseContent(message.content, `${at}.content`)
    const calls = Array.isArray(message.tool_calls) ? message.tool_calls.filter(Predicate.isObject) : []
    return {
      ...callingMessage(message.role, text, calls.map((call) => functionOf(call, String(call.id)))),
      toolCallId: Predicate.isString(message.tool_call_id) ? message.tool_call_id : undefined
    }
  })

const functionOf = (call: unknown, id = "") => {
  const called = fieldsOf(fieldsOf(call).function)
  return { id, name: textOf(called.name), arguments: textOf(called.arguments) }
}

const parseContent = (value: unknown, at: string): Checked<string> => {
  if (isAbsent(value)) return Result.succeed("")
  if (Predicate.isString(value)) return Result.succeed(value)
  if (!Array.isArray(value)) return wrongKind(at, "string", value)
  return Result.succeed(joined(value.map(fieldsOf).map((part) => textOf(part.text ?? part.refusal))))
}

const parseStop = (value: unknown): Checked<ReadonlyArray<string>> => {
  if (isAbsent(value)) return Result.succeed([])
  const list: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
  if (!list.every(Predicate.isString)) return wrongKind("stop", "string", list.find((one) => !Predicate.isString(one)))
  if (list.length > 4) {
    return invalid(
      "stop",
      `Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length ${list.length} instead.`,
      "array_above_max_length"
    )
  }
  return Result.succeed(list.filter((one) => one !== ""))
}

const parseTool = (value: unknown, at: string): Checked<Tool | undefined> =>
  Result.gen(function*() {
    const tool = yield* anObject(value, at)
    // Custom and hosted tools take no JSON arguments, so that there is nothing to write for them
    if (tool.type !== "function") return undefined
    const described = yield* anObject(tool.function, `${at}.function`)
    return {
      name: yield* aString(described.name, `${at}.function.name`),
      parameters: described.parameters ?? { type: "object", properties: {} }
    }
  })

const chosenTool = (tools: unknown, choice: unknown, messages: ReadonlyArray<Message>): Checked<Tool | undefined> =>
  Result.gen(function*() {
    if (isAbsent(tools)) {
      return isAbsent(choice) || choice === "none" ? undefined : yield* invalid(
        "tool_choice",
        "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
      )
    }
    const known = yield* each(yield* anArray(tools, "tools"), (index) => `tools[${index}]`, parseTool)
    const name = namedBy(choice)
    const unknown = invalid(
      "tool_choice",
      `Invalid value for 'tool_choice': function '${name}' not found in 'tools' parameter.`
    )
    return yield* chosen(known, { none: choice === "none", name, unknown }, messages)
  })

const namedBy = (choice: unknown): string | undefined => {
  if (!Predicate.isObject(choice)) return undefined
  if (choice.type === "function") return functionOf(choice).name
  const allowed = fieldsOf(choice.allowed_tools).tools
  const first: unknown = Array.isArray(allowed) ? allowed[0] : undefined
  return Predicate.isObject(first) ? functionOf(first).name : undefined
}

const parseFormat = (value: unknown): Checked<unknown> =>
  Result.gen(function*() {
    if (isAbsent(value)) return undefined
    const format = yield* anObject(value, "response_format")
    if (format.type === "text") return undefined
    if (format.type === "json_object") return true
    if (format.type !== "json_schema") {
      return yield* invalid(
        "response_format.type",
        `Invalid value: '${String(format.type)}'. Supported values are: 'json_object', 'json_schema', and 'text'.`
      )
    }
    const described = yield* anObject(format.json_schema, "response_format.json_schema")
    yield* aString(described.name, "response_format.json_schema.name")
    return described.schema ?? true
  })
