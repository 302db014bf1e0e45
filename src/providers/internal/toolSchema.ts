/**
 * How tools are described to a provider, and how the parameters of their calls are read back.
 *
 * A tool that asks for strict mode is described by a schema in which every property is required, so what is optional
 * comes back as `null`: such parameters are brought back into the form the tool itself expects.
 */
import * as Tool from "effect/ai/Tool"
import * as Exit from "effect/Exit"
import type * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"

export interface ToolSchema {
  readonly jsonSchema: JsonSchema.JsonSchema
  /** Absent where the tool does not say. */
  readonly strict: boolean | undefined
  readonly restore: (params: unknown) => unknown
}

// Tools are immutable values, mostly module constants: one translation serves all calls.
const cache = new WeakMap<Tool.Any, ToolSchema>()

export const toolSchema = (tool: Tool.Any): ToolSchema => {
  let schema = cache.get(tool)
  if (schema === undefined) {
    schema = make(tool)
    cache.set(tool, schema)
  }
  return schema
}

const make = (tool: Tool.Any): ToolSchema => {
  const strict = Tool.getStrictMode(tool)
  const isJsonSchema = Tool.isDynamic(tool) && tool.jsonSchema !== undefined
  if (strict !== true || isJsonSchema) {
    return { jsonSchema: withProperties(Tool.getJsonSchema(tool)), strict, restore: same }
  }
  const structured = structuredOutput(tool.parametersSchema)
  const decode = Schema.decodeUnknownExit(structured.codec as Decodable)
  const encode = Schema.encodeUnknownExit(tool.parametersSchema as Decodable)
  return {
    jsonSchema: withProperties(structured.jsonSchema),
    strict: structured.strict,
    // What does not decode is left as it is: the toolkit says what is wrong with it.
    restore: (params) => {
      const decoded = decode(params)
      const encoded = Exit.isSuccess(decoded) ? encode(decoded.value) : decoded
      return Exit.isSuccess(encoded) ? encoded.value : params
    }
  }
}

type Decodable = Schema.Codec<unknown, unknown>

const same = (params: unknown): unknown => params

// OpenAI refuses an object schema that says nothing of its properties, be there none.
const withProperties = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema =>
  schema["type"] === "object" && schema["properties"] === undefined ? { ...schema, properties: {} } : schema

/** Gives a tool call's parameters the form the tool expects. */
export type RestoreParams = (name: string, params: unknown) => unknown

/** Gives the parameters of strict tools' calls the form that the tools expect. */
export const restoreParams = (tools: ReadonlyArray<Tool.Any>): RestoreParams => {
  const byName = new Map(tools.map((tool) => [tool.name, tool]))
  return (name, params) => {
    const tool = byName.get(name)
    return tool === undefined ? params : toolSchema(tool).restore(params)
  }
}
