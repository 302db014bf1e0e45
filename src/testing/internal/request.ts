/**
 * The part of a Chat Completions request that decides the answer, checked as the real API checks it.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

export interface Tool {
  readonly name: string
  readonly parameters: unknown
}

export interface Message {
  readonly role: string
  readonly text: string
  /** What the message costs: its text, and the calls it makes. */
  readonly counted: string
  readonly toolCallId: string | undefined
  readonly calls: ReadonlyArray<{ readonly id: string; readonly name: string }>
}

export interface ChatRequest {
  readonly model: string
  readonly messages: ReadonlyArray<Message>
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly maxTokens: number
  readonly stop: ReadonlyArray<string>
  /** The tool that the answer must call, if any. */
  readonly tool: Tool | undefined
  /** The schema that the answer must satisfy, if any; `true` for any object. */
  readonly schema: unknown
}

/** What is wrong with a request, as the official API says it. */
export interface ErrorBody {
  readonly message: string
  readonly type: string
  readonly param: string | null
  readonly code: string | null
}

type Checked<A> = Result.Result<A, ErrorBody>

const invalid = (message: string, param: string, code: string): Result.Result<never, ErrorBody> =>
  Result.fail({ message, type: "invalid_request_error", param, code })

const missing = (param: string) =>
  invalid(`Missing required parameter: '${param}'.`, param, "missing_required_parameter")

const article = (kind: string) => `${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`

const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value

const wrongType = (param: string, expected: string, value: unknown) =>
  invalid(
    `Invalid type for '${param}': expected ${article(expected)}, but got ${article(kindOf(value))} instead.`,
    param,
    "invalid_type"
  )

const roles = ["developer", "system", "user", "assistant", "tool", "function"]

/**
 * Reads a request body, or says what is wrong with it in the words of the real API.
 */
export const parseRequest = (body: unknown): Checked<ChatRequest> =>
  Result.gen(function*() {
    if (!Predicate.isObject(body)) return yield* wrongType("body", "object", body)
    if (body.model === undefined) return yield* missing("model")
    if (!Predicate.isString(body.model)) return yield* wrongType("model", "string", body.model)
    if (body.model === "") return yield* invalid("Invalid 'model': empty string.", "model", "invalid_value")
    const messages = yield* parseMessages(body.messages)
    const stream = yield* optionalBoolean(body, "stream")
    if (body.n !== undefined && body.n !== null && body.n !== 1) {
      return yield* invalid("Invalid value for 'n': only 1 is supported.", "n", "unsupported_value")
    }
    if (Predicate.isObject(body.stream_options) && !stream) {
      return yield* invalid(
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "stream_options",
        "invalid_value"
      )
    }
    return {
      model: body.model,
      messages,
      stream,
      includeUsage: Predicate.isObject(body.stream_options) && body.stream_options.include_usage === true,
      maxTokens: Math.min(yield* maxTokens(body, "max_completion_tokens"), yield* maxTokens(body, "max_tokens")),
      stop: yield* parseStop(body.stop),
      tool: yield* chosenTool(body.tools, body.tool_choice, messages.at(-1)?.role === "tool"),
      schema: yield* parseFormat(body.response_format)
    }
  })

const parseMessages = (value: unknown): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    if (value === undefined) return yield* missing("messages")
    if (!Array.isArray(value)) return yield* wrongType("messages", "array", value)
    if (value.length === 0) {
      return yield* invalid(
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "messages",
        "empty_array"
      )
    }
    const messages: Array<Message> = []
    for (const [index, message] of (value as ReadonlyArray<unknown>).entries()) {
      messages.push(yield* parseMessage(message, `messages[${index}]`))
    }
    return messages
  })

const parseMessage = (value: unknown, param: string): Checked<Message> =>
  Result.gen(function*() {
    if (!Predicate.isObject(value)) return yield* wrongType(param, "object", value)
    if (value.role === undefined) return yield* missing(`${param}.role`)
    if (!Predicate.isString(value.role) || !roles.includes(value.role)) {
      return yield* invalid(
        `Invalid value: '${String(value.role)}'. Supported values are: ${roles.map((role) => `'${role}'`).join(", ")}.`,
        `${param}.role`,
        "invalid_value"
      )
    }
    const text = yield* parseContent(value.content, `${param}.content`)
    const calls = Array.isArray(value.tool_calls) ? value.tool_calls.filter(Predicate.isObject) : []
    const functions = calls.map((call) => Object.assign(functionOf(call), { id: String(call.id) }))
    return {
      role: value.role,
      text,
      counted: [text, ...functions.map((call) => call.name + call.arguments)].join(""),
      toolCallId: Predicate.isString(value.tool_call_id) ? value.tool_call_id : undefined,
      calls: functions
    }
  })

const functionOf = (call: Record<PropertyKey, unknown>) => {
  const called = Predicate.isObject(call.function) ? call.function : {}
  return {
    name: Predicate.isString(called.name) ? called.name : "",
    arguments: Predicate.isString(called.arguments) ? called.arguments : ""
  }
}

