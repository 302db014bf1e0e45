/**
 * Builds the options of a call to an AI SDK model. What its specification cannot say is an `InvalidRequest` that says where it stands.
 */
import type {
  JSONSchema7,
  LanguageModelV3CallOptions,
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4ProviderTool,
  LanguageModelV4ToolChoice
} from "@ai-sdk/provider"
import * as Tool from "effect/ai/Tool"
import type * as JsonSchema from "effect/JsonSchema"
import type { Settings } from "../../core/Call.ts"
import { structuredOutput } from "../../core/internal/structuredOutput.ts"
import type { Request } from "../Provider.ts"
import type { Model } from "./aiSdkModel.ts"
import { type Address, encodePrompt } from "./aiSdkPrompt.ts"
import { toV3 } from "./aiSdkPromptV3.ts"
import { encodeNumbers, nameOf, offeredTools, stringify } from "./encode.ts"
import { printable } from "./fileData.ts"
import { fields } from "./read.ts"
import { toolSchema } from "./toolSchema.ts"
import { Unencodable } from "./unencodable.ts"

/** A request in the words of a model's specification. */
export interface Asked {
  readonly generate: (signal: AbortSignal) => PromiseLike<unknown>
  readonly stream: (signal: AbortSignal) => PromiseLike<unknown>
  readonly tools: ReadonlyArray<LanguageModelV4FunctionTool | LanguageModelV4ProviderTool>
  /** What the user refers to by its address, which not every model takes. */
  readonly addresses: ReadonlyArray<Address>
}

export const encodeRequest = (model: Model, request: Request): Asked => {
  const { addresses, messages } = encodePrompt(request.prompt)
  const common = encodeCommon(request)
  const asked = { tools: common.tools ?? [], addresses }
  if (model.specificationVersion === "v4") {
    const options: LanguageModelV4CallOptions = {
      prompt: messages,
      ...common,
      ...encodeReasoning(request.settings.reasoningEffort)
    }
    addExtra(options, request.settings, fieldsV4)
    return {
      ...asked,
      generate: (abortSignal) => model.doGenerate({ ...options, abortSignal }),
      stream: (abortSignal) => model.doStream({ ...options, abortSignal })
    }
  }
  if (request.settings.reasoningEffort !== undefined) {
    throw new Unencodable(
      "settings.reasoningEffort",
      "specification v3 of the AI SDK has no word for it: use the provider's own option, in `settings.extra.providerOptions`"
    )
  }
  const options: LanguageModelV3CallOptions = { prompt: toV3(messages), ...common }
  addExtra(options, request.settings, fieldsV3)
  return {
    ...asked,
    generate: (abortSignal) => model.doGenerate({ ...options, abortSignal }),
    stream: (abortSignal) => model.doStream({ ...options, abortSignal })
  }
}

type Common = Omit<LanguageModelV4CallOptions, "prompt" | "reasoning" | "abortSignal">

const encodeCommon = (request: Request): Common => {
  const { responseFormat, settings } = request
  const options: Common = {}
  encodeNumbers(options, settings, [
    ["maxOutputTokens", "maxOutputTokens"],
    ["temperature", "temperature"],
    ["topP", "topP"],
    ["seed", "seed"]
  ])
  if (settings.stop !== undefined && settings.stop.length > 0) options.stopSequences = [...settings.stop]
  const offered = offeredTools(request)
  if (offered.length > 0) {
    options.tools = offered.map(encodeTool)
    options.toolChoice = encodeChoice(request.toolChoice)
  }
  if (responseFormat.type === "json") {
    options.responseFormat = {
      type: "json",
      schema: schemaOf(structuredOutput(responseFormat.schema).jsonSchema),
      name: nameOf(responseFormat.objectName)
    }
  }
  return options
}

// Two names for one thing, of which the specification's is the more exact.
const schemaOf = (schema: JsonSchema.JsonSchema): JSONSchema7 => schema as JSONSchema7

