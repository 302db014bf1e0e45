/**
 * Where the models of an AI SDK provider come from. Everything of `@ai-sdk/provider` is a type here: its errors are known by the
 * symbols that mark them, so that the package need not be there, and may be there twice.
 */
import type { LanguageModelV3, LanguageModelV4 } from "@ai-sdk/provider"
import { fields, text } from "./read.ts"

/** A model of one of the specifications that are understood. */
export type Model = LanguageModelV4 | LanguageModelV3

/** One model, or a function that finds a model by its name. */
export type Source = Model | ((modelId: string) => Model)

const versions: ReadonlySet<unknown> = new Set(["v3", "v4"])

/** What keeps a value from being a model, where something does. */
export const modelProblem = (model: unknown): string | undefined => {
  const { doGenerate, doStream, specificationVersion } = fields(model)
  if (typeof doGenerate !== "function" || typeof doStream !== "function") return "it is no language model of the AI SDK"
  if (versions.has(specificationVersion)) return undefined
  const version = text(specificationVersion)?.slice(0, 16)
  return `it follows specification ${
    version ?? "v1"
  } of the AI SDK, and only v4 and v3 are understood: update its package`
}
