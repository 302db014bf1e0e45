/**
 * Writes a valid instance of a JSON Schema, with words of a text wherever the schema leaves the choice.
 */
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { candidates, compile } from "./pattern.ts"
import { combine, constraintsOf, dereference, mergeAll, type SchemaObject, typesOf } from "./schemaMerge.ts"
import { clip, keywords, sentences } from "./summary.ts"

const impossible = Symbol("impossible")
type Result = Schema.Json | typeof impossible

/** Beyond this many nodes only what is required is written, so that schemas that name each other stay small. */
const manyNodes = 400

interface Writer {
  readonly root: unknown
  readonly sentences: ReadonlyArray<string>
  readonly keywords: ReadonlyArray<string>
  readonly numbers: ReadonlyArray<number>
  nodes: number
  nextSentence: number
  nextKeyword: number
  nextFormat: number
}

/**
 * An instance of the schema; an empty object if it has none that is finite.
 */
export const instance = (schema: unknown, text: string): Schema.Json => {
  const writer: Writer = {
    root: schema,
    sentences: sentences(text).map((sentence) => clip(sentence, 200)),
    keywords: keywords(text),
    numbers: (text.match(/-?\d+(?:\.\d+)?/g) ?? []).map(Number).filter((n) => Math.abs(n) < 1e12),
    nodes: 0,
    nextSentence: 0,
    nextKeyword: 0,
    nextFormat: 0
  }
  const written = write(writer, schema, "", [])
  return written === impossible ? {} : written
}

// The path holds the references that lead here: the smallest instance of a recursive schema never passes one twice.
const write = (writer: Writer, reference: unknown, key: string, path: ReadonlyArray<string>): Result => {
  writer.nodes++
  const target = dereference(writer.root, reference, path)
  if (target === undefined || target.schema === false) return impossible
  const { open, schema } = target
  if (!Predicate.isObject(schema)) return string(writer, {}, key)
  if (Array.isArray(schema.allOf)) {
    const merged = mergeAll(writer.root, schema, open)
    return merged === undefined ? impossible : write(writer, merged.schema, key, merged.open)
  }
  if ("const" in schema) return schema.const as Schema.Json
  for (const choice of ["anyOf", "oneOf"]) {
    const { [choice]: options, ...base } = schema
    if (!Array.isArray(options)) continue
    return firstOf(
      writer.nodes > manyNodes ? flatFirst(options) : options,
      (option) => write(writer, combine(base, option), key, open)
    )
  }
  if (Array.isArray(schema.enum)) {
    const types = typesOf(schema)
    return firstOf(
      schema.enum,
      (value: Schema.Json) => (types.some((type) => isOfType(value, type)) ? value : impossible)
    )
  }
  const types = typesOf(schema)
  return firstOf(
    writer.nodes > manyNodes && types.includes("null") ? ["null"] : types,
    (type) => ofType(writer, schema, type, key, open)
  )
}

const nesting = ["$ref", "allOf", "anyOf", "oneOf", "properties", "items"]

const isNested = (schema: unknown): boolean =>
  Predicate.isObject(schema) && nesting.some((keyword) => keyword in schema)

