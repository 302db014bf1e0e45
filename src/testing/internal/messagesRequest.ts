/**
 * Reads a Messages request, checked as the real API checks it.
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
  aLimit,
  anArray,
  anObject,
  aString,
  type Checked,
  each,
  type Fields,
  fieldsOf,
  invalid,
  isAbsent,
  missing,
  optionalArray,
  optionalBoolean,
  textOf
} from "./checked.ts"
import { headerOf, type Target } from "./dialect.ts"

export const parseMessagesRequest = (value: unknown, target: Target): Checked<Asked> =>
  Result.gen(function*() {
    if (headerOf(target, "anthropic-version") === undefined) {
      return yield* invalid("", "anthropic-version: header is required")
    }
    const body = yield* anObject(value, "body")
    const model = yield* aString(body.model, "model")
    if (model === "") return yield* invalid("model", "model: String should have at least 1 character")
    const maxTokens = yield* aLimit(body.max_tokens, "max_tokens")
    const messages = [...yield* parseSystem(body.system), ...yield* parseMessages(body.messages)]
    const stops = yield* optionalArray(body.stop_sequences, "stop_sequences")
    return {
      model,
      messages,
      stream: yield* optionalBoolean(body.stream, "stream"),
      maxTokens,
      stop: yield* each(stops, (index) => `stop_sequences.${index}`, aString),
      tool: yield* chosenTool(body.tools, body.tool_choice, messages),
      schema: yield* parseFormat(body)
    }
  })

const parseSystem = (value: unknown): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    if (isAbsent(value)) return []
    if (Predicate.isString(value)) return [textMessage("system", value)]
    const blocks = yield* each(yield* anArray(value, "system"), (index) => `system.${index}`, anObject)
    return [textMessage("system", joined(blocks.map((block) => textOf(block.text))))]
  })

const parseMessages = (value: unknown): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    const messages = yield* anArray(value, "messages")
    if (messages.length === 0) return yield* invalid("messages", "messages: at least one message is required")
    return (yield* each(messages, (index) => `messages.${index}`, parseMessage)).flat()
  })

/** The results of tools stand in messages of the user: each becomes one of its own. */
const parseMessage = (value: unknown, at: string): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    const { content, role } = yield* anObject(value, at)
    if (role === undefined) return yield* missing(`${at}.role`)
    if (role === "system") {
      return yield* invalid(
        `${at}.role`,
        "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, " +
          "not \"system\" as an input message role."
      )
    }
    if (role !== "user" && role !== "assistant") {
      return yield* invalid(`${at}.role`, `${at}.role: Input should be 'user' or 'assistant'`)
    }
    if (Predicate.isString(content)) return [textMessage(role, content)]
    const blocks = yield* each(
      yield* anArray(content, `${at}.content`),
      (index) => `${at}.content.${index}`,
      parseBlock
    )
    const ofType = (type: string) => blocks.filter((block) => block.type === type)
    const results = ofType("tool_result").map((block) =>
      toolResult(textOf(block.tool_use_id), contentOf(block.content))
    )
    const calls = ofType("tool_use").map((block) => ({
      id: textOf(block.id),
      name: textOf(block.name),
      arguments: JSON.stringify(block.input ?? {})
    }))
    const text = contentOf(blocks)
    return results.length > 0 && text === "" ? results : [...results, callingMessage(role, text, calls)]
  })

const parseBlock = (value: unknown, at: string): Checked<Fields> =>
  Result.gen(function*() {
    const block = yield* anObject(value, at)
    if ((yield* aString(block.type, `${at}.type`)) === "text") {
      if ((yield* aString(block.text, `${at}.text`)) === "") {
        return yield* invalid(at, "messages: text content blocks must be non-empty")
      }
    }
    return block
  })

const contentOf = (content: unknown): string =>
  Predicate.isString(content)
    ? content
    : Array.isArray(content)
    ? joined(content.map(fieldsOf).map((block) => textOf(block.text)))
    : ""

const parseTool = (value: unknown, at: string): Checked<Tool | undefined> =>
  Result.gen(function*() {
    const tool = yield* anObject(value, at)
    // The API's own tools take no parameters that the model has to write
    if (!isAbsent(tool.type) && tool.type !== "custom") return undefined
    return {
      name: yield* aString(tool.name, `${at}.name`),
      parameters: yield* anObject(tool.input_schema, `${at}.input_schema`)
    }
  })

const chosenTool = (tools: unknown, choice: unknown, messages: ReadonlyArray<Message>): Checked<Tool | undefined> =>
  Result.gen(function*() {
    const known = yield* each(yield* optionalArray(tools, "tools"), (index) => `tools.${index}`, parseTool)
    if (isAbsent(choice)) return yield* chosen(known, { none: false, name: undefined, unknown: missing("") }, messages)
    const { name, type } = yield* anObject(choice, "tool_choice")
    if (known.length === 0) {
      return yield* invalid("tool_choice", "tool_choice may only be specified while providing tools.")
    }
    const unknown = invalid("tool_choice", `Tool '${String(name)}' not found in provided tools`)
    return yield* chosen(
      known,
      { none: type === "none", name: type === "tool" ? String(name) : undefined, unknown },
      messages
    )
  })

const parseFormat = (body: Fields): Checked<unknown> =>
  Result.gen(function*() {
    // The second is what it was called while it was a beta
    const format = fieldsOf(body.output_config).format ?? body.output_format
    if (isAbsent(format)) return undefined
    const described = yield* anObject(format, "output_config.format")
    if (described.type !== "json_schema") {
      return yield* invalid("output_config.format.type", "output_config.format.type: Input should be 'json_schema'")
    }
    return yield* anObject(described.schema, "output_config.format.schema")
  })
