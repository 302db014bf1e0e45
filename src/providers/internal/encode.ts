/**
 * What the requests of all protocols have in common: how they become text, and the checks of what every one of them carries.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Result from "effect/Result"
import type { Settings } from "../../core/Call.ts"
import * as LlmError from "../../core/LlmError.ts"
import type { Request } from "../Provider.ts"
import { type Fields, isFields, json } from "./read.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** Builds a request. What cannot be said in the protocol is an `InvalidRequest` that says where it stands. */
export const encodeWith = <A>(
  provider: string,
  model: string,
  build: () => A
): Result.Result<A, LlmError.InvalidRequest> => {
  try {
    return Result.succeed(build())
  } catch (error) {
    const unencodable = error instanceof Unencodable
      ? error
      : new Unencodable("prompt", "the request cannot be written as JSON")
    return Result.fail(
      new LlmError.InvalidRequest({
        provider,
        model,
        parameter: unencodable.parameter,
        problem: `${unencodable.parameter}: ${unencodable.problem}`
      })
    )
  }
}

/** Writes a body as JSON. */
export const encodeJson = (
  provider: string,
  model: string,
  build: () => Body
): Result.Result<string, LlmError.InvalidRequest> => encodeWith(provider, model, () => JSON.stringify(build()))

/** Sets the fields of settings that are numbers. */
export const encodeNumbers = (
  body: Body,
  settings: Settings,
  numbers: ReadonlyArray<readonly [field: string, setting: keyof Settings]>
): void => {
  for (const [field, setting] of numbers) {
    const value = settings[setting]
    if (value === undefined) continue
    if (!Number.isFinite(value)) throw new Unencodable(`settings.${setting}`, "it must be a finite number")
    body[field] = value
  }
}

// Names of schemas are more narrow here than they are in Effect.
export const nameOf = (name: string): string => name.replaceAll(/[^\w-]/g, "_").slice(0, 64) || "output"

/** The tools that may be called. */
export const allowedTools = ({ toolChoice, tools }: Pick<Request, "toolChoice" | "tools">): ReadonlyArray<Tool.Any> =>
  typeof toolChoice === "object" && "oneOf" in toolChoice
    ? tools.filter((tool) => toolChoice.oneOf.includes(tool.name))
    : tools

/** The tools that a request offers. One that asks for a tool which is not among them is refused. */
export const offeredTools = (request: Request): ReadonlyArray<Tool.Any> => {
  const { toolChoice } = request
  const offered = allowedTools(request)
  const missing = typeof toolChoice === "object" && "tool" in toolChoice
    ? !offered.some(({ name }) => name === toolChoice.tool)
    : offered.length === 0 && (toolChoice === "required" || typeof toolChoice === "object")
  if (missing) throw new Unencodable("toolChoice", "it asks for a tool that is not among the tools")
  return offered
}

/** Throws where a tool is one that a provider defines: it is known to that provider alone, in words of its own. */
export const refuseProviderTool = (tool: Tool.Any, index: number, api: string): void => {
  if (!Tool.isProviderDefined(tool)) return
  throw new Unencodable(
    `tools[${index}]`,
    `tools that a provider defines cannot be sent over ${api}: use \`settings.extra\``
  )
}

/** The result of a tool as the text that a model reads. */
export const resultText = (part: Prompt.ToolResultPart, at: string): string => {
  if (part.modelOutput !== undefined) return Prompt.toolModelOutputToText(part.modelOutput)
  return typeof part.result === "string" ? part.result : stringify(part.result, at)
}

/** A value as JSON. */
export const stringify = (value: unknown, at: string): string => {
  try {
    return JSON.stringify(value) ?? "null"
  } catch {
    throw new Unencodable(at, "it cannot be written as JSON")
  }
}

/** The parameters of a tool call, where they have to be an object. */
export const encodeParams = (params: unknown, at: string): Fields => {
  const value = typeof params === "string" ? json(params.trim() === "" ? "{}" : params) : params ?? {}
  if (!isFields(value)) throw new Unencodable(at, "the parameters of a tool call must be an object")
  stringify(value, at)
  return value
}

/**
 * Adds what the application itself puts into a request, which wins. Objects are merged, so that one more field of an object leaves its
 * others alone; but one of another `type` takes the place of the whole, whose fields mean nothing to it.
 */
export const addExtra = (body: Body, { extra }: Settings): Body => extra === undefined ? body : mergeFields(body, extra)

const mergeFields = (self: Fields, that: Fields): Body => {
  const merged: Body = { ...self }
  for (const [field, value] of Object.entries(that)) {
    const before = merged[field]
    merged[field] = isFields(before) && isFields(value) && isOfOneType(before, value)
      ? mergeFields(before, value)
      : value
  }
  return merged
}

const isOfOneType = (self: Fields, that: Fields): boolean => that["type"] === undefined || that["type"] === self["type"]
