/**
 * Builds the body of a Messages request. What the API cannot say is an `InvalidRequest` that says where it stands.
 */
import * as Tool from "effect/ai/Tool"
import type * as Result from "effect/Result"
import type { Settings } from "../../core/Call.ts"
import type { InvalidRequest } from "../../core/LlmError.ts"
import type { Request } from "../Provider.ts"
import { addExtra, encodeJson, encodeNumbers, offeredTools, refuseProviderTool } from "./encode.ts"
import { encodePrompt } from "./messagesPrompt.ts"
import { inputSchema, type JsonPlan, jsonPlan } from "./messagesSchema.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** What a server and its models understand, where they differ. */
export interface Dialect {
  readonly defaultMaxTokens: number
  readonly thinking: "adaptive" | "budget"
  readonly jsonFormat: "schema" | "tool"
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
  const plan = jsonPlan(request, dialect.jsonFormat)
  const { messages, system } = encodePrompt(request.prompt)
  const body: Body = { model: request.model, max_tokens: dialect.defaultMaxTokens }
  if (system.length > 0) body["system"] = system
  body["messages"] = messages
  encodeTools(body, request, plan)
  encodeSettings(body, settings)
  const output: Body = {}
  if (settings.reasoningEffort !== undefined) encodeThinking(body, output, settings.reasoningEffort, dialect, plan)
  if (plan?.type === "schema") output["format"] = { type: "json_schema", schema: plan.jsonSchema }
  if (Object.keys(output).length > 0) body["output_config"] = output
  if (stream) body["stream"] = true
  return addExtra(body, settings)
}

// There is no `seed`: the API cannot give the same answer twice, and the setting asks for that only as far as one can.
const encodeSettings = (body: Body, settings: Settings): void => {
  encodeNumbers(body, settings, [
    ["max_tokens", "maxOutputTokens"],
    ["temperature", "temperature"],
    ["top_p", "topP"]
  ])
  if (settings.stop !== undefined && settings.stop.length > 0) body["stop_sequences"] = settings.stop
}

const encodeThinking = (
  body: Body,
  output: Body,
  effort: string,
  { thinking }: Dialect,
  plan: JsonPlan | undefined
): void => {
  if (effort === "none") {
    body["thinking"] = { type: "disabled" }
    return
  }
  if (plan?.type === "tool") {
    throw new Unencodable(
      "settings.reasoningEffort",
      "JSON of this schema is asked for as a call of a tool, which a model that thinks cannot be made to do"
    )
  }
  if (thinking === "adaptive") {
    body["thinking"] = { type: "adaptive" }
    output["effort"] = effort
  } else {
    body["thinking"] = { type: "enabled", budget_tokens: budgetOf(effort, Number(body["max_tokens"])) }
  }
}

const shares: { readonly [effort: string]: number } = {
  minimal: 0.1,
  low: 0.2,
  medium: 0.5,
  high: 0.8,
  xhigh: 0.9,
  max: 0.95
}

const minBudget = 1024

const budgetOf = (effort: string, maxTokens: number): number => {
  const illegal = (problem: string) => new Unencodable("settings.reasoningEffort", problem)
  const share = Object.hasOwn(shares, effort) ? shares[effort] : undefined
  const budget = share === undefined ? Number(effort) : Math.max(minBudget, Math.floor(share * maxTokens))
  if (!/^\d+$/.test(effort) && share === undefined) {
    throw illegal(`it must be a number of tokens, or one of none, ${Object.keys(shares).join(", ")}`)
  }
  if (budget < minBudget) throw illegal(`it must be at least ${minBudget} tokens`)
  if (budget >= maxTokens) throw illegal(`its ${budget} tokens are part of the output: raise \`maxOutputTokens\``)
  return budget
}

const encodeTools = (body: Body, request: Request, plan: JsonPlan | undefined): void => {
  const { toolChoice } = request
  const tools = offeredTools(request).map(encodeTool)
  if (plan?.type === "tool") {
    const { name } = plan.tool
    const description = "Gives the answer. Its parameters are the answer."
    // Where other tools may be called first, any of them will do.
    const free = tools.length > 0 && toolChoice !== "none"
    body["tools"] = [...tools, { name, description, input_schema: plan.jsonSchema }]
    body["tool_choice"] = free ? { type: "any" } : { type: "tool", name }
    return
  }
  if (tools.length === 0) return
  body["tools"] = tools
  if (typeof toolChoice === "string") {
    body["tool_choice"] = { type: toolChoice === "required" ? "any" : toolChoice }
  } else if ("oneOf" in toolChoice) body["tool_choice"] = { type: toolChoice.mode === "required" ? "any" : "auto" }
  else body["tool_choice"] = { type: "tool", name: toolChoice.tool }
}

const encodeTool = (tool: Tool.Any, index: number): Body => {
  refuseProviderTool(tool, index, "the Messages API")
  const { jsonSchema, strict } = inputSchema(tool)
  const description = Tool.getDescription(tool)
  return {
    name: tool.name,
    ...(description === undefined ? undefined : { description }),
    input_schema: jsonSchema,
    ...(strict ? { strict } : undefined)
  }
}
