/**
 * Builds the body of a Chat Completions request. What the protocol cannot say is an `InvalidRequest` that says where it
 * stands; nothing is left out in silence but what only the application needs (see {@link encodeAssistant}).
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import type * as Result from "effect/Result"
import type { Settings } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import type * as LlmError from "../../core/LlmError.ts"
import type { Request } from "../Provider.ts"
import type { Dialect } from "./chatDialects.ts"
import { encodeUserPart } from "./chatFile.ts"
import { anyIds, type IdOf, nineIds } from "./chatToolIds.ts"
import {
  addExtra,
  encodeJson,
  encodeNumbers,
  nameOf,
  offeredTools,
  refuseProviderTool,
  resultText,
  stringify
} from "./encode.ts"
import { toolSchema } from "./toolSchema.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** The text of the request's body. */
export const encodeRequest = (
  provider: string,
  request: Request,
  dialect: Dialect,
  stream: boolean
): Result.Result<string, LlmError.InvalidRequest> =>
  encodeJson(provider, request.model, () => encodeBody(request, dialect, stream))

const encodeBody = (request: Request, dialect: Dialect, stream: boolean): Body => {
  const body: Body = { model: request.model, messages: encodeMessages(request, dialect) }
  encodeTools(body, request, dialect)
  if (request.responseFormat.type === "json") {
    body["response_format"] = encodeFormat(request.responseFormat, dialect)
  }
  encodeSettings(body, request.settings, dialect)
  if (stream) {
    body["stream"] = true
    if (dialect.streamUsage ?? true) body["stream_options"] = { include_usage: true }
  }
  return addExtra(body, request.settings)
}

const encodeSettings = (body: Body, settings: Settings, dialect: Dialect): void => {
  encodeNumbers(body, settings, [
    [dialect.maxTokensField ?? "max_completion_tokens", "maxOutputTokens"],
    ["temperature", "temperature"],
    ["top_p", "topP"],
    [dialect.seedField ?? "seed", "seed"]
  ])
  const { reasoningEffort: effort, stop } = settings
  if (stop !== undefined && stop.length > 0) body["stop"] = stop
  if (effort === undefined) return
  if (dialect.reasoningEffort === "reasoning") body["reasoning"] = { effort }
  else if (dialect.reasoningEffort === "thinking" && effort === "none") body["thinking"] = { type: "disabled" }
  else body["reasoning_effort"] = effort
}

type JsonFormat = Extract<Request["responseFormat"], { readonly type: "json" }>

const encodeFormat = (format: JsonFormat, dialect: Dialect): Body => {
  if (dialect.jsonMode === "prompt") return { type: "json_object" }
  const { jsonSchema, strict } = structuredOutput(format.schema)
  return {
    type: "json_schema",
    json_schema: { name: nameOf(format.objectName), schema: jsonSchema, strict }
  }
}

const encodeTools = (body: Body, request: Request, dialect: Dialect): void => {
  const { toolChoice } = request
  const offered = offeredTools(request)
  const named = typeof toolChoice === "object" && "tool" in toolChoice ? toolChoice.tool : undefined
  const { toolChoice: understood = "named" } = dialect
  // What a server does not understand is said by what it is offered.
  if (offered.length === 0 || toolChoice === "none" && understood === "ignored") return
  const alone = named !== undefined && understood !== "named"
  body["tools"] = offered.flatMap((tool, index) => alone && tool.name !== named ? [] : [encodeTool(tool, index)])
  body["tool_choice"] = typeof toolChoice === "string"
    ? toolChoice
    : "oneOf" in toolChoice
    ? toolChoice.mode ?? "auto"
    : alone
    ? "required"
    : { type: "function", function: { name: toolChoice.tool } }
}