const encodeChoice = (choice: Request["toolChoice"]): LanguageModelV4ToolChoice =>
  typeof choice === "string"
    ? { type: choice }
    : "oneOf" in choice
    ? { type: choice.mode ?? "auto" }
    : { type: "tool", toolName: choice.tool }

const encodeTool = (tool: Tool.Any, index: number): LanguageModelV4FunctionTool | LanguageModelV4ProviderTool => {
  if (Tool.isProviderDefined(tool)) {
    // How its failures are handled is between the application and `effect/ai`.
    const { failureMode: _, ...args } = fields(tool.args)
    return { type: "provider", id: tool.id, name: tool.name, args: JSON.parse(stringify(args, `tools[${index}]`)) }
  }
  const { jsonSchema, strict } = toolSchema(tool)
  const description = Tool.getDescription(tool)
  return {
    type: "function",
    name: tool.name,
    ...(description === undefined ? undefined : { description }),
    inputSchema: schemaOf(jsonSchema),
    ...(strict === undefined ? undefined : { strict })
  }
}

type Effort = NonNullable<LanguageModelV4CallOptions["reasoning"]>

const efforts: { readonly [effort in Effort]: true } = {
  "provider-default": true,
  none: true,
  minimal: true,
  low: true,
  medium: true,
  high: true,
  xhigh: true,
  max: true
}

const isEffort = (effort: string): effort is Effort => Object.hasOwn(efforts, effort)

const encodeReasoning = (effort: string | undefined): Pick<LanguageModelV4CallOptions, "reasoning"> => {
  if (effort === undefined) return {}
  if (isEffort(effort)) return { reasoning: effort }
  throw new Unencodable(
    "settings.reasoningEffort",
    `the AI SDK knows ${
      Object.keys(efforts).join(", ")
    }: for anything else use the provider's own option, in \`settings.extra.providerOptions\``
  )
}

// What is JSON among the options of a call. The rest is what a request is made of.
const fieldsV3: ReadonlySet<string> = new Set([
  "maxOutputTokens",
  "temperature",
  "stopSequences",
  "topP",
  "topK",
  "presencePenalty",
  "frequencyPenalty",
  "responseFormat",
  "seed",
  "toolChoice",
  "headers",
  "providerOptions"
])

const fieldsV4: ReadonlySet<string> = new Set([...fieldsV3, "reasoning"])

const addExtra = (options: object, settings: Settings, known: ReadonlySet<string>): void => {
  for (const [field, value] of Object.entries(settings.extra ?? {})) {
    if (!known.has(field)) {
      throw new Unencodable(
        "settings.extra",
        `its fields are options of an AI SDK call (${[...known].join(", ")}): options of a provider are under ` +
          "`providerOptions`, by the provider's name"
      )
    }
    Object.assign(options, { [field]: value })
  }
}

/** Throws where a file is given by an address that the model does not take, as its `supportedUrls` say. */
export const checkAddresses = (supported: unknown, addresses: ReadonlyArray<Address>): void => {
  const patterns = Object.entries(fields(supported)).map(([type, patterns]) =>
    [
      type === "*" || type === "*/*" ? "" : type.toLowerCase().replace(/\*$/, ""),
      Array.isArray(patterns) ? patterns.filter((pattern) => pattern instanceof RegExp) : []
    ] as const
  )
  for (const { at, mediaType, url } of addresses) {
    // A type of which only the first half is known fits where any second half would.
    const type = mediaType.toLowerCase().replace(/^([^/]*)$/, "$1/").replace(/\*$/, "")
    const taken = patterns.some(([prefix, patterns]) =>
      (prefix === "" || prefix.endsWith("/") ? type.startsWith(prefix) : type === prefix) &&
      patterns.some((pattern) => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).test(url.toLowerCase()))
    )
    if (taken) continue
    throw new Unencodable(
      at,
      `the model does not take files of type ${printable(mediaType)} by this address: give the bytes`
    )
  }
}