const parseContent = (value: unknown, param: string): Checked<string> => {
  if (value === undefined || value === null) return Result.succeed("")
  if (Predicate.isString(value)) return Result.succeed(value)
  if (!Array.isArray(value)) return wrongType(param, "string", value)
  const texts = value.map((part: unknown) =>
    Predicate.isObject(part) && Predicate.isString(part.text)
      ? part.text
      : Predicate.isObject(part) && Predicate.isString(part.refusal)
      ? part.refusal
      : ""
  )
  return Result.succeed(texts.filter((text) => text !== "").join("\n"))
}

const optionalBoolean = (body: Record<PropertyKey, unknown>, param: string): Checked<boolean> => {
  const value = body[param]
  if (value === undefined || value === null) return Result.succeed(false)
  return Predicate.isBoolean(value) ? Result.succeed(value) : wrongType(param, "boolean", value)
}

const maxTokens = (body: Record<PropertyKey, unknown>, param: string): Checked<number> => {
  const value = body[param]
  if (value === undefined || value === null) return Result.succeed(Number.POSITIVE_INFINITY)
  if (!Predicate.isNumber(value) || !Number.isInteger(value)) return wrongType(param, "integer", value)
  if (value >= 1) return Result.succeed(value)
  return invalid(
    `Invalid '${param}': integer below minimum value. Expected a value >= 1, but got ${value} instead.`,
    param,
    "integer_below_min_value"
  )
}

const parseStop = (value: unknown): Checked<ReadonlyArray<string>> => {
  if (value === undefined || value === null) return Result.succeed([])
  const list: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
  if (!list.every(Predicate.isString)) return wrongType("stop", "string", list.find((one) => !Predicate.isString(one)))
  if (list.length > 4) {
    return invalid(
      `Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length ${list.length} instead.`,
      "stop",
      "array_above_max_length"
    )
  }
  return Result.succeed(list.filter((one) => one !== ""))
}

const parseTool = (value: unknown, param: string): Checked<Tool | undefined> => {
  if (!Predicate.isObject(value)) return wrongType(param, "object", value)
  // Custom and hosted tools take no JSON arguments, so that there is nothing to write for them
  if (value.type !== "function") return Result.succeed(undefined)
  if (!Predicate.isObject(value.function)) return missing(`${param}.function`)
  const { name, parameters } = value.function
  if (!Predicate.isString(name)) return missing(`${param}.function.name`)
  return Result.succeed({ name, parameters: parameters ?? { type: "object", properties: {} } })
}

const chosenTool = (tools: unknown, choice: unknown, answered: boolean): Checked<Tool | undefined> =>
  Result.gen(function*() {
    if (tools === undefined || tools === null) {
      return choice === undefined || choice === null || choice === "none"
        ? undefined
        : yield* invalid(
          "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
          "tool_choice",
          "invalid_value"
        )
    }
    if (!Array.isArray(tools)) return yield* wrongType("tools", "array", tools)
    const known: Array<Tool> = []
    for (const [index, tool] of (tools as ReadonlyArray<unknown>).entries()) {
      const parsed = yield* parseTool(tool, `tools[${index}]`)
      if (parsed !== undefined) known.push(parsed)
    }
    const name = namedBy(choice)
    const found = name === undefined ? known[0] : known.find((tool) => tool.name === name)
    if (name !== undefined && found === undefined) {
      return yield* invalid(
        `Invalid value for 'tool_choice': function '${name}' not found in 'tools' parameter.`,
        "tool_choice",
        "invalid_value"
      )
    }
    return choice === "none" || answered ? undefined : found
  })

const namedBy = (choice: unknown): string | undefined => {
  if (!Predicate.isObject(choice)) return undefined
  if (choice.type === "function") return functionOf(choice).name
  const allowed = Predicate.isObject(choice.allowed_tools) ? choice.allowed_tools.tools : undefined
  const first: unknown = Array.isArray(allowed) ? allowed[0] : undefined
  return Predicate.isObject(first) ? functionOf(first).name : undefined
}

const parseFormat = (format: unknown): Checked<unknown> => {
  if (format === undefined || format === null) return Result.succeed(undefined)
  if (!Predicate.isObject(format)) return wrongType("response_format", "object", format)
  if (format.type === "text") return Result.succeed(undefined)
  if (format.type === "json_object") return Result.succeed(true)
  if (format.type !== "json_schema") {
    return invalid(
      `Invalid value: '${String(format.type)}'. Supported values are: 'json_object', 'json_schema', and 'text'.`,
      "response_format.type",
      "invalid_value"
    )
  }
  const described = format.json_schema
  if (!Predicate.isObject(described)) return missing("response_format.json_schema")
  if (!Predicate.isString(described.name)) return missing("response_format.json_schema.name")
  return Result.succeed(described.schema ?? true)
}
