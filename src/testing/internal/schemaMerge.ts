/**
 * JSON Schemas as data: references followed, `allOf` folded into one schema, constraints read.
 */
import * as Predicate from "effect/Predicate"

export interface SchemaObject {
  readonly [keyword: string]: unknown
}

/**
 * A schema without `$ref`, and the references now open; nothing if it refers to nothing, or to itself.
 */
export const dereference = (
  root: unknown,
  schema: unknown,
  open: ReadonlyArray<string>
): { readonly schema: unknown; readonly open: ReadonlyArray<string> } | undefined => {
  if (!Predicate.isObject(schema) || !Predicate.isString(schema.$ref)) return { schema, open }
  const { $ref: _, ...siblings } = schema
  const target = open.includes(schema.$ref) ? undefined : pointer(root, schema.$ref)
  return target === undefined
    ? undefined
    : dereference(root, combine(target, siblings), [...open, schema.$ref])
}

/**
 * What a local reference (`#`, `#/$defs/Name`) points to.
 */
const pointer = (root: unknown, reference: string): unknown => {
  if (!reference.startsWith("#")) return undefined
  let target: unknown = root
  for (const part of reference.slice(1).split("/").slice(1)) {
    const name = decode(part).replaceAll("~1", "/").replaceAll("~0", "~")
    target = Array.isArray(target)
      ? target[Number(name)]
      : Predicate.isObject(target) && Object.hasOwn(target, name)
      ? target[name]
      : undefined
  }
  return target
}

const decode = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

const greater = new Set(["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"])
const smaller = new Set(["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"])

/**
 * One schema for what satisfies both.
 */
export const combine = (self: unknown, that: unknown): unknown => {
  if (self === false || that === false) return false
  if (!Predicate.isObject(self)) return that
  if (!Predicate.isObject(that)) return self
  const merged: Record<string, unknown> = { ...self }
  const both: Array<unknown> = []
  for (const [keyword, value] of Object.entries(that)) {
    const own = merged[keyword]
    if (own === undefined) merged[keyword] = value
    else if (own === value) continue
    else if (keyword === "type") merged.type = commonTypes(own, value)
    else if (keyword === "enum") merged.enum = intersection(own, value)
    else if (keyword === "required") merged.required = union(own, value)
    else if (keyword === "properties" || keyword === "$defs") merged[keyword] = combineEach(own, value)
    else if (keyword === "items" || keyword === "additionalProperties") merged[keyword] = combine(own, value)
    else if (greater.has(keyword) && typeof own === "number" && typeof value === "number") {
      merged[keyword] = Math.max(own, value)
    } else if (smaller.has(keyword) && typeof own === "number" && typeof value === "number") {
      merged[keyword] = Math.min(own, value)
    } else if (keyword === "allOf" && Array.isArray(own) && Array.isArray(value)) merged.allOf = [...own, ...value]
    else if (keyword === "anyOf" || keyword === "oneOf" || keyword === "$ref") both.push({ [keyword]: value })
    else if (keyword === "uniqueItems") merged.uniqueItems = own === true || value === true
    else merged[keyword] = value
  }
  // Two choices, or two references, stay two: both must hold
  return both.length === 0
    ? merged
    : { ...merged, allOf: [...(Array.isArray(merged.allOf) ? merged.allOf : []), ...both] }
}

const typeList = (type: unknown): ReadonlyArray<string> =>
  Predicate.isString(type) ? [type] : Array.isArray(type) ? type.filter(Predicate.isString) : []

const commonTypes = (self: unknown, that: unknown): ReadonlyArray<string> => {
  const others = typeList(that)
  return typeList(self).flatMap((type) => {
    if (others.includes(type)) return [type]
    const integer = (type === "number" && others.includes("integer")) ||
      (type === "integer" && others.includes("number"))
    return integer ? ["integer"] : []
  })
}

const intersection = (self: unknown, that: unknown): ReadonlyArray<unknown> => {
  const others = new Set(Array.isArray(that) ? that.map((value) => JSON.stringify(value)) : [])
  return Array.isArray(self) ? self.filter((value) => others.has(JSON.stringify(value))) : []
}

const union = (self: unknown, that: unknown): ReadonlyArray<unknown> =>
  Array.from(new Set([...(Array.isArray(self) ? self : []), ...(Array.isArray(that) ? that : [])]))

const combineEach = (self: unknown, that: unknown): unknown => {
  if (!Predicate.isObject(self) || !Predicate.isObject(that)) return that
  const merged: Record<string, unknown> = { ...self }
  for (const [name, value] of Object.entries(that)) {
    merged[name] = Object.hasOwn(self, name) ? combine(self[name], value) : value
  }
  return merged
}

