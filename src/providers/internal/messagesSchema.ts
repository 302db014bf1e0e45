/**
 * How JSON of a schema is asked for: as structured output where the schema can be written in the form that the API enforces, and
 * elsewhere as the parameters of a tool that the model has to call.
 */
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import * as Tool from "effect/ai/Tool"
import type * as JsonSchema from "effect/JsonSchema"
import type * as Schema from "effect/Schema"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import type { Request } from "../Provider.ts"
import { nameOf } from "./encode.ts"
import type { JsonTool } from "./messagesBlock.ts"
import { toolSchema } from "./toolSchema.ts"

// Schemas are immutable values, mostly module constants: one translation serves all calls.
const cache = new WeakMap<Schema.Top, { readonly jsonSchema: JsonSchema.JsonSchema | undefined }>()

/**
 * A schema as the API enforces it, where it can. What it describes is what `structuredOutput` decodes: both come from the same
 * codec, only the words of JSON schema differ.
 */
const enforced = (schema: Schema.Top): JsonSchema.JsonSchema | undefined => {
  let cached = cache.get(schema)
  if (cached === undefined) {
    cached = { jsonSchema: translate(schema) }
    cache.set(schema, cached)
  }
  return cached.jsonSchema
}

const translate = (schema: Schema.Top): JsonSchema.JsonSchema | undefined => {
  if (!structuredOutput(schema).strict) return undefined
  try {
    return toCodecAnthropic(schema as Schema.ConstraintCodec<unknown, unknown, unknown, unknown>).jsonSchema
  } catch {
    // A schema that refers to itself; that is no error.
    return undefined
  }
}

/** How JSON is asked for. */
export type JsonPlan =
  | { readonly type: "schema"; readonly jsonSchema: JsonSchema.JsonSchema }
  | { readonly type: "tool"; readonly tool: JsonTool; readonly jsonSchema: JsonSchema.JsonSchema }

/** How the answer of a request is asked for; `undefined` where it is a text. */
export const jsonPlan = (
  { responseFormat, tools }: Request,
  jsonFormat: "schema" | "tool"
): JsonPlan | undefined => {
  if (responseFormat.type !== "json") return undefined
  const { objectName, schema } = responseFormat
  const native = jsonFormat === "schema" ? enforced(schema) : undefined
  if (native !== undefined) return { type: "schema", jsonSchema: native }
  const { jsonSchema } = structuredOutput(schema)
  const wrapped = jsonSchema["type"] !== "object"
  return {
    type: "tool",
    tool: { name: freeName(nameOf(objectName), tools), wrapped },
    jsonSchema: wrapped ? wrap(jsonSchema) : jsonSchema
  }
}

const freeName = (name: string, tools: ReadonlyArray<Tool.Any>): string =>
  tools.some((tool) => tool.name === name) ? freeName(`${name}_`, tools) : name

// Definitions are referred to from the root.
const wrap = ({ $defs, ...value }: JsonSchema.JsonSchema): JsonSchema.JsonSchema => ({
  type: "object",
  properties: { value },
  required: ["value"],
  additionalProperties: false,
  ...($defs === undefined ? undefined : { $defs })
})

/** The parameters of a tool, and whether the API is to enforce them. */
export const inputSchema = (
  tool: Tool.Any
): { readonly jsonSchema: JsonSchema.JsonSchema; readonly strict: boolean } => {
  const { jsonSchema, strict } = toolSchema(tool)
  if (strict !== true) return { jsonSchema, strict: false }
  if (Tool.isDynamic(tool) && tool.jsonSchema !== undefined) return { jsonSchema, strict }
  const native = enforced(tool.parametersSchema)
  return native === undefined ? { jsonSchema, strict: false } : { jsonSchema: native, strict }
}
