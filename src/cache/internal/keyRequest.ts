/**
 * What of a request determines its answer, as plain values.
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Base64 from "effect/encoding/Base64"
import type * as Schema from "effect/Schema"
import * as Call from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import type { Plan } from "../../core/Plan.ts"
import { toolSchema } from "../../providers/internal/toolSchema.ts"
import { canonical } from "./canonical.ts"

// ---- messages ----

/** The messages. All that goes to the provider is as it is, letter for letter: another form of a letter is another token. */
export const promptOf = (prompt: Prompt.Prompt): unknown =>
  prompt.content.map((message) => ({
    ...said(message),
    content: typeof message.content === "string" ? message.content : message.content.map(partOf)
  }))

const partOf = (part: Prompt.Part): unknown => {
  const fields = said(part)
  return part.type === "file" ? { ...fields, data: dataOf(part.data) } : fields
}

/** Bytes are sent as their base64, and an address as its text. */
const dataOf = (data: Prompt.FilePart["data"]): string =>
  typeof data === "string" ? data : data instanceof URL ? data.href : Base64.encode(data)

/** The fields of a message or a part that are more than marks of its type, and say something. */
const said = (value: object): { [key: string]: unknown } => {
  const fields: { [key: string]: unknown } = {}
  for (const [key, field] of Object.entries(value)) {
    if (key.startsWith("~effect/ai/")) continue
    // No options are as good as empty ones.
    if (key === "options" && Object.keys(field as object).length === 0) continue
    fields[key] = field
  }
  return fields
}

// ---- tools and formats ----

// Tools and schemas are immutable values, mostly module constants: one description serves all calls.
const tools = new WeakMap<Tool.Any, string>()
const formats = new WeakMap<Schema.Top, string>()

const toolOf = (tool: Tool.Any): string => {
  let described = tools.get(tool)
  if (described === undefined) {
    described = canonical(
      Tool.isProviderDefined(tool)
        ? { id: tool.id, name: tool.name, provider: tool.providerName, args: tool.args }
        : {
          name: tool.name,
          description: Tool.getDescription(tool),
          parameters: toolSchema(tool).jsonSchema,
          strict: toolSchema(tool).strict
        }
    )
    tools.set(tool, described)
  }
  return described
}

const formatOf = (format: Call.Request["responseFormat"]): unknown => {
  if (format.type === "text") return undefined
  let described = formats.get(format.schema)
  if (described === undefined) {
    const { jsonSchema, strict } = structuredOutput(format.schema)
    described = canonical({ jsonSchema, strict })
    formats.set(format.schema, described)
  }
  return [format.objectName, described]
}

/** The request, without its settings: those are the models'. */
export const requestOf = (request: Call.Request): unknown => ({
  prompt: promptOf(request.prompt),
  ...(request.tools.length === 0 ? undefined : {
    tools: request.tools.map(toolOf),
    // Without tools there is nothing to choose.
    toolChoice: request.toolChoice
  }),
  format: formatOf(request.responseFormat)
})

// ---- models ----

/** A model, or a policy that may change what is asked or answered, with what is inside it. */
type Asked =
  | { readonly _tag: "Model"; readonly name: string; readonly settings: Call.Settings | undefined }
  | { readonly _tag: "Policy"; readonly name: string; readonly detail: string; readonly inside: ReadonlyArray<Asked> }

/** The policies that decide whether, when and which of its models is asked, and leave alone what it is asked. */
const neutral = new Set([
  "again",
  "breaker",
  "cache",
  "continue",
  "firstOf",
  "hedge",
  "limiter",
  "orElse",
  "orElseOn",
  "orElseSucceed",
  "restart",
  "retry",
  "retryBudget",
  "singleFlight",
  "timeout",
  "whole"
])

const askedOf = (plan: Plan): ReadonlyArray<Asked> => {
  if (plan.policy === "model") return [{ _tag: "Model", name: plan.detail, settings: plan.settings }]
  const inside = plan.children.flatMap(askedOf)
  return neutral.has(plan.policy) ? inside : [{ _tag: "Policy", name: plan.policy, detail: plan.detail, inside }]
}

const withSettings = (asked: ReadonlyArray<Asked>, settings: Call.Settings): ReadonlyArray<unknown> =>
  asked.map((one) =>
    one._tag === "Model"
      ? { model: one.name, settings: Call.mergeSettings(one.settings ?? {}, settings) }
      : { policy: one.name, detail: one.detail, inside: withSettings(one.inside, settings) }
  )

const isEmpty = (settings: Call.Settings): boolean => Object.values(settings).every((value) => value === undefined)

/** The models of a plan, as a call with its own settings asks them: in their order, each with all of its settings. */
export const makeModels = (plan: Plan): (settings: Call.Settings) => string => {
  const asked = askedOf(plan)
  const encode = (settings: Call.Settings): string => canonical(withSettings(asked, settings))
  const without = encode({})
  return (settings) => isEmpty(settings) ? without : encode(settings)
}
