/**
 * What options of this floor must be.
 */

/** Throws a `RangeError` that names the option, where it is no whole number of a range. */
export const natural = (
  where: string,
  name: string,
  value: number,
  minimum = 1,
  maximum = Number.MAX_SAFE_INTEGER
): number => {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value
  const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`
  throw new RangeError(`${where}: \`${name}\` must be a whole number ${range}, got ${value}`)
}
