/**
 * What templates see of values: data, copied, with nothing behind it.
 */
import * as Result from "effect/Result"

const mostDepth = 64

/** What is there twice counts twice: some few objects can be a great many. */
const mostValues = 1_000_000

class NoData extends Error {}

export interface Values {
  readonly [name: string]: unknown
}

/** A copy without prototypes, getters, classes and functions. What fails says where, by names, and never what is there. */
export const plain = (values: unknown): Result.Result<Values, string> => {
  try {
    let left = mostValues
    const copied = copy(values, [], mostDepth, () => --left < 0)
    return typeof copied === "object" && copied !== null && !Array.isArray(copied)
      ? Result.succeed(copied as Values)
      : Result.fail("the variables are no object")
  } catch (error) {
    if (error instanceof NoData) return Result.fail(error.message)
    // A getter or a proxy that throws: its words are not ours to repeat.
    return Result.fail("the variables cannot be read")
  }
}

const copy = (value: unknown, path: ReadonlyArray<string>, depth: number, full: () => boolean): unknown => {
  if (full()) throw refused(path, `is one of more than ${mostValues} values`)
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return value
    case "bigint":
      return value.toString()
    case "number":
      if (Number.isFinite(value)) return value
      throw refused(path, "is no finite number")
    case "object":
      break
    default:
      throw refused(path, `is a ${typeof value}`)
  }
  if (value === null) return null
  if (depth === 0) throw refused(path, `is nested more than ${mostDepth} deep`)
  if (Array.isArray(value)) return value.map((item) => copy(item, path, depth - 1, full))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) throw refused(path, "is no plain object")
  const copied: Record<string, unknown> = Object.create(null)
  for (const key of Object.keys(value)) {
    const inner = (value as { readonly [key: string]: unknown })[key]
    if (inner !== undefined) copied[key] = copy(inner, path.length < 1 ? [key] : path, depth - 1, full)
  }
  return copied
}

// Below the variable, names can be values: the keys of a record.
const refused = (path: ReadonlyArray<string>, what: string): NoData =>
  new NoData(path.length === 0 ? `a value ${what}` : `${JSON.stringify(path[0])}, or something in it, ${what}`)
