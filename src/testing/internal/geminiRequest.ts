/**
 * Reads a request of the Gemini API, checked as the real API checks it: fields may be written in either case.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
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
  type Fields,
  fieldsOf,
  invalid,
  isAbsent,
  optionalArray,
  optionalLimit,
  textOf,
  wrongKind
} from "./checked.ts"
import type { Target } from "./dialect.ts"

const decodeUri = Schema.decodeUnknownOption(Schema.StringFromUriComponent)

/** What the path asks of which model. */
export const methodOf = (path: string): { readonly model: string; readonly stream: boolean } | undefined => {
  const match = /\/(?:models|tunedModels)\/([^/]+):(generateContent|streamGenerateContent)$/.exec(path)
  if (match === null) return undefined
  const [, name = "", method] = match
  return { model: Option.getOrElse(decodeUri(name), () => name), stream: method === "streamGenerateContent" }
}

const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const get = (fields: Fields, name: string): unknown => fields[name] ?? fields[snake(name)]

export const parseGeminiRequest = (value: unknown, { path }: Target): Checked<Asked> =>
  Result.gen(function*() {
    const body = yield* anObject(value, "body")
    const { model = "", stream = false } = methodOf(path) ?? {}
    const messages = [
      ...yield* parseSystem(get(body, "systemInstruction")),
      ...yield* parseContents(body.contents)
    ]
    const generation = yield* optionalObject(get(body, "generationConfig"), "generation_config")
    const stops = yield* optionalArray(get(generation, "stopSequences"), "generation_config.stop_sequences")
    return {
      model,
      messages,
      stream,
      maxTokens: yield* optionalLimit(get(generation, "maxOutputTokens"), "generation_config.max_output_tokens"),
      stop: yield* each(stops, (index) => `generation_config.stop_sequences[${index}]`, aString),
      tool: yield* chosenTool(body, messages),
      schema: get(generation, "responseMimeType") === "application/json" ? schemaOf(generation) : undefined
    }
  })

const optionalObject = (value: unknown, at: string): Checked<Fields> =>
  isAbsent(value) ? Result.succeed({}) : anObject(value, at)

const parseSystem = (value: unknown): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    if (isAbsent(value)) return []
    const { parts } = yield* anObject(value, "system_instruction")
    const list = Array.isArray(parts) ? parts : [parts]
    return [textMessage("system", joined(list.map(fieldsOf).map((part) => textOf(part.text))))]
  })

const parseContents = (value: unknown): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    const contents = yield* anArray(value, "contents")
    if (contents.length === 0) {
      return yield* invalid("contents", "* GenerateContentRequest.contents: contents is not specified\n")
    }
    return (yield* each(contents, (index) => `contents[${index}]`, parseContent)).flat()
  })

/** The results of tools stand among the parts of the user: each becomes a message of its own. */
const parseContent = (value: unknown, at: string): Checked<ReadonlyArray<Message>> =>
  Result.gen(function*() {
    const { parts, role = "user" } = yield* anObject(value, at)
    if (role !== "user" && role !== "model" && role !== "function") {
      return yield* invalid(at, "Please use a valid role: user, model.")
    }
    const list = yield* each(
      yield* anArray(parts, `${at}.parts`),
      (index) => `${at}.parts[${index}]`,
      anObject
    )
    if (list.length === 0) {
      return yield* invalid(at, `* GenerateContentRequest.${at}.parts: contents.parts must not be empty.\n`)
    }
    const results = found(list, "functionResponse").map((result) =>
      toolResult(textOf(result.name), resultText(result.response))
    )
    // Results say whose they are, and need no id for it
    const calls = found(list, "functionCall").map((call) => ({
      id: textOf(call.name),
      name: textOf(call.name),
      arguments: JSON.stringify(call.args ?? {})
    }))
    const text = joined(list.filter((part) => part.thought !== true).map((part) => textOf(part.text)))
    const message = callingMessage(role === "model" ? "assistant" : "user", text, calls)
    return results.length > 0 && text === "" ? results : [...results, message]
  })

const found = (parts: ReadonlyArray<Fields>, name: string): ReadonlyArray<Fields> =>
  parts.map((part) => get(part, name)).filter(Predicate.isObject)

/** The API recommends these names for what a function gives. */
const resultText = (response: unknown): string => {
  const { error, output, result } = fieldsOf(response)
  const said = output ?? result ?? error ?? response ?? ""
  return Predicate.isString(said) ? said : JSON.stringify(said)
}

const parseTool = (value: unknown, at: string): Checked<Tool> =>
  Result.gen(function*() {
    const tool = yield* anObject(value, at)
    const parameters = get(tool, "parametersJsonSchema") ?? jsonSchema(tool.parameters)
    return {
      name: yield* aString(tool.name, `${at}.name`),
      parameters: parameters ?? { type: "object", properties: {} }
    }
  })

const chosenTool = (body: Fields, messages: ReadonlyArray<Message>): Checked<Tool | undefined> =>
  Result.gen(function*() {
    const tools = yield* optionalArray(body.tools, "tools")
    const known: Array<Tool> = []
    for (const [index, tool] of tools.entries()) {
      const at = `tools[${index}].function_declarations`
      const declared = yield* optionalArray(get(yield* anObject(tool, `tools[${index}]`), "functionDeclarations"), at)
      known.push(...yield* each(declared, (position) => `${at}[${position}]`, parseTool))
    }
    const calling = fieldsOf(get(fieldsOf(get(body, "toolConfig")), "functionCallingConfig"))
    const allowed = get(calling, "allowedFunctionNames")
    const name: unknown = Array.isArray(allowed) ? allowed[0] : undefined
    if (name !== undefined && !Predicate.isString(name)) {
      return yield* wrongKind("tool_config.function_calling_config.allowed_function_names[0]", "string", name)
    }
    const unknown = invalid(
      "tool_config.function_calling_config.allowed_function_names",
      `The function '${name}' in allowed_function_names is not declared.`
    )
    return yield* chosen(known, { none: calling.mode === "NONE", name, unknown }, messages)
  })

const schemaOf = (generation: Fields): unknown =>
  get(generation, "responseJsonSchema") ?? get(generation, "_responseJsonSchema") ??
    jsonSchema(get(generation, "responseSchema")) ?? true

/** The API's older schemas are OpenAPI's: types are shouted, and what may be null says so apart. */
const jsonSchema = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(jsonSchema)
  if (!Predicate.isObject(schema)) return schema
  const { nullable, type, ...rest } = schema
  const name = Predicate.isString(type) ? type.toLowerCase() : type
  return {
    ...Object.fromEntries(Object.entries(rest).map(([field, value]) => [field, nested(field, value)])),
    ...(name === undefined ? undefined : { type: nullable === true ? [name, "null"] : name })
  }
}

const nested = (field: string, value: unknown): unknown => {
  if (field === "items" || field === "anyOf") return jsonSchema(value)
  if (field === "properties" && Predicate.isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, jsonSchema(schema)]))
  }
  // Of 64 bits, and so written as texts
  return /^(?:min|max)(?:Items|Length|Properties)$/.test(field) ? Number(value) : value
}
