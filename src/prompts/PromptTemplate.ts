/**
 * Templates of prompts: text with variables, in the language of Liquid (by `liquidjs`, an optional peer), as far as a prompt needs it.
 *
 * - `{{ name }}` writes a variable, `{{ items | join: ", " }}` what a filter makes of it.
 * - `{% if %}`, `{% unless %}`, `{% case %}`, `{% for %}` (with `break`, `continue`), `{% assign %}`, `{% capture %}`, `{% cycle %}`,
 *   `{% raw %}`, `{% comment %}`, and `{% # a remark %}`.
 * - `{% include "tone" %}` writes a fragment that the version has under `includes`. It sees the variables of the template.
 *
 * **A value is data.** It is written as it is and never read as a template, whatever stands in it; it cannot end a message or begin one,
 * since each message is rendered by itself. Only own properties are seen, and no code is.
 *
 * **White space** is written as it stands, but for three things: what a template begins and ends with is left out (that of values is
 * not), a line of Windows ends as any other, and a hyphen (`{%-`, `-%}`, `{{-`, `-}}`) takes away what stands on its side.
 *
 * **What is not there** is an error where it is written, and false in a condition; a filter `default` gives it a value. An object or a list
 * is an error where it is written: `{{ user | json }}`, `{{ items | join: ", " }}`.
 *
 * **What is left out of Liquid:** whatever reads files, or depends on the time, a zone, a locale or chance (`date`, `sample`), or reads an
 * expression out of a text (`where_exp`, `find`), and the filters for web pages. What remains gives the same text for the same variables.
 *
 * **Bounds** hold on the text of a template, on what it writes, on the time it takes and on what it works on: see {@link Bounds}.
 *
 * **Gotchas**
 *
 * That a value cannot make a message does not mean that a model does not believe it: text that says what to do is still text that the
 * model reads. Put what is not yours into a message of the user, between marks that the system message names.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Template } from "liquidjs"
import * as Engine from "./internal/templateEngine.ts"
import { explain } from "./internal/templateExplain.ts"
import { plain } from "./internal/templateValues.ts"

/**
 * How much a template may be and do.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bounds {
  /** The longest text of a template, in characters. Default: 262,144. */
  readonly templateLength?: number | undefined
  /** The longest text that a template may write, in characters. Default: 4,194,304. */
  readonly outputLength?: number | undefined
  /** How long a rendering may take, in milliseconds of the machine's own clock: nothing else runs meanwhile. Default: 500. */
  readonly renderMillis?: number | undefined
  /** How many characters and items the steps of a rendering may work on, summed up. Default: 10,000,000. */
  readonly renderMemory?: number | undefined
}

/**
 * The bounds that hold where nothing else is said.
 *
 * @category models
 * @since 0.1.0
 */
export const defaultBounds: { readonly [Key in keyof Bounds]-?: number } = {
  templateLength: 262_144,
  outputLength: 4_194_304,
  renderMillis: 500,
  renderMemory: 10_000_000
}

/**
 * A template is none, or cannot be rendered. It never quotes what the template or a value says.
 *
 * @category errors
 * @since 0.1.0
 */
export class TemplateInvalid extends Schema.TaggedError<TemplateInvalid>()("TemplateInvalid", {
  /** What is wrong, as a sentence. */
  problem: Schema.String,
  /** How to mend it, as a sentence. */
  remedy: Schema.String,
  /** The line, from 1, where it is known. */
  line: Schema.optionalKey(Schema.Int),
  /** The column in the line, from 1. */
  column: Schema.optionalKey(Schema.Int)
}) {
  /**
   * Says where and what is wrong, and how to mend it.
   *
   * @since 0.1.0
   */
  override get message(): string {
    const at = this.line === undefined ? "" : `line ${this.line}, column ${this.column ?? 1}: `
    return `${at}${this.problem}. ${this.remedy}`
  }
}

/**
 * A variable that a template uses, and the first line that it does so in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Use {
  /** Its name, and those of the fields in it, or the indices; `undefined` for what is known only when it is rendered. */
  readonly path: ReadonlyArray<string | number | undefined>
  /** The line, from 1. In a fragment: of the fragment. */
  readonly line: number
}

/**
 * A template that was parsed.
 *
 * @category models
 * @since 0.1.0
 */