const flatFirst = (options: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  options.toSorted((a, b) => Number(isNested(a)) - Number(isNested(b)))

const firstOf = <A>(options: ReadonlyArray<A>, attempt: (option: A) => Result): Result => {
  for (const option of options) {
    const written = attempt(option)
    if (written !== impossible) return written
  }
  return impossible
}

const isOfType = (value: Schema.Json, type: string): boolean => {
  switch (type) {
    case "null":
      return value === null
    case "array":
      return Array.isArray(value)
    case "object":
      return Predicate.isObject(value)
    case "integer":
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}

const ofType = (
  writer: Writer,
  schema: SchemaObject,
  type: string,
  key: string,
  open: ReadonlyArray<string>
): Result => {
  switch (type) {
    case "null":
      return null
    case "boolean":
      return true
    case "integer":
    case "number":
      return number(writer, schema, type === "integer")
    case "string":
      return string(writer, schema, key)
    case "array":
      return array(writer, schema, key, open)
    case "object":
      return object(writer, schema, open)
    default:
      return impossible
  }
}

const object = (writer: Writer, schema: SchemaObject, open: ReadonlyArray<string>): Result => {
  const properties = Predicate.isObject(schema.properties) ? schema.properties : {}
  const required = Array.isArray(schema.required) ? schema.required.filter(Predicate.isString) : []
  const written: Record<string, Schema.Json> = {}
  const set = (name: string, value: Schema.Json) =>
    Object.defineProperty(written, name, { value, enumerable: true, configurable: true, writable: true })
  for (const name of Object.keys(properties)) {
    const needed = required.includes(name)
    if (!needed && writer.nodes > manyNodes) continue
    const value = write(writer, properties[name], name, open)
    if (value !== impossible) set(name, value)
    else if (needed) return impossible
  }
  const others = required.filter((name) => !Object.hasOwn(properties, name))
  const least = constraintsOf(schema).least("minProperties")
  for (let n = 1; Object.keys(written).length + others.length < least; n++) {
    if (!Object.hasOwn(written, `key_${n}`)) others.push(`key_${n}`)
  }
  for (const name of others) {
    const value = write(writer, schema.additionalProperties ?? true, name, open)
    if (value === impossible) return impossible
    set(name, value)
  }
  return written
}

const array = (writer: Writer, schema: SchemaObject, key: string, open: ReadonlyArray<string>): Result => {
  const tuple = Array.isArray(schema.prefixItems)
    ? schema.prefixItems
    : Array.isArray(schema.items)
    ? schema.items
    : []
  const items = Array.isArray(schema.items) ? schema.additionalItems : schema.items
  const constraints = constraintsOf(schema)
  const least = constraints.least("minItems")
  const wanted = Math.min(
    constraints.most("maxItems"),
    Math.max(least, tuple.length, items === undefined || items === false || writer.nodes > manyNodes ? 0 : 2)
  )
  const written: Array<Schema.Json> = []
  const seen = new Set<string>()
  for (let tries = 0; written.length < wanted && tries < wanted * 4 + 8; tries++) {
    const item = dereference(writer.root, tuple[written.length] ?? items, open)
    if (item === undefined) break
    const shape = schema.uniqueItems === true ? another(item.schema, tries) : item.schema
    const value = write(writer, shape, key, item.open)
    if (value === impossible) break
    const fingerprint = JSON.stringify(value)
    if (schema.uniqueItems === true && seen.has(fingerprint)) continue
    seen.add(fingerprint)
    written.push(value)
  }
  return written.length < least ? impossible : written
}

// Turns the choices of a schema round, so that unique items differ
const another = (schema: unknown, turn: number): unknown => {
  if (!Predicate.isObject(schema)) return schema
  if (Array.isArray(schema.enum) && schema.enum.length > 0) {
    const from = turn % schema.enum.length
    return { ...schema, enum: [...schema.enum.slice(from), ...schema.enum.slice(0, from)] }
  }
  const type = typesOf(schema)[0]
  if (type === "boolean") return { const: turn % 2 === 0 }
  if (type === "integer" || type === "number") {
    const { accepts, greatest, least, step } = constraintsOf(schema).range(type === "integer")
    const from = Number.isFinite(least)
      ? Math.ceil(least / step) * step
      : Number.isFinite(greatest)
      ? Math.floor(greatest / step) * step - 100 * step
      : step
    const value = from + turn * step
    if (accepts(value)) return { const: value }
  }
  return schema
}

const number = (writer: Writer, schema: SchemaObject, integer: boolean): Result => {
  const { accepts, greatest, least, step } = constraintsOf(schema).range(integer)
  // A multiple of a fraction has no exact double: of those in range, one that divides cleanly is preferred
  const multiples = Array.from({ length: 10 }, (_, n) => [
    round((Math.ceil(least / step) + n) * step),
    round((Math.floor(greatest / step) - n) * step)
  ]).flat()
  const options = [...writer.numbers, step, 0, ...multiples, (least + greatest) / 2, least, greatest]
    .filter((value) => Number.isFinite(value) && accepts(value))
  return options.find((value) => step === 1 || Number.isInteger(value / step)) ?? options[0] ?? impossible
}

const round = (value: number): number => Number(value.toPrecision(12))

const labels =
  /(name|title|label|id|key|tag|topic|category|type|kind|subject|author|city|country|location|unit|code)s?$/i

const formats: Record<string, (ordinal: number) => string> = {
  "date-time": (n) => `2025-01-${String(1 + (n % 28)).padStart(2, "0")}T00:00:00Z`,
  date: (n) => `2025-01-${String(1 + (n % 28)).padStart(2, "0")}`,
  time: (n) => `00:00:${String(n % 60).padStart(2, "0")}Z`,
  duration: (n) => `PT${n + 1}S`,
  email: (n) => `user${n + 1}@example.com`,
  "idn-email": (n) => `user${n + 1}@example.com`,
  hostname: (n) => `host${n + 1}.example.com`,
  "idn-hostname": (n) => `host${n + 1}.example.com`,
  ipv4: (n) => `192.0.2.${1 + (n % 254)}`,
  ipv6: (n) => `2001:db8::${(n + 1).toString(16)}`,
  uri: (n) => `https://example.com/${n + 1}`,
  url: (n) => `https://example.com/${n + 1}`,
  iri: (n) => `https://example.com/${n + 1}`,
  "uri-reference": (n) => `/${n + 1}`,
  "iri-reference": (n) => `/${n + 1}`,
  uuid: (n) => `00000000-0000-4000-8000-${String(n + 1).padStart(12, "0")}`,
  "json-pointer": (n) => `/${n + 1}`,
  "relative-json-pointer": (n) => String(n + 1),
  regex: (n) => `a{${n + 1}}`,
  byte: () => "dGV4dA==",
  base64: () => "dGV4dA=="
}

const string = (writer: Writer, schema: SchemaObject, key: string): Result => {
  const constraints = constraintsOf(schema)
  const shortest = constraints.least("minLength")
  const longest = constraints.most("maxLength")
  if (shortest > longest) return impossible
  const format = Predicate.isString(schema.format) ? formats[schema.format] : undefined
  const pattern = Predicate.isString(schema.pattern) ? compile(schema.pattern) : undefined
  const accepts = (value: string) =>
    value.length >= shortest && value.length <= longest && (pattern === undefined || pattern.test(value))
  if (format !== undefined) {
    const value = format(writer.nextFormat++)
    if (accepts(value)) return value
  }
  const label = labels.test(key) || longest <= 40
  const value = fitted(label ? nextKeyword(writer) : nextSentence(writer), shortest, longest)
  if (accepts(value)) return value
  if (pattern !== undefined && Predicate.isString(schema.pattern)) {
    for (const sample of [...writer.keywords, ...candidates(schema.pattern)]) {
      if (accepts(sample)) return sample
    }
  }
  return value
}

// Once the sentences are used up words follow, which never repeat: unique items need that
const nextSentence = (writer: Writer): string => writer.sentences[writer.nextSentence++] ?? nextKeyword(writer)

const nextKeyword = (writer: Writer): string => {
  const turn = writer.nextKeyword++
  const count = Math.max(1, writer.keywords.length)
  const word = writer.keywords[turn % count] ?? "text"
  // From the second round on words are numbered
  return turn < count ? word : `${word} ${Math.floor(turn / count) + 1}`
}

const fitted = (text: string, shortest: number, longest: number): string => {
  // Validators disagree whether such a character counts once or twice
  const plain = longest < Infinity || shortest > 0 ? text.replace(/[\u{10000}-\u{10FFFF}]/gu, "") : text
  if (plain.length < shortest) return plain.padEnd(shortest, plain === "" ? "text" : ` ${plain}`)
  if (plain.length <= longest) return plain
  const cut = clip(plain, longest)
  return cut.length >= shortest ? cut : plain.slice(0, longest)
}
