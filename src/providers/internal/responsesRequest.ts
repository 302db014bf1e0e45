/**
 * Builds the body of a Responses request. What the API cannot say is an `InvalidRequest` that says where it stands.
 */
import * as Tool from "effect/ai/Tool"
import type * as Result from "effect/Result"
import type { Settings } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import type { InvalidRequest } from "../../core/LlmError.ts"
import type { Request } from "../Provider.ts"
import { addExtra, encodeJson, encodeNumbers, nameOf, offeredTools, refuseProviderTool } from "./encode.ts"
import { encodePrompt } from "./responsesPrompt.ts"
import { toolSchema } from "./toolSchema.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** What the API is to keep and to give back, and how a conversation goes on. */
export interface Dialect {
  readonly store: boolean | undefined
  readonly encryptedReasoning: boolean
  readonly reasoningSummary: "auto" | "concise" | "detailed" | undefined
  readonly conversation: "stateless" | "previousResponse"
}

/** The text of the request's body. */
export const encodeRequest = (
  provider: string,
  request: Request,
  dialect: Dialect,
  stream: boolean
): Result.Result<string, InvalidRequest> =>
  encodeJson(provider, request.model, () => encodeBody(request, dialect, stream))

const encodeBody = (request: Request, dialect: Dialect, stream: boolean): Body => {
  const { settings } = request
  const { input, previous } = encodePrompt(
    request.prompt,
    dialect.conversation === "previousResponse" && !namesConversation(settings)
  )
  const body: Body = { model: request.model, input }
  if (previous !== undefined) body["previous_response_id"] = previous
  encodeTools(body, request)
  if (request.responseFormat.type === "json") body["text"] = { format: encodeFormat(request.responseFormat) }
  encodeSettings(body, settings, dialect)
  if (dialect.store !== undefined) body["store"] = dialect.store
  if (dialect.encryptedReasoning) body["include"] = ["reasoning.encrypted_content"]
  if (stream) body["stream"] = true
  return addExtra(body, settings)
}

// Whoever says by hand what a request goes on from has made the prompt for it.
const namesConversation = ({ extra = {} }: Settings): boolean =>
  "previous_response_id" in extra || "conversation" in extra

/**
 * There is no `seed`: the API cannot give the same answer twice, and the setting asks for that only as far as one can. But an answer
 * that does not end where it should is another one.
 */
const encodeSettings = (body: Body, settings: Settings, { reasoningSummary }: Dialect): void => {
  encodeNumbers(body, settings, [
    ["max_output_tokens", "maxOutputTokens"],
    ["temperature", "temperature"],
    ["top_p", "topP"]
  ])
  if (settings.stop !== undefined && settings.stop.length > 0) {
    throw new Unencodable("settings.stop", "the Responses API knows no texts at which an answer ends")
  }
  const { reasoningEffort } = settings
  if (reasoningEffort === undefined && reasoningSummary === undefined) return
  body["reasoning"] = {
    ...(reasoningEffort === undefined ? undefined : { effort: reasoningEffort }),
    ...(reasoningSummary === undefined ? undefined : { summary: reasoningSummary })
  }
}

const encodeFormat = (format: Extract<Request["responseFormat"], { readonly type: "json" }>): Body => {
  const { jsonSchema, strict } = structuredOutput(format.schema)
  return { type: "json_schema", name: nameOf(format.objectName), schema: jsonSchema, strict }
}

const encodeTools = (body: Body, request: Request): void => {
  const { toolChoice, tools } = request
  const allowed = offeredTools(request)
  if (allowed.length === 0) return
  // All of them, also where some may not be called: a list that never changes is one that is cached.
  body["tools"] = tools.map(encodeTool)
  if (typeof toolChoice === "string") body["tool_choice"] = toolChoice
  else if ("tool" in toolChoice) body["tool_choice"] = referTo({ name: toolChoice.tool })
  else {
    const { mode = "auto" } = toolChoice
    body["tool_choice"] = allowed.length === tools.length
      ? mode
      : { type: "allowed_tools", mode, tools: allowed.map(referTo) }
  }
}

const referTo = ({ name }: { readonly name: string }): Body => ({ type: "function", name })

const encodeTool = (tool: Tool.Any, index: number): Body => {
  refuseProviderTool(tool, index, "the Responses API")
  const { jsonSchema, strict } = toolSchema(tool)
  const description = Tool.getDescription(tool)
  return {
    ...referTo(tool),
    ...(description === undefined ? undefined : { description }),
    parameters: jsonSchema,
    // The API is strict where it is not told, and rewrites schemas to that end.
    strict: strict ?? false
  }
}
