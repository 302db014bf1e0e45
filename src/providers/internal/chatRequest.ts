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
import { encodeUserPart } from "./chatFile.ts"
import { encodeJson, encodeNumbers, nameOf, offeredTools, resultText, stringify } from "./encode.ts"
import { toolSchema } from "./toolSchema.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** How a server wants its requests, where servers differ. */
export interface Dialect {
  readonly maxTokensField: "max_completion_tokens" | "max_tokens"
  readonly streamUsage: boolean
  readonly reasoningField: "reasoning_content" | "reasoning" | undefined
}

/** The text of the request's body. */
export const encodeRequest = (
  provider: string,
  request: Request,
  dialect: Dialect,
  stream: boolean
): Result.Result<string, LlmError.InvalidRequest> =>
  encodeJson(provider, request.model, () => encodeBody(request, dialect, stream))

const encodeBody = (request: Request, dialect: Dialect, stream: boolean): Body => {
  const body: Body = { model: request.model, messages: encodeMessages(request.prompt, dialect) }
  encodeTools(body, request)
  if (request.responseFormat.type === "json") body["response_format"] = encodeFormat(request.responseFormat)
  encodeSettings(body, request.settings, dialect)
  if (stream) {
    body["stream"] = true
    if (dialect.streamUsage) body["stream_options"] = { include_usage: true }
  }
  return request.settings.extra === undefined ? body : { ...body, ...request.settings.extra }
}

const encodeSettings = (body: Body, settings: Settings, dialect: Dialect): void => {
  encodeNumbers(body, settings, [
    [dialect.maxTokensField, "maxOutputTokens"],
    ["temperature", "temperature"],
    ["top_p", "topP"],
    ["seed", "seed"]
  ])
  if (settings.stop !== undefined && settings.stop.length > 0) body["stop"] = settings.stop
  if (settings.reasoningEffort !== undefined) body["reasoning_effort"] = settings.reasoningEffort
}

const encodeFormat = (format: Extract<Request["responseFormat"], { readonly type: "json" }>): Body => {
  const { jsonSchema, strict } = structuredOutput(format.schema)
  return {
    type: "json_schema",
    json_schema: { name: nameOf(format.objectName), schema: jsonSchema, strict }
  }
}

const encodeTools = (body: Body, request: Request): void => {
  const offered = offeredTools(request)
  if (offered.length === 0) return
  const { toolChoice } = request
  body["tools"] = offered.map(encodeTool)
  if (typeof toolChoice === "string") body["tool_choice"] = toolChoice
  else if ("oneOf" in toolChoice) body["tool_choice"] = toolChoice.mode ?? "auto"
  else body["tool_choice"] = { type: "function", function: { name: toolChoice.tool } }
}

const encodeTool = (tool: Tool.Any, index: number): Body => {
  if (Tool.isProviderDefined(tool)) {
    throw new Unencodable(`tools[${index}]`, "tools that a provider defines cannot be sent over Chat Completions")
  }
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

const encodeMessages = (prompt: Prompt.Prompt, dialect: Dialect): Array<Body> =>
  prompt.content.flatMap((message, index): Array<Body> => {
    const at = `messages[${index}]`
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }]
      case "user":
        return [{ role: "user", content: encodeUser(message, at) }]
      case "assistant":
        return encodeAssistant(message, dialect, at)
      case "tool":
        return encodeToolMessage(message, at)
    }
  })

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
const encodeAssistant = (message: Prompt.AssistantMessage, dialect: Dialect, at: string): Array<Body> => {
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
          id: part.id,
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
  return [{
    role: "assistant",
    content: text === "" ? null : text,
    ...(calls.length === 0 ? undefined : { tool_calls: calls }),
    ...(reasoning === "" || dialect.reasoningField === undefined ? undefined : { [dialect.reasoningField]: reasoning })
  }]
}

const encodeToolMessage = (message: Prompt.ToolMessage, at: string): Array<Body> =>
  message.content.flatMap((part, index): Array<Body> =>
    part.type === "tool-result" && !part.providerExecuted
      ? [{ role: "tool", tool_call_id: part.id, content: resultText(part, `${at}.content[${index}]`) }]
      : []
  )