/**
 * A schema without `allOf` for a schema with it, and the references now open; nothing if it refers to itself.
 */
export const mergeAll = (
  root: unknown,
  schema: SchemaObject,
  open: ReadonlyArray<string>
): { readonly schema: unknown; readonly open: ReadonlyArray<string> } | undefined => {
  const { allOf, ...rest } = schema
  const opened = [...open]
  let merged: unknown = rest
  const waiting: Array<unknown> = Array.isArray(allOf) ? [...allOf] : []
  const choices: Array<unknown> = []
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    if (Predicate.isObject(part) && Predicate.isString(part.$ref)) {
      const { $ref: _, ...siblings } = part
      const target = opened.includes(part.$ref) ? undefined : pointer(root, part.$ref)
      if (target === undefined) return undefined
      opened.push(part.$ref)
      waiting.unshift(target, siblings)
    } else if (Predicate.isObject(part) && Array.isArray(part.allOf)) {
      const { allOf: inner, ...siblings } = part
      waiting.unshift(...(inner as ReadonlyArray<unknown>), siblings)
    } else if (Predicate.isObject(part) && ("anyOf" in part || "oneOf" in part)) {
      choices.push(part)
    } else {
      merged = combine(merged, part)
    }
  }
  return { schema: choices.reduce(withChoice, merged), open: opened }
}

// Multiplies a choice out: the options of one, each with the options of the other
const withChoice = (schema: unknown, part: unknown): unknown => {
  if (!Predicate.isObject(schema) || !Predicate.isObject(part)) return combine(schema, part)
  const { anyOf, oneOf, ...rest } = part
  const options = [anyOf, oneOf].filter((choice) => Array.isArray(choice))
  return options.reduce<unknown>((merged, choice) => {
    if (!Predicate.isObject(merged)) return merged
    const { anyOf: own, ...others } = merged
    return {
      ...others,
      anyOf: Array.isArray(own)
        ? own.flatMap((first: unknown) => choice.map((second: unknown) => ({ allOf: [first, second] })))
        : choice
    }
  }, combine(schema, rest))
}

/**
 * The types an instance may have, the most telling first; `null` last, because an empty answer says little.
 */
export const typesOf = (schema: SchemaObject): ReadonlyArray<string> => {
  const stated = typeList(schema.type)
  if (schema.type !== undefined) return stated.toSorted((a, b) => Number(a === "null") - Number(b === "null"))
  if (Array.isArray(schema.enum)) return ["string", "number", "boolean", "object", "array", "null"]
  if (["properties", "required", "additionalProperties", "minProperties"].some((word) => word in schema)) {
    return ["object"]
  }
  if (["items", "prefixItems", "minItems", "maxItems", "uniqueItems"].some((word) => word in schema)) return ["array"]
  const numeric = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
  return numeric.some((word) => word in schema) ? ["number"] : ["string"]
}

/**
 * The numeric keywords of a schema, read with their defaults.
 */
export const constraintsOf = (schema: SchemaObject) => {
  const read = (keyword: string, fallback: number): number => {
    const value = schema[keyword]
    return typeof value === "number" && Number.isFinite(value) ? value : fallback
  }
  return {
    least: (keyword: string) => Math.max(0, Math.ceil(read(keyword, 0))),
    most: (keyword: string) => Math.max(0, Math.floor(read(keyword, Infinity))),
    range: (integer: boolean) => {
      const least = Math.max(read("minimum", -Infinity), read("exclusiveMinimum", -Infinity))
      const greatest = Math.min(read("maximum", Infinity), read("exclusiveMaximum", Infinity))
      const multiple = Math.abs(read("multipleOf", 0))
      // Until draft 4 the exclusive keywords were flags beside the bounds
      const aboveLeast = schema.exclusiveMinimum === true || read("exclusiveMinimum", -Infinity) === least
      const belowGreatest = schema.exclusiveMaximum === true || read("exclusiveMaximum", Infinity) === greatest
      return {
        least,
        greatest,
        step: multiple > 0 && (!integer || Number.isInteger(multiple)) ? multiple : 1,
        accepts: (value: number) =>
          (aboveLeast && Number.isFinite(least) ? value > least : value >= least) &&
          (belowGreatest && Number.isFinite(greatest) ? value < greatest : value <= greatest) &&
          (!integer || Number.isInteger(value)) &&
          (multiple === 0 || Math.abs(value / multiple - Math.round(value / multiple)) < 1e-9)
      }
    }
  }
}
