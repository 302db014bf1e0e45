/**
 * One text for a value, and for each value another one.
 *
 * Everything has a letter for its kind and says how long it is before it begins, so that no value can look like the end of one and the
 * beginning of the next: `["ab", "c"]` and `["a", "bc"]` are `a2:s2:abs1:c` and `a2:s1:as2:bc`.
 */
import * as Base64 from "effect/encoding/Base64"

/** How deep a value may be. What is deeper is taken to have no end. */
const deepest = 256

/** Keys of objects by code units: an order that is the same everywhere. */
const byCodeUnits = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/** The text of a value. Throws a `RangeError` where it has no end. */
export const canonical = (value: unknown): string => encode(value, 0, true)

const text = (value: string): string =>
  value.isWellFormed()
    ? `s${value.length}:${value}`
    // A lone surrogate has no bytes of its own: it is written out, as JSON does it.
    : `w${value.length}:${JSON.stringify(value)}`

const encode = (value: unknown, depth: number, sorted: boolean): string => {
  switch (typeof value) {
    case "string":
      return text(value)
    case "number":
      // (-0 is 0, as it is in JSON.)
      return `d${value === 0 ? 0 : value};`
    case "boolean":
      return value ? "t" : "f"
    case "bigint":
      return `i${value};`
    case "object":
      return value === null ? "n" : encodeObject(value, depth, sorted)
    default:
      // Undefined, a function, a symbol: JSON has none of them.
      return "u"
  }
}

const encodeObject = (value: object, depth: number, sorted: boolean): string => {
  if (depth > deepest) throw new RangeError("a value that is nested too deep, or in itself")
  if (Array.isArray(value)) {
    let items = `a${value.length}:`
    for (const item of value) items += encode(item, depth + 1, true)
    return items
  }
  if (value instanceof Uint8Array) {
    const bytes = Base64.encode(value)
    return `b${bytes.length}:${bytes}`
  }
  // As it would be sent.
  if ("toJSON" in value && typeof value.toJSON === "function") return encode(value.toJSON(), depth + 1, true)
  const fields = value as { readonly [key: string]: unknown }
  const keys = Object.keys(fields).filter((key) => isSaid(fields[key]))
  if (sorted) keys.sort(byCodeUnits)
  let members = `o${keys.length}:`
  for (const key of keys) {
    // Properties of a JSON schema are in the order in which a model writes them, which is a part of what it is asked.
    members += text(key) + encode(fields[key], depth + 1, key !== "properties")
  }
  return members
}

/** What JSON leaves out of an object is not there. */
const isSaid = (value: unknown): boolean =>
  value !== undefined && typeof value !== "function" && typeof value !== "symbol"
