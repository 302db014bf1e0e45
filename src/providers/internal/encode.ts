/**
 * What the requests of all protocols have in common: how they become text, and the checks of what every one of them carries.
 */
import * as Prompt from "effect/ai/Prompt"
import type * as Tool from "effect/ai/Tool"
import * as Result from "effect/Result"
import type { Settings } from "../../core/Call.ts"
import * as LlmError from "../../core/LlmError.ts"
import type { Request } from "../Provider.ts"
import { type Fields, isFields, json } from "./read.ts"
import { type Body, Unencodable } from "./unencodable.ts"

/** Writes a body as JSON. What cannot be said in the protocol is an `InvalidRequest` that says where it stands. */
export const encodeJson = (
  provider: string,
  model: string,
  build: () => Body
): Result.Result<string, LlmError.InvalidRequest> => {
  try {
    return Result.succeed(JSON.stringify(build()))
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
