/**
 * Prompts as the application knows them: names with types.
 */
import * as Schema from "effect/Schema"
import type * as Llm from "../../core/Llm.ts"
import { Name } from "../PromptVersion.ts"
import type { Defined } from "./registryPrompts.ts"
import { shapeOf } from "./templateShape.ts"

/**
 * A schema of variables: a struct, that needs no services to encode.
 *
 * @category models
 * @since 0.1.0
 */
export type VariablesSchema = Schema.Top & { readonly EncodingServices: never }

/**
 * The models that versions may name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Models {
  readonly [name: string]: Llm.Any
}

/**
 * A prompt as the application knows it: its name, and what is asked of its versions.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handle<
  Variables extends VariablesSchema,
  M extends Models = {},
  Output extends Schema.Top | undefined = undefined
> {
  /** The name of the prompt. */
  readonly name: string
  /** What its templates are given. */
  readonly variables: Variables
  /** What `PromptRegistry.generateObject` gives back. */
  readonly output: Output
  /** The models that its versions may name. */
  readonly models: M
  /** The label that is asked for where nothing else is said. */
  readonly label: string
  /** What the registry looks at. */
  readonly defined: Defined
}

/**
 * Any prompt.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyHandle {
  readonly name: string
  readonly label: string
  readonly models: Models
  readonly defined: Defined
}

const isName = Schema.is(Name)

/** What a variable of a template may be called; the rest means something else there. */
const variableName = /^[A-Za-z_][\w-]*$/
const reserved = ["true", "false", "nil", "null", "empty", "blank", "and", "or", "not", "contains", "forloop", "in"]

export const makeHandle = (
  name: string,
  options: {
    readonly variables: VariablesSchema
    readonly output?: Schema.Top | undefined
    readonly models?: Models | undefined
    readonly model?: string | undefined
    readonly label?: string | undefined
  }
): Handle<VariablesSchema, Models, Schema.Top | undefined> => {
  const refuse = (what: string, got: string): never => {
    throw new RangeError(`PromptRegistry.define: ${what}, got ${got}`)
  }
  const { label = "production", model, models = {}, output, variables } = options
  if (!isName(name)) {
    refuse("the name must be 1 to 100 of a-z, 0-9, `.`, `_` and `-`, a letter or a digit first", JSON.stringify(name))
  }
  if (!isName(label)) refuse("`label` must be named as a prompt is", JSON.stringify(label))
  if (model !== undefined && !Object.hasOwn(models, model)) {
    refuse("`model` must be one of `models`", JSON.stringify(model))
  }
  const shape = shapeOf(variables)
  if (shape === undefined) {
    throw new RangeError("PromptRegistry.define: `variables` must be a struct, such as `Schema.Struct({ ... })`")
  }
  for (const variable of shape.variables.keys()) {
    if (!variableName.test(variable) || reserved.includes(variable)) {
      refuse("a variable must be named so that a template can name it", JSON.stringify(variable))
    }
  }
  if (shape.foreign !== undefined) {
    refuse(
      "a variable must encode to data as in JSON (`Schema.DateFromString`, not `Schema.Date`; for others `Schema.toCodecJson`)",
      JSON.stringify(shape.foreign)
    )
  }
  return {
    name,
    variables,
    output,
    models,
    label,
    defined: {
      name,
      shape,
      models: Object.keys(models),
      model,
      encode: Schema.encodeUnknownResult(variables, { errors: "all" })
    }
  }
}
