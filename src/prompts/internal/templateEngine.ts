/**
 * The one engine of templates: `liquidjs` with what reads files, clocks or chance taken out, and a limit on all that grows.
 */
import * as Liquid from "liquidjs"

/** Logic-light: nothing that reaches outside of the template and its variables, and no state that outlives a rendering. */
const tags = [
  "assign",
  "break",
  "capture",
  "case",
  "comment",
  "continue",
  "cycle",
  "for",
  "if",
  "include",
  "raw",
  "unless",
  "#"
]

/**
 * None that depends on the time, a zone, a locale or chance (`date`, `sample`), none that reads an expression out of a text (`where_exp`,
 * `find`), and none whose work grows faster than its input.
 */
const filters = `
  abs at_least at_most ceil divided_by floor minus modulo plus round times to_integer append capitalize downcase
  lstrip normalize_whitespace number_of_words prepend remove remove_first remove_last replace replace_first
  replace_last rstrip split squish strip strip_newlines truncate truncatewords upcase escape escape_once xml_escape
  array_to_sentence_string compact concat first join last map push reverse size slice sort sort_natural sum uniq
  unshift default json
`.trim().split(/\s+/)

export interface Bounds {
  /** The longest text of a template, in characters. */
  readonly templateLength: number
  /** The longest text that a rendering may give, in characters. */
  readonly outputLength: number
  /** How long a rendering may take, in milliseconds. */
  readonly renderMillis: number
  /** How many characters and items all steps of a rendering may work on. */
  readonly renderMemory: number
}

/** What is written that has no one form as a text. */
export class NoText extends Error {}

/** More was written than may be. */
export class TooLong extends Error {}

/** A fragment is asked for that the template has no name for. */
export class NoFragment extends Error {}

class Written implements Liquid.Emitter {
  buffer = ""
  private readonly most: number

  constructor(most: number) {
    this.most = most
  }

  write(value: unknown): void {
    if (value === undefined || value === null) return
    if (typeof value === "object" || typeof value === "function") {
      throw new NoText(Array.isArray(value) ? "a list" : "an object")
    }
    const text = String(value)
    if (this.buffer.length + text.length > this.most) throw new TooLong()
    this.buffer += text
  }
}

const limitsOf = (ctx: Liquid.Context): number =>
  (ctx.environments as { readonly [outputLength]: number })[outputLength]

/** Under a symbol, templates cannot see it. */
const outputLength = Symbol("outputLength")

/** As the engine's own, which writes whatever is there, and without end. */
class Capture extends Liquid.CaptureTag {
  override *render(ctx: Liquid.Context): Generator<unknown, void, string> {
    const written = new Written(limitsOf(ctx))
    yield this.liquid.renderer.renderTemplates(this.templates, ctx, written)
    ctx.memoryLimit.use(written.buffer.length)
    ctx.bottom()[this.variable] = written.buffer
  }
}

/** Finds a fragment by its name. */
export type Fragments = (name: string) => ReadonlyArray<Liquid.Template> | undefined

/** The fragments of the template that is being parsed, which is one step. */
let fragments: Fragments = () => undefined

/** `{% include "tone" %}`: a fragment in the scope of the template. Its name is known when the template is parsed. */
class Include extends Liquid.Tag {
  private readonly templates: Array<Liquid.Template>

  constructor(token: Liquid.TagToken, remaining: Array<Liquid.TopLevelToken>, liquid: Liquid.Liquid) {
    super(token, remaining, liquid)
    const name = /^\s*(?:"([^"]*)"|'([^']*)')\s*$/.exec(token.args)
    if (name === null) {
      throw new NoFragment("`include` takes the name of a fragment in quotes and nothing else")
    }
    const templates = fragments(name[1] ?? name[2] ?? "")
    if (templates === undefined) {
      throw new NoFragment("`include` names a fragment that is not under `includes`")
    }
    this.templates = [...templates]
  }

  *render(ctx: Liquid.Context, emitter: Liquid.Emitter): Generator<unknown, void, unknown> {
    yield this.liquid.renderer.renderTemplates(this.templates, ctx, emitter)
  }

  *children(): Generator<unknown, Array<Liquid.Template>> {
    return this.templates
  }
}

const only = (all: object, names: ReadonlyArray<string>): void => {
  for (const name of Object.keys(all)) if (!names.includes(name)) Reflect.deleteProperty(all, name)
  // `constructor` and its like are no tags and no filters.
  Object.setPrototypeOf(all, null)
}

const engine = new Liquid.Liquid({
  cache: false,
  strictVariables: true,
  strictFilters: true,
  // What is absent is false in a condition, and has a `default`; written, it is an error.
  lenientIf: true,
  ownPropertyOnly: true,
  dynamicPartials: false,
  templates: {},
  parseLimit: Infinity
})
engine.registerTag("capture", Capture)
engine.registerTag("include", Include)
only(engine.tags, tags)
only(engine.filters, filters)

/** Parses a template. Throws what the engine does. */
export const parse = (text: string, includes: Fragments): ReadonlyArray<Liquid.Template> => {
  const outer = fragments
  fragments = includes
  try {
    return engine.parse(text)
  } finally {
    fragments = outer
  }
}

/** Where a template uses a variable that it does not set itself: names and indices, `undefined` where they are computed. */
export interface Use {
  readonly path: ReadonlyArray<string | number | undefined>
  readonly line: number
}

/** All uses of variables that a template does not set itself, those of its fragments among them. Throws what the engine does. */
export const uses = (templates: ReadonlyArray<Liquid.Template>): ReadonlyArray<Use> => {
  const found = new Map<string, Use>()
  for (const variables of Object.values(engine.analyzeSync([...templates]).globals)) {
    for (const { location, segments } of variables) {
      const path = segments.map((segment) => typeof segment === "object" ? undefined : segment)
      const key = JSON.stringify(path)
      if (!found.has(key)) found.set(key, { path, line: location.row })
    }
  }
  return [...found.values()]
}

/** Renders a template. Throws what the engine does, and the errors of this file. */
export const render = (
  templates: ReadonlyArray<Liquid.Template>,
  values: { readonly [name: string]: unknown },
  bounds: Bounds
): string => {
  const environment = Object.assign(Object.create(null), values, { [outputLength]: bounds.outputLength })
  const ctx = new Liquid.Context(environment, engine.options, {
    sync: true,
    memoryLimit: bounds.renderMemory,
    renderLimit: bounds.renderMillis
  })
  const written = new Written(bounds.outputLength)
  Liquid.toValueSync(engine.renderer.renderTemplates([...templates], ctx, written))
  return written.buffer
}
