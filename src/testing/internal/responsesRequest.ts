/**
 * Reads a Responses request, checked as the real API checks it.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import {
  type Asked,
  callingMessage,
  chosen,
  joined,
  type Message,
  textMessage,
  type Tool,
  toolResult
} from "./asked.ts"
import {
  anArray,
  anObject,
  aString,
  type Checked,
  each,
  fieldsOf,
  invalid,
  isAbsent,
  optionalArray,
  optionalBoolean,
  optionalLimit,
  textOf,
  wrongKind
} from "./checked.ts"

const roles = ["user", "assistant", "system", "developer"]

export const parseResponsesRequest = (value: unknown): Checked<Asked> =>
  Result.gen(function*() {
    const body = yield* anObject(value, "body")
    const model = yield* aString(body.model, "model")
    if (model === "") return yield* invalid("model", "Invalid 'model': empty string.")
    // Nothing is kept from one request to the next
    if (Predicate.isString(body.previous_response_id)) {
      return yield* invalid(
        "previous_response_id",
        `Previous response with id '${body.previous_response_id}' not found.`,
        "previous_response_not_found"
      )
    }
    const input = yield* parseInput(body.input)
    const messages = isAbsent(body.instructions)
      ? input
      : [textMessage("developer", yield* aString(body.instructions, "instructions")), ...input]
    return {
      model,
      messages,
      stream: yield* optionalBoolean(body.stream, "stream"),
      maxTokens: yield* optionalLimit(body.max_output_tokens, "max_output_tokens", 16),
      stop: [],
      tool: yield* chosenTool(body.tools, body.tool_choice, messages),
      schema: yield* parseFormat(body.text)
    }
  })

const parseInput = (value: unknown): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    if (Predicate.isString(value)) return [textMessage("user", value)]
    const items = yield* anArray(value, "input")
    const messages = (yield* each(items, (index) => `input[${index}]`, parseItem))
      .filter((message) => message !== undefined)
    if (messages.length > 0) return messages
    return yield* invalid(
      "input",
      "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      "empty_array"
    )
  })

/** Nothing is read from items that only the real API understands: thoughts, references, calls of its own tools. */
const parseItem = (value: unknown, at: string): Checked<Message | undefined> =>
  Result.gen(function*() {
    const item = yield* anObject(value, at)
    switch (item.type ?? "message") {
      case "message":
        if (!Predicate.isString(item.role) || !roles.includes(item.role)) {
          return yield* invalid(
            `${at}.role`,
            `Invalid value: '${
              String(item.role)
            }'. Supported values are: 'assistant', 'system', 'developer', and 'user'.`
          )
        }
        return textMessage(item.role, yield* parseContent(item.content, `${at}.content`))
      case "function_call":
        return callingMessage("assistant", "", [{
          id: yield* aString(item.call_id, `${at}.call_id`),
          name: yield* aString(item.name, `${at}.name`),
          arguments: yield* aString(item.arguments, `${at}.arguments`)
        }])
      case "function_call_output":
        return toolResult(
          yield* aString(item.call_id, `${at}.call_id`),
          yield* parseContent(item.output, `${at}.output`)
        )
      default:
        return undefined
    }
  })

const parseContent = (value: unknown, at: string): Checked<string> =>
  Predicate.isString(value)
    ? Result.succeed(value)
    : Array.isArray(value)
    ? Result.succeed(joined(value.map(fieldsOf).map((part) => textOf(part.text ?? part.refusal))))
    : wrongKind(at, "string", value)

const parseTool = (value: unknown, at: string): Checked<Tool | undefined> =>
  Result.gen(function*() {
    const tool = yield* anObject(value, at)
    // Custom and hosted tools take no JSON arguments, so that there is nothing to write for them
    return tool.type !== "function" ? undefined : {
      name: yield* aString(tool.name, `${at}.name`),
      parameters: tool.parameters ?? { type: "object", properties: {} }
    }
  })

const chosenTool = (tools: unknown, choice: unknown, messages: ReadonlyArray<Message>): Checked<Tool | undefined> =>
  Result.gen(function*() {
    const known = yield* each(yield* optionalArray(tools, "tools"), (index) => `tools[${index}]`, parseTool)
    const unknown = invalid("tool_choice", "Tool choice 'function' not found in 'tools' parameter.")
    return yield* chosen(known, { none: choice === "none", name: namedBy(choice), unknown }, messages)
  })

const namedBy = (choice: unknown): string | undefined => {
  const chosen = fieldsOf(choice)
  const named = chosen.type === "allowed_tools" && Array.isArray(chosen.tools) ? fieldsOf(chosen.tools[0]) : chosen
  return named.type === "function" ? textOf(named.name) : undefined
}

const parseFormat = (text: unknown): Checked<unknown> =>
  Result.gen(function*() {
    if (isAbsent(text)) return undefined
    const { format } = yield* anObject(text, "text")
    if (isAbsent(format)) return undefined
    const described = yield* anObject(format, "text.format")
    if (described.type === "text") return undefined
    if (described.type === "json_object") return true
    if (described.type !== "json_schema") {
      return yield* invalid(
        "text.format.type",
        `Invalid value: '${String(described.type)}'. Supported values are: 'json_object', 'json_schema', and 'text'.`
      )
    }
    yield* aString(described.name, "text.format.name")
    return yield* anObject(described.schema, "text.format.schema")
  })
