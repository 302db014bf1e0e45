/**
 * What is written in the files of prompts: YAML, and markdown with front matter.
 *
 * No problem quotes a file: where a text is not indented, say, it looks like a key.
 */
import * as DateTime from "effect/DateTime"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Yaml from "yaml"
import * as Version from "../PromptVersion.ts"
import type { Problem } from "./store.ts"
import { pathOf } from "./storeHome.ts"

export type YamlModule = typeof Yaml

/** A problem, of which only the file itself is missing. */
export type Fault = Pick<Problem, "kind" | "message" | "remedy" | "line" | "column">

export type Parsed<A> = { readonly _tag: "Good"; readonly value: A } | {
  readonly _tag: "Bad"
  readonly faults: ReadonlyArray<Fault>
}

const bad = (...faults: ReadonlyArray<Fault>): Parsed<never> => ({ _tag: "Bad", faults })

/** What a file says of a version; its name and number are those of the file. */
export interface Written {
  readonly content: Version.Content
  readonly version: number | undefined
  readonly createdAt: number | undefined
  readonly author?: string
  readonly message?: string
  readonly metadata?: { readonly [key: string]: Schema.Json }
}

const { extra, maxOutputTokens, reasoningEffort, seed, stop, temperature, topP } = Version.Settings.fields

const fields = {
  version: Schema.optionalKey(Version.VersionNumber),
  author: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  created_at: Schema.optionalKey(Schema.String.check(
    Schema.makeFilter((text) => Option.isSome(DateTime.make(text)), { expected: "a time such as 2026-03-01T12:00:00Z" })
  )),
  metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  model: Schema.optionalKey(Schema.NonEmptyString),
  temperature,
  top_p: topP,
  max_output_tokens: maxOutputTokens,
  stop,
  seed,
  reasoning_effort: reasoningEffort,
  extra,
  system: Schema.optionalKey(Schema.NonEmptyString),
  user_template: Schema.optionalKey(Schema.NonEmptyString),
  messages: Schema.optionalKey(Schema.NonEmptyArray(Version.Message)),
  examples: Version.Content.fields.examples,
  includes: Version.Content.fields.includes
}

const VersionFile = Schema.Struct(fields)

const MarkdownFile = Schema.Struct({
  ...fields,
  /** Which message the text below is. */
  body: Schema.optionalKey(Schema.Literals(["system", "user_template"]))
})

const LabelsFile = Schema.Record(Schema.String, Version.VersionNumber)

const LockFile = Schema.Record(
  Schema.String,
  Schema.Record(Schema.String, Version.PromptVersion.fields.hash)
)

const invalid = (message: string, remedy: string, at?: Place): Fault => ({ kind: "Invalid", message, remedy, ...at })

interface Place {
  readonly line: number
  readonly column: number
}

/** Far more than a prompt needs. More would take long to be read. */
const maxTokens = 20_000

const maxFaults = 10

/** A document as plain data, and where its fields are. */
const readYaml = (
  yaml: YamlModule,
  text: string,
  firstLine: number
): Parsed<{ readonly value: unknown; readonly at: (path: ReadonlyArray<string>) => Place }> => {
  const syntax = (message: string, remedy: string, at?: Place): Parsed<never> =>
    bad({ kind: "Syntax", message, remedy, ...at })
  let tokens = 0
  for (const _ of new yaml.Lexer().lex(text)) {
    if (++tokens > maxTokens) {
      return syntax(`it has more than ${maxTokens} parts`, "Write long texts as blocks, after `|`, or use fewer fields")
    }
  }
  const lines = new yaml.LineCounter()
  const document = yaml.parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // It takes quadratic time; we look ourselves.
    uniqueKeys: false,
    schema: "core",
    logLevel: "error"
  })
  const place = (offset: number): Place => {
    const { col, line } = lines.linePos(offset)
    return { line: line + firstLine - 1, column: col }
  }
  const error = document.errors[0] ?? document.warnings[0]
  if (error !== undefined) {
    return syntax(
      `it is not the YAML that is read here (${error.code.toLowerCase().replaceAll("_", " ")})`,
      "Correct it where the line and column say, or shortly before",
      place(error.pos[0])
    )
  }
  const faults: Array<Fault> = []
  yaml.visit(document, {
    Alias: (_, node) => {
      faults.push({
        kind: "Syntax",
        message: "there is an alias, and aliases are not read",
        remedy: "Write out what it stands for",
        ...place(node.range?.[0] ?? 0)
      })
      return yaml.visit.BREAK
    },
    Map: (_, node) => {
      const keys = new Set<string>()
      for (const { key } of node.items) {
        const at = place(yaml.isNode(key) ? key.range?.[0] ?? 0 : node.range?.[0] ?? 0)
        const name = yaml.isScalar(key) ? key.source ?? String(key.value) : undefined
        if (name === undefined) faults.push(invalid("a key is no plain text", "Write a name in its place", at))
        else if (forbidden.has(name)) {
          faults.push(invalid("a key has a name that is not legal", "Give the field another name", at))
        } else if (keys.has(name)) {
          faults.push(invalid("a field is there twice", "Remove one of the two", at))
        } else keys.add(name)
        if (faults.length >= maxFaults) return yaml.visit.BREAK
      }
      return undefined
    }
  })
  if (faults.length > 0) return bad(...faults)
  return {
    _tag: "Good",
    value: {
      value: document.toJS({ maxAliasCount: 0 }),
      at: (path) => {
        for (let length = path.length; length >= 0; length--) {
          const offset = offsetOf(yaml, document.contents, path.slice(0, length))
          if (offset !== undefined) return place(offset)
        }
        return place(0)
      }
    }
  }
}

