/**
 * From a version to what is rendered: its templates with their fragments, parsed once.
 */
import * as Result from "effect/Result"
import * as PromptTemplate from "../PromptTemplate.ts"
import type { Message } from "../PromptVersion.ts"
import { format, type PromptVersion } from "../PromptVersion.ts"
import type { Bounds } from "./templateEngine.ts"

/** Something that is wrong with a version: where, what, and how to mend it. It quotes names, and never what a prompt says. */
export interface Fault {
  readonly where: string
  readonly problem: string
  readonly remedy: string
}

export interface Compiled {
  readonly version: PromptVersion
  readonly messages: ReadonlyArray<CompiledMessage>
  /** The hashes of all fragments, also those in fragments, by their names (`tone@3`). */
  readonly fragments: ReadonlyMap<string, { readonly version: PromptVersion }>
}

export interface CompiledMessage {
  readonly role: Message["role"]
  readonly template: PromptTemplate.PromptTemplate
  /** For messages: `message 2 (user)`. */
  readonly where: string
}

export type Compilation = Result.Result<Compiled, ReadonlyArray<Fault>>

/** Finds a version by its name and number. */
export type Find = (name: string, version: number) => PromptVersion | undefined

/** How deep fragments may stand in fragments. */
const mostDepth = 16

export const compile = (version: PromptVersion, find: Find, bounds: Bounds): Compilation => {
  const faults: Array<Fault> = []
  const fragments = new Map<string, { readonly version: PromptVersion }>()
  const parsed = new Map<string, PromptTemplate.PromptTemplate>()

  const parse = (
    where: string,
    text: string,
    includes: ReadonlyMap<string, PromptTemplate.PromptTemplate>
  ): PromptTemplate.PromptTemplate | undefined => {
    const template = PromptTemplate.parse(text, { includes, bounds })
    if (Result.isSuccess(template)) return template.success
    const { column, line, problem, remedy } = template.failure
    const at = line === undefined ? where : `${where}, line ${line}, column ${column}`
    faults.push({ where: at, problem, remedy })
    return undefined
  }

  const includesOf = (
    { content }: PromptVersion,
    path: ReadonlyArray<string>
  ): ReadonlyMap<string, PromptTemplate.PromptTemplate> => {
    const includes = new Map<string, PromptTemplate.PromptTemplate>()
    for (const [alias, { name, version }] of Object.entries(content.includes ?? {})) {
      const template = fragment(alias, name, version, path)
      if (template !== undefined) includes.set(alias, template)
    }
    return includes
  }

  const fragment = (
    alias: string,
    name: string,
    number: number,
    path: ReadonlyArray<string>
  ): PromptTemplate.PromptTemplate | undefined => {
    const id = format({ name, version: number })
    const where = `include ${JSON.stringify(alias)} (${[...path.slice(1), id].join(" > ")})`
    const fault = (problem: string, remedy: string): undefined => {
      faults.push({ where, problem, remedy })
    }
    if (path.includes(id)) return fault("it includes itself", "Take one of the includes out")
    if (path.length > mostDepth) {
      return fault(`fragments stand in fragments more than ${mostDepth} deep`, "Include less")
    }
    const known = parsed.get(id)
    if (known !== undefined) return known
    const version = find(name, number)
    if (version === undefined) {
      return fault("there is no such version", "Publish it first, or name a version that is there")
    }
    const { examples, messages, model, settings } = version.content
    if (messages.length !== 1 || (examples ?? []).length > 0) {
      return fault("it is no fragment: it has more than one message", "Include a prompt with one message")
    }
    if (model !== undefined || settings !== undefined) {
      return fault("it is no fragment: it has a model or settings", "Take them out there, and set them here")
    }
    fragments.set(id, { version })
    const before = faults.length
    const includes = includesOf(version, [...path, id])
    const template = faults.length > before ? undefined : parse(where, messages[0].template, includes)
    if (template !== undefined) parsed.set(id, template)
    return template
  }

  const includes = includesOf(version, [format(version)])
  // Whatever includes what is not there would only be wrong once more.
  const messages = faults.length > 0 ? [] : version.content.messages.flatMap(({ role, template }, n) => {
    const where = `message ${n + 1} (${role})`
    const compiled = parse(where, template, includes)
    return compiled === undefined ? [] : [{ role, template: compiled, where }]
  })
  return faults.length === 0 ? Result.succeed({ version, messages, fragments }) : Result.fail(faults)
}

/** Whether what was compiled is what would be compiled now. */
export const isCurrent = ({ fragments, version }: Compiled, find: Find): boolean =>
  find(version.name, version.version)?.hash === version.hash &&
  Array.from(fragments.values()).every(({ version }) => find(version.name, version.version)?.hash === version.hash)
