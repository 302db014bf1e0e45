/**
 * Builds the body of a Gemini request. What the API cannot say is an `InvalidRequest` that says where it stands.
 *
 * Tools and formats are described in JSON schema (`parametersJsonSchema`, `responseJsonSchema`) and not in the API's older subset of
 * OpenAPI's, which knows neither references nor alternatives.
 */
import * as Tool from "effect/ai/Tool"
import type * as JsonSchema from "effect/JsonSchema"
import type * as Result from "effect/Result"
import type { Settings } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import type { InvalidRequest } from "../../core/LlmError.ts"
import type { Request } from "../Provider.ts"
import { addExtra, encodeJson, encodeNumbers, offeredTools, refuseProviderTool } from "./encode.ts"
import { encodePrompt } from "./geminiPrompt.ts"
import { isFields } from "./read.ts"
import { toolSchema } from "./toolSchema.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** What the models of a provider understand, where they differ. */
export interface Dialect {
  /** How they are told how much to think; by their names where it is not said. */
  readonly thinking: "level" | "budget" | undefined
  readonly includeThoughts: boolean
}

/** The text of the request's body. */
export const encodeRequest = (
  provider: string,
  request: Request,
  dialect: Dialect
): Result.Result<string, InvalidRequest> => encodeJson(provider, request.model, () => encodeBody(request, dialect))

const encodeBody = (request: Request, dialect: Dialect): Body => {
  const { settings } = request
  const thinking = dialect.thinking ?? thinkingOf(request.model)
  // Models that think in levels are those that sign their calls.
  const { contents, system } = encodePrompt(request.prompt, thinking === "level")
  const body: Body = {}
  if (system.length > 0) body["systemInstruction"] = { parts: system }
  body["contents"] = contents
  encodeTools(body, request)
  const generation: Body = {}
  encodeSettings(generation, settings)
  if (request.responseFormat.type === "json") {
    generation["responseMimeType"] = "application/json"
    generation["responseJsonSchema"] = structuredOutput(request.responseFormat.schema).jsonSchema
  }
  const thoughts = encodeThinking(settings.reasoningEffort, thinking, dialect.includeThoughts)
  if (thoughts !== undefined) generation["thinkingConfig"] = thoughts
  if (Object.keys(generation).length > 0) body["generationConfig"] = generation
  return addExtra(body, settings)
}

/** Gemini 3 and later think in levels. Gemini 1 and 2 do not, nor does what is not called Gemini. */
const thinkingOf = (model: string): "level" | "budget" => /^gemini-(?![12](?!\d))/.test(model) ? "level" : "budget"

const encodeSettings = (generation: Body, settings: Settings): void => {
  encodeNumbers(generation, settings, [
    ["maxOutputTokens", "maxOutputTokens"],
    ["temperature", "temperature"],
    ["topP", "topP"],
    ["seed", "seed"]
  ])
  if (settings.stop !== undefined && settings.stop.length > 0) generation["stopSequences"] = settings.stop
}

// What Google's own OpenAI-compatible endpoint makes of these words.
const budgets: { readonly [effort: string]: number } = { minimal: 1024, low: 1024, medium: 8192, high: 24_576 }

const encodeThinking = (
  effort: string | undefined,
  thinking: "level" | "budget",
  includeThoughts: boolean
): Body | undefined => {
  if (effort === "none") return { thinkingBudget: 0 }
  const amount = effort === undefined ? undefined : encodeEffort(effort, thinking)
  if (amount === undefined && !includeThoughts) return undefined
  return { ...amount, ...(includeThoughts ? { includeThoughts } : undefined) }
}

const encodeEffort = (effort: string, thinking: "level" | "budget"): Body => {
  if (/^(?:-1|\d{1,9})$/.test(effort)) return { thinkingBudget: Number(effort) }
  // Levels are names of the API's own, which writes all of its names so.
  if (thinking === "level") return { thinkingLevel: effort.toUpperCase() }
  const budget = Object.hasOwn(budgets, effort) ? budgets[effort] : undefined
  if (budget !== undefined) return { thinkingBudget: budget }
  throw new Unencodable(
    "settings.reasoningEffort",
    `for this model it must be a number of tokens, -1, or one of none, ${Object.keys(budgets).join(", ")}`
  )
}

const encodeTools = (body: Body, request: Request): void => {
  const tools = offeredTools(request)
  if (tools.length === 0) return
  body["tools"] = [{ functionDeclarations: tools.map(encodeTool) }]
  body["toolConfig"] = { functionCallingConfig: encodeChoice(request, tools) }
}

const encodeChoice = ({ toolChoice }: Request, tools: ReadonlyArray<Tool.Any>): Body => {
  if (toolChoice === "none") return { mode: "NONE" }
  if (toolChoice === "required") return { mode: "ANY" }
  if (typeof toolChoice === "object" && "tool" in toolChoice) {
    return { mode: "ANY", allowedFunctionNames: [toolChoice.tool] }
  }
  if (typeof toolChoice === "object" && toolChoice.mode === "required") {
    return { mode: "ANY", allowedFunctionNames: tools.map(({ name }) => name) }
  }
  // Calls that have to be made always fit their schemas; those that may be made do so on demand.
  return { mode: tools.some((tool) => toolSchema(tool).strict === true) ? "VALIDATED" : "AUTO" }
}

const encodeTool = (tool: Tool.Any, index: number): Body => {
  refuseProviderTool(tool, index, "the Gemini API")
  const description = Tool.getDescription(tool)
  const { jsonSchema } = toolSchema(tool)
  return {
    name: tool.name,
    ...(description === undefined ? undefined : { description }),
    ...(takesNothing(jsonSchema) ? undefined : { parametersJsonSchema: jsonSchema })
  }
}

// For such a function the field is to be left out.
const takesNothing = ({ additionalProperties, properties, type }: JsonSchema.JsonSchema): boolean =>
  type === "object" && isFields(properties) && Object.keys(properties).length === 0 &&
  (additionalProperties === undefined || additionalProperties === false)