export interface PromptTemplate {
  /** The variables that it and its fragments use and do not set themselves. */
  readonly uses: ReadonlyArray<Use>
  /** How much is rendered, fragments included, in templates. */
  readonly size: number
  /** What was parsed. */
  readonly templates: ReadonlyArray<Template>
}

/** How often fragments may stand in a template, those in fragments among them. */
const mostFragments = 1_000

/**
 * Parses a template.
 *
 * **Example** (A template, its variables, and what it writes)
 *
 * ```ts
 * import { PromptTemplate } from "effect-bulwark/prompts"
 * import { Result } from "effect"
 *
 * const template = Result.getOrThrow(PromptTemplate.parse("Hello, {{ user.name }}!"))
 *
 * template.uses.map(({ path }) => path) // => [["user", "name"]]
 *
 * Result.getOrThrow(PromptTemplate.render(template, { user: { name: "{{ secret }}" } })) // => "Hello, {{ secret }}!"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (
  text: string,
  options?: {
    /** The fragments that it may include, by the names that it uses for them. */
    readonly includes?: ReadonlyMap<string, PromptTemplate> | undefined
    /** How long it may be. */
    readonly bounds?: Bounds | undefined
  }
): Result.Result<PromptTemplate, TemplateInvalid> => {
  const most = options?.bounds?.templateLength ?? defaultBounds.templateLength
  if (text.length > most) {
    return invalid({
      problem: `it is longer than ${most} characters`,
      remedy: "Make it shorter, or raise `templateLength`"
    })
  }
  const body = text.replaceAll("\r\n", "\n").trimEnd()
  const start = body.length - body.trimStart().length
  const lines = body.slice(0, start).split("\n").length - 1
  const included: Array<string> = []
  try {
    const templates = Engine.parse(
      body.slice(start),
      (name) => {
        included.push(name)
        return options?.includes?.get(name)?.templates
      }
    )
    const size = included.reduce((sum, name) => sum + (options?.includes?.get(name)?.size ?? 0), 1)
    if (size > mostFragments) {
      return invalid({ problem: `it has more than ${mostFragments} fragments in all`, remedy: "Include less" })
    }
    const uses = Engine.uses(templates).map(({ line, path }) => ({ path, line: line + lines }))
    return Result.succeed({ uses, size, templates })
  } catch (error) {
    return invalid(explain(error, lines, []))
  }
}

/**
 * Renders a template.
 *
 * **Details**
 *
 * The values are data as in JSON: texts, finite numbers, booleans, `null`, lists and objects of them. Anything else is refused, and so is
 * what has no end.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (
  self: PromptTemplate,
  values: { readonly [name: string]: unknown },
  bounds?: Bounds
): Result.Result<string, TemplateInvalid> => {
  const data = plain(values)
  return Result.isFailure(data)
    ? invalid({ problem: data.failure, remedy: "Give what JSON can say" })
    : renderPlain(self, data.success, boundsOf(bounds))
}

/**
 * Renders a template with values that are known to be data.
 *
 * @internal
 */
export const renderPlain = (
  self: PromptTemplate,
  values: { readonly [name: string]: unknown },
  bounds: Engine.Bounds
): Result.Result<string, TemplateInvalid> => {
  try {
    return Result.succeed(Engine.render(self.templates, values, bounds))
  } catch (error) {
    return invalid(explain(error, 0, self.uses, bounds))
  }
}

/**
 * All bounds, with their defaults; throws a `RangeError` where one is not legal.
 *
 * @internal
 */
export const boundsOf = (bounds: Bounds | undefined): Engine.Bounds => {
  const all: { -readonly [Key in keyof Engine.Bounds]: number } = { ...defaultBounds }
  for (const key of Object.keys(defaultBounds) as Array<keyof Bounds>) {
    const bound = bounds?.[key] ?? defaultBounds[key]
    if (!(bound >= 1)) throw new RangeError(`PromptTemplate: \`${key}\` must be at least 1, got ${bound}`)
    all[key] = bound
  }
  return all
}

const invalid = (fields: ConstructorParameters<typeof TemplateInvalid>[0]): Result.Result<never, TemplateInvalid> =>
  Result.fail(new TemplateInvalid(fields))