const forbidden = new Set(["__proto__", "prototype", "constructor"])

/** Where a field begins, which is where its name is. */
const offsetOf = (yaml: YamlModule, root: unknown, path: ReadonlyArray<string>): number | undefined => {
  let node = root
  let offset = yaml.isNode(node) ? node.range?.[0] : undefined
  for (const key of path) {
    if (yaml.isMap(node)) {
      const pair = node.items.find(({ key: own }) => yaml.isScalar(own) && (own.source ?? String(own.value)) === key)
      if (pair === undefined) return undefined
      offset = yaml.isNode(pair.key) ? pair.key.range?.[0] : offset
      node = pair.value
    } else if (yaml.isSeq(node)) {
      node = node.items[Number(key)]
      if (node === undefined) return undefined
      offset = yaml.isNode(node) ? node.range?.[0] : offset
    } else return undefined
  }
  return offset
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

const conform = <A>(
  schema: Schema.ConstraintCodec<A, unknown>,
  known: ReadonlySet<string> | undefined,
  { at, value }: { readonly value: unknown; readonly at: (path: ReadonlyArray<string>) => Place }
): Parsed<A> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return bad(invalid("it is no list of fields", "Write fields, each with a name, a colon and a value", at([])))
  }
  const faults: Array<Fault> = []
  for (const key of Object.keys(value)) {
    if (known?.has(key) === false) {
      faults.push(invalid("a field is not known", `Use these alone: ${[...known].join(", ")}`, at([key])))
    }
  }
  const decoded = Schema.decodeUnknownExit(schema)(value, { errors: "all", onExcessProperty: "error" })
  if (Exit.isSuccess(decoded) && faults.length === 0) return { _tag: "Good", value: decoded.value }
  if (Exit.isFailure(decoded) && faults.length === 0) {
    for (const reason of decoded.cause.reasons) {
      if (reason._tag !== "Fail" || !Schema.isSchemaError(reason.error)) continue
      const seen = new Set<string>()
      for (const { message, path } of issuesOf(reason.error.issue).issues) {
        const where = pathOf(path)
        // One fault is enough of a field.
        if (seen.has(where.join("\0"))) continue
        seen.add(where.join("\0"))
        // Below these, keys are the author's.
        const open = where.findIndex((segment) =>
          segment === "metadata" || segment === "extra" || segment === "includes"
        )
        const shown = known === undefined ? "" : (open < 0 ? where : where.slice(0, open + 1)).join(".")
        faults.push(
          invalid(
            shown === "" ? message : `${message} at ${shown}`,
            "Correct the field",
            at(where)
          )
        )
      }
    }
  }
  return bad(...faults.slice(0, maxFaults))
}

const knownFields = new Set(Object.keys(fields))
const knownMarkdown = new Set([...knownFields, "body"])

const parsed = <A, B>(self: Parsed<A>, then: (value: A) => Parsed<B>): Parsed<B> =>
  self._tag === "Good" ? then(self.value) : self

/** A version as YAML. */
const versionYaml = (yaml: YamlModule, text: string): Parsed<Written> =>
  parsed(
    readYaml(yaml, text, 1),
    (read) => parsed(conform(VersionFile, knownFields, read), (file) => written(file, read.at))
  )

