/**
 * Reads JSON that somebody else wrote, or says what is wrong with it; how that is worded is each dialect's own.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const JsonText = Schema.fromJsonString(Schema.Unknown)

export const parseJson = Schema.decodeUnknownOption(JsonText)

export type Fields = Readonly<Record<PropertyKey, unknown>>

/** What is wrong with a request, and where. */
export type Problem =
  | { readonly type: "missing"; readonly at: string }
  | { readonly type: "kind"; readonly at: string; readonly expected: Kind; readonly value: unknown }
  | { readonly type: "least"; readonly at: string; readonly least: number; readonly value: number }
  | { readonly type: "other"; readonly at: string; readonly message: string; readonly code: string }

export type Kind = "object" | "array" | "string" | "boolean" | "integer"

export type Checked<A> = Result.Result<A, Problem>

export const missing = (at: string): Result.Result<never, Problem> => Result.fail({ type: "missing", at })

export const wrongKind = (at: string, expected: Kind, value: unknown): Result.Result<never, Problem> =>
  value === undefined ? missing(at) : Result.fail({ type: "kind", at, expected, value })

/** What is wrong in the dialect's own words; `code` is for dialects that have codes. */
export const invalid = (at: string, message: string, code = "invalid_value"): Result.Result<never, Problem> =>
  Result.fail({ type: "other", at, message, code })

export const isAbsent = (value: unknown): value is null | undefined => value === undefined || value === null

export const anObject = (value: unknown, at: string): Checked<Fields> =>
  Predicate.isObject(value) ? Result.succeed(value) : wrongKind(at, "object", value)

export const aString = (value: unknown, at: string): Checked<string> =>
  Predicate.isString(value) ? Result.succeed(value) : wrongKind(at, "string", value)

export const anArray = (value: unknown, at: string): Checked<ReadonlyArray<unknown>> =>
  Array.isArray(value) ? Result.succeed(value) : wrongKind(at, "array", value)

/** A list, of which there may be none. */
export const optionalArray = (value: unknown, at: string): Checked<ReadonlyArray<unknown>> =>
  isAbsent(value) ? Result.succeed([]) : anArray(value, at)

/** Reads each element of a list; `at` says where one stands. */
export const each = <A>(
  values: ReadonlyArray<unknown>,
  at: (index: number) => string,
  read: (value: unknown, at: string) => Checked<A>
): Checked<ReadonlyArray<A>> =>
  Result.gen(function*() {
    const found: Array<A> = []
    for (const [index, value] of values.entries()) found.push(yield* read(value, at(index)))
    return found
  })

export const optionalBoolean = (value: unknown, at: string): Checked<boolean> =>
  isAbsent(value)
    ? Result.succeed(false)
    : Predicate.isBoolean(value)
    ? Result.succeed(value)
    : wrongKind(at, "boolean", value)

/** The most of something; no end where nothing is said. */
export const optionalLimit = (value: unknown, at: string, least = 1): Checked<number> =>
  isAbsent(value) ? Result.succeed(Number.POSITIVE_INFINITY) : aLimit(value, at, least)

export const aLimit = (value: unknown, at: string, least = 1): Checked<number> =>
  !Predicate.isNumber(value) || !Number.isInteger(value)
    ? wrongKind(at, "integer", value)
    : value < least
    ? Result.fail({ type: "least", at, least, value })
    : Result.succeed(value)

/** The fields of an object that is there, and none of anything else. */
export const fieldsOf = (value: unknown): Fields => Predicate.isObject(value) ? value : {}

/** A text, and nothing where there is none. */
export const textOf = (value: unknown): string => Predicate.isString(value) ? value : ""