const encodeTool = (tool: Tool.Any, index: number): Body => {
  refuseProviderTool(tool, index, "Chat Completions")
  const { jsonSchema, strict } = toolSchema(tool)
  const description = Tool.getDescription(tool)
  return {
    type: "function",
    function: {
      name: tool.name,
      ...(description === undefined ? undefined : { description }),
      parameters: jsonSchema,
      ...(strict === undefined ? undefined : { strict })
    }
  }
}

const encodeMessages = ({ prompt, responseFormat }: Request, dialect: Dialect): Array<Body> => {
  const idOf = dialect.toolCallIds === "nine" ? nineIds() : anyIds
  const messages = prompt.content.flatMap((message, index): Array<Body> => {
    const at = `messages[${index}]`
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }]
      case "user":
        return [{ role: "user", content: encodeUser(message, at) }]
      case "assistant":
        return encodeAssistant(message, dialect, idOf, at)
      case "tool":
        return encodeToolMessage(message, idOf, at)
    }
  })
  const last = messages.at(-1)
  if (dialect.prefixField === true && last?.["role"] === "assistant") last["prefix"] = true
  return responseFormat.type === "json" && (dialect.jsonMode ?? "schema") !== "schema"
    ? instruct(messages, responseFormat)
    : messages
}

/** Says in words what JSON is wanted: in the first message, since some models know only one of the system. */
const instruct = (messages: ReadonlyArray<Body>, format: JsonFormat): Array<Body> => {
  const schema = JSON.stringify(structuredOutput(format.schema).jsonSchema)
  const words = `Answer with a JSON value that fits this JSON schema, and with nothing else:\n${schema}`
  const [first, ...others] = messages
  return first?.["role"] === "system"
    ? [{ ...first, content: `${first["content"]}\n\n${words}` }, ...others]
    : [{ role: "system", content: words }, ...messages]
}

const encodeUser = (message: Prompt.UserMessage, at: string): string | Array<Body> => {
  const [first] = message.content
  // A plain text is what every server understands, a list of parts is not.
  if (message.content.length === 0 || first === undefined) return ""
  if (message.content.length === 1 && first.type === "text") return first.text
  return message.content.map((part, index) => encodeUserPart(part, `${at}.content[${index}]`))
}

/**
 * What a model has said before. What another provider executed itself is left out together with its results, and so are
 * requests for approval, which are between the application and its user, and reasoning, unless the dialect has a field
 * for it: most servers refuse or ignore it.
 */
const encodeAssistant = (
  message: Prompt.AssistantMessage,
  { reasoningField }: Dialect,
  idOf: IdOf,
  at: string
): Array<Body> => {
  let text = ""
  let reasoning = ""
  const calls: Array<Body> = []
  for (const [index, part] of message.content.entries()) {
    switch (part.type) {
      case "text":
        text += part.text
        break
      case "reasoning":
        reasoning += part.text
        break
      case "tool-call":
        if (part.providerExecuted) break
        calls.push({
          id: idOf(part.id),
          type: "function",
          function: {
            name: part.name,
            arguments: typeof part.params === "string" ? part.params : stringify(part.params, `${at}.content[${index}]`)
          }
        })
        break
      case "file":
        throw new Unencodable(`${at}.content[${index}]`, "a file cannot stand in the answer of a model")
      case "tool-result":
      case "tool-approval-request":
        break
    }
  }
  if (text === "" && calls.length === 0) return []
  const wanted = reasoning !== "" || reasoningField === "reasoning_content" && calls.length > 0
  return [{
    role: "assistant",
    content: text === "" ? null : text,
    ...(calls.length === 0 ? undefined : { tool_calls: calls }),
    ...(wanted && reasoningField !== undefined ? { [reasoningField]: reasoning } : undefined)
  }]
}

const encodeToolMessage = (message: Prompt.ToolMessage, idOf: IdOf, at: string): Array<Body> =>
  message.content.flatMap((part, index): Array<Body> =>
    part.type === "tool-result" && !part.providerExecuted
      ? [{ role: "tool", tool_call_id: idOf(part.id), content: resultText(part, `${at}.content[${index}]`) }]
      : []
  )
