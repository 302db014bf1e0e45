/**
 * Whether a version fits a definition: its variables are those of the templates, and its model is known.
 */
import * as Result from "effect/Result"
import * as PromptTemplate from "../PromptTemplate.ts"
import type { Compiled, Fault } from "./promptCompile.ts"
import type { Bounds } from "./templateEngine.ts"
import type { Shape } from "./templateShape.ts"

/** What a definition says that a version must keep to. */
export interface Definition {
  readonly shape: Shape
  /** The names of the models; none where the prompt is only rendered. */
  readonly models: ReadonlyArray<string>
  /** The model of versions that name none. */
  readonly model: string | undefined
}

const quoted = (names: Iterable<string>): string => {
  const all = Array.from(names, (name) => JSON.stringify(name))
  return all.length === 0 ? "none" : all.join(", ")
}

const nameOf = (path: ReadonlyArray<string | number | undefined>): string =>
  path.map((segment, n) => typeof segment === "string" ? n === 0 ? segment : `.${segment}` : `[${segment ?? "..."}]`)
    .join("")

/** All that is wrong. */
export const misfits = (
  { messages, version: { content } }: Compiled,
  { model, models, shape }: Definition,
  bounds: Bounds
): ReadonlyArray<Fault> => {
  const faults: Array<Fault> = []
  const used = new Set<string>()
  for (const { template, where } of messages) {
    for (const { line, path } of template.uses) {
      const [variable] = path
      if (typeof variable === "string") used.add(variable)
      const known = shape.known(path)
      if (known === path.length) continue
      faults.push({
        where: `${where}, line ${line}`,
        problem: known === 0
          ? `there is no variable ${JSON.stringify(nameOf(path.slice(0, 1)))}`
          : `there is no ${JSON.stringify(nameOf(path.slice(0, known + 1)))}`,
        remedy: known === 0
          ? `The definition has ${quoted(shape.variables.keys())}: use one of these, or define it`
          : `Use what the schema of ${JSON.stringify(variable)} has, or define it there`
      })
    }
  }
  for (const [name, { required }] of shape.variables) {
    if (required && !used.has(name)) {
      faults.push({
        where: "the templates",
        problem: `none uses the variable ${JSON.stringify(name)}, which must be given`,
        remedy: "Use it, or make it optional in the definition (`Schema.optionalKey`)"
      })
    }
  }
  if (models.length > 0) {
    const asked = content.model ?? model
    if (asked === undefined) {
      faults.push({
        where: "the model",
        problem: "it names none, and the definition has none for such versions",
        remedy: `Name one of ${quoted(models)}, or set \`model\` in the definition`
      })
    } else if (!models.includes(asked)) {
      faults.push({
        where: "the model",
        problem: `the definition has no model ${JSON.stringify(asked)}`,
        remedy: `Name one of ${quoted(models)}, or add it to \`models\` of the definition`
      })
    }
  }
  return faults.length > 0 || shape.open ? faults : trials(messages, shape, bounds)
}

/** Renders with as much as there can be, and with as little. */
const trials = (messages: Compiled["messages"], shape: Shape, bounds: Bounds): ReadonlyArray<Fault> => {
  const names = new Set(
    messages.flatMap(({ template }) =>
      template.uses.flatMap(({ path }) => path.filter((one) => typeof one === "string"))
    )
  )
  const faults = [true, false].flatMap((much) => {
    const values = shape.sample(much, names)
    return messages.flatMap(({ template, where }): ReadonlyArray<Fault> => {
      const rendered = PromptTemplate.renderPlain(template, values, bounds)
      if (Result.isSuccess(rendered)) return []
      const { column, line, problem, remedy } = rendered.failure
      const when = much ? "with all variables given" : "with no more variables than must be given"
      return [{
        where: line === undefined ? where : `${where}, line ${line}, column ${column}`,
        problem: `${when}, ${problem}`,
        remedy
      }]
    })
  })
  return faults.filter((fault, n) => faults.findIndex(({ where }) => where === fault.where) === n)
}
