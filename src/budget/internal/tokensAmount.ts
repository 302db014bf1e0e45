/**
 * How many tokens something takes, as far as that is known.
 */

/** The likeliest number and one that is hardly ever exceeded; of what is counted exactly, twice the same. */
export interface Amount {
  readonly expected: number
  readonly bound: number
  readonly exact: boolean
}

export const none: Amount = { expected: 0, bound: 0, exact: true }

export const exactly = (tokens: number): Amount => ({ expected: tokens, bound: tokens, exact: true })

export const about = (expected: number, bound: number): Amount => ({ expected, bound, exact: false })

export const sum = (amounts: Iterable<Amount>): Amount => {
  let expected = 0
  let bound = 0
  let exact = true
  for (const amount of amounts) {
    expected += amount.expected
    bound += amount.bound
    exact = exact && amount.exact
  }
  return { expected, bound, exact }
}

/** So many of the same. */
export const times = (amount: Amount, factor: number): Amount => ({
  expected: amount.expected * factor,
  bound: amount.bound * factor,
  exact: amount.exact
})