/** A version as markdown: its fields between two lines of three dashes, and below them one of its messages. */
const versionMarkdown = (yaml: YamlModule, text: string): Parsed<Written> => {
  const front = /^---[ \t]*\n(?:([\s\S]*?)\n)?---[ \t]*(?:\n|$)/.exec(text)
  if (front === null) {
    return bad({
      kind: "Syntax",
      message: "it does not begin with front matter",
      remedy: "Begin with a line `---`, the fields, and another line `---`",
      line: 1,
      column: 1
    })
  }
  const below = text.slice(front[0].length).replace(/^(?:[ \t]*\n)+/, "").trimEnd()
  return parsed(
    readYaml(yaml, front[1] === undefined || front[1].trim() === "" ? "{}" : front[1], 2),
    (read) =>
      parsed(conform(MarkdownFile, knownMarkdown, read), ({ body = "user_template", ...file }) => {
        if (below === "") return written(file, read.at)
        if (file[body] !== undefined) {
          return bad(invalid(
            `${body} is there twice: as a field, and as the text below`,
            "Remove one of the two, or say in `body` which message the text below is",
            read.at([body])
          ))
        }
        return written({ ...file, [body]: below }, read.at)
      })
  )
}

const written = (
  file: typeof VersionFile.Type,
  at: (path: ReadonlyArray<string>) => Place
): Parsed<Written> => {
  const { author, created_at, message, metadata, model, system, user_template, version } = file
  const messages: ReadonlyArray<Version.Message> = file.messages ?? [
    ...system === undefined ? [] : [{ role: "system" as const, template: system }],
    ...user_template === undefined ? [] : [{ role: "user" as const, template: user_template }]
  ]
  if (file.messages !== undefined && (system ?? user_template) !== undefined) {
    return bad(invalid(
      "it has `messages` and also `system` or `user_template`",
      "Write all messages in `messages`, or none",
      at(["messages"])
    ))
  }
  const [first, ...rest] = messages
  if (first === undefined) {
    return bad(invalid("it has no message", "Write `system`, `user_template` or `messages`", at([])))
  }
  const settings = present({
    temperature: file.temperature,
    topP: file.top_p,
    maxOutputTokens: file.max_output_tokens,
    stop: file.stop,
    seed: file.seed,
    reasoningEffort: file.reasoning_effort,
    extra: file.extra
  })
  return {
    _tag: "Good",
    value: {
      version,
      createdAt: created_at === undefined ? undefined : DateTime.toEpochMillis(DateTime.makeUnsafe(created_at)),
      ...present({ author, message, metadata }),
      content: {
        ...present({
          model,
          settings: Object.keys(settings).length === 0 ? undefined : settings,
          examples: file.examples,
          includes: file.includes
        }),
        messages: [first, ...rest]
      }
    }
  }
}

type Present<A> = { readonly [Key in keyof A]?: Exclude<A[Key], undefined> }

const present = <A extends object>(fields: A): Present<A> =>
  // The ones that are there.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<A>

/** A version. */
export const parseVersion = (yaml: YamlModule, source: string, text: string): Parsed<Written> =>
  source.endsWith(".md") ? versionMarkdown(yaml, text) : versionYaml(yaml, text)

/** Which version each label points to. */
export const parseLabels = (yaml: YamlModule, text: string): Parsed<ReadonlyMap<string, number>> =>
  parsed(readYaml(yaml, text, 1), (read) =>
    parsed(
      // A file without labels says nothing.
      conform(LabelsFile, undefined, read.value === null ? { ...read, value: {} } : read),
      (file): Parsed<ReadonlyMap<string, number>> => {
        const wrong = Object.keys(file).find((label) => !isLabel(label))
        return wrong === undefined
          ? { _tag: "Good", value: new Map(Object.entries(file)) }
          : bad(invalid(
            "a label has a name that is not legal",
            "Call it by 1 to 100 of a-z, 0-9, `.`, `_` and `-`, with a letter or a digit first",
            read.at([wrong])
          ))
      }
    ))

const isLabel = Schema.is(Version.Label)

/** The hash of each version that was pinned: by prompt, then by number. */
export type Pins = ReadonlyMap<string, ReadonlyMap<number, string>>

export const parseLock = (yaml: YamlModule, text: string): Parsed<Pins> =>
  parsed(readYaml(yaml, text, 1), (read) =>
    parsed(
      conform(LockFile, undefined, read.value === null ? { ...read, value: {} } : read),
      (file): Parsed<Pins> => ({
        _tag: "Good",
        value: new Map(
          Object.entries(file).map(([name, hashes]) => [
            name,
            new Map(Object.entries(hashes).map(([version, hash]) => [Number(version), hash]))
          ])
        )
      })
    ))

/** As {@link parseLock} reads it. */
export const formatLock = (pins: Pins): string => {
  const lines = [
    "# The hashes of the versions that were published. A version whose file says something else is not served."
  ]
  for (const [name, hashes] of Array.from(pins).toSorted(([one], [other]) => one < other ? -1 : 1)) {
    lines.push(`${JSON.stringify(name)}:`)
    for (const [version, hash] of Array.from(hashes).toSorted(([one], [other]) => one - other)) {
      lines.push(`  ${version}: "${hash}"`)
    }
  }
  return `${lines.join("\n")}\n`
}
