/**
 * Options of which the types say what they may be, checked for those who have no types: values of a configuration, say.
 */

/** One of a few words, or none. Throws a `RangeError` that names the option and says what it may be. */
export const oneOf = <Value extends string | undefined>(
  module: string,
  option: string,
  value: Value,
  allowed: ReadonlyArray<Exclude<Value, undefined>>
): Value => {
  if (value === undefined || (allowed as ReadonlyArray<string>).includes(value)) return value
  const words = allowed.map((word) => JSON.stringify(word)).join(" or ")
  throw new RangeError(`${module}: \`${option}\` must be ${words}, got ${JSON.stringify(value)}`)
}
