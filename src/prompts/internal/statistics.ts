/**
 * The statistics that comparisons are made of: intervals for rates and means, and how likely a difference is by chance alone.
 *
 * Sources: E. B. Wilson (1927), "Probable inference", JASA 22; R. G. Newcombe (1998), "Interval estimation for the difference between
 * independent proportions", Statistics in Medicine 17, method 10; B. L. Welch (1947), "The generalization of Student's problem", Biometrika
 * 34; W. G. Cochran (1954), "Some methods for strengthening the common chi-square tests", Biometrics 10; the incomplete beta function by
 * its continued fraction, DLMF 8.17.22, evaluated by Lentz's method; the gamma function after C. Lanczos (1964), g = 7, nine terms.
 */

const lanczos = [
  0.99999999999980993,
  676.5203681218851,
  -1259.1392167224028,
  771.32342877765313,
  -176.61502916214059,
  12.507343278686905,
  -0.13857109526572012,
  9.9843695780195716e-6,
  1.5056327351493116e-7
] as const

/** The logarithm of the gamma function, for x > 0. */
export const logGamma = (x: number): number => {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const t = x + 6.5
  let sum: number = lanczos[0]
  for (let i = 1; i < lanczos.length; i++) sum += lanczos[i]! / (x - 1 + i)
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}

/** The regularized incomplete beta function I_x(a, b), for a, b > 0. */
export const incompleteBeta = (x: number, a: number, b: number): number => {
  if (x <= 0) return 0
  if (x >= 1) return 1
  // The fraction converges fast on this side; the other one is its mirror.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a
  const apart = (value: number) => Math.abs(value) < 1e-300 ? 1e-300 : value
  let c = 1
  let d = 1 / apart(1 - (a + b) * x / (a + 1))
  let fraction = d
  // It takes about √max(a, b) terms.
  for (let m = 1; m <= 100_000; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / apart(1 + even * d)
    c = apart(1 + even / c)
    fraction *= d * c
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / apart(1 + odd * d)
    c = apart(1 + odd / c)
    const factor = d * c
    fraction *= factor
    if (Math.abs(factor - 1) < 1e-15) break
  }
  return Math.min(1, front * fraction)
}

/** How likely Student's t is further from 0 than `t`, in either direction. */
export const studentTails = (t: number, degrees: number): number => {
  if (!Number.isFinite(t)) return 0
  // There it is normal to seven digits, and the gamma function has not many more.
  return degrees > 1e7 ? normalTails(t) : incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5)
}

/** How likely Student's t is at most `t`. */
export const studentCdf = (t: number, degrees: number): number => {
  const tail = studentTails(t, degrees) / 2
  return t > 0 ? 1 - tail : tail
}

/** Beyond which t lies, in either direction, with a likelihood of `tails`. */
export const studentQuantile = (tails: number, degrees: number): number => {
  let high = 1
  while (studentTails(high, degrees) > tails && high < 1e300) high *= 2
  let low = 0
  for (let i = 0; i < 200 && high - low > 1e-12 * high; i++) {
    const middle = (low + high) / 2
    if (studentTails(middle, degrees) > tails) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** How likely a normal variable is further from 0 than `z`, in either direction. */
export const normalTails = (z: number): number => {
  // Q(1/2, z²/2), by the series for small and the continued fraction for large z (DLMF 8.7.1 and 8.9.2).
  const x = z * z / 2
  if (x === 0) return 1
  if (!Number.isFinite(x)) return 0
  const scale = Math.exp(-x + 0.5 * Math.log(x) - logGamma(0.5))
  if (x < 1.5) {
    let term = 2
    let sum = term
    for (let a = 1.5; Math.abs(term) > 1e-17 * sum; a++) {
      term *= x / a
      sum += term
    }
    return 1 - scale * sum
  }
  let b = x + 0.5
  let c = 1e300
  let d = 1 / b
  let fraction = d
  for (let i = 1; i < 10_000; i++) {
    const a = -i * (i - 0.5)
    b += 2
    d = 1 / (a * d + b)
    c = b + a / c
    fraction *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return scale * fraction
}

/** Beyond which z lies, in either direction, with a likelihood of `tails`. */
export const normalQuantile = (tails: number): number => {
  let low = 0
  let high = 40
  for (let i = 0; i < 200 && high - low > 1e-13; i++) {
    const middle = (low + high) / 2
    if (normalTails(middle) > tails) low = middle
    else high = middle
  }
  return (low + high) / 2
}

export interface Interval {
  readonly low: number
  readonly high: number
}

/** Wilson's interval of a rate. */
export const wilson = (successes: number, of: number, confidence: number): Interval => {
  if (of === 0) return { low: 0, high: 1 }
  const z = normalQuantile(1 - confidence)
  const rate = successes / of
  const scale = 1 + z * z / of
  const middle = (rate + z * z / (2 * of)) / scale
  const half = z / scale * Math.sqrt(rate * (1 - rate) / of + z * z / (4 * of * of))
  return {
    low: successes === 0 ? 0 : Math.max(0, middle - half),
    high: successes === of ? 1 : Math.min(1, middle + half)
  }
}

/** What a mean is made of. */
export interface Sample {
  readonly count: number
  readonly mean: number
  /** The squares of the differences to the mean, summed up. */
  readonly squares: number
}

export const variance = ({ count, squares }: Sample): number => count < 2 ? Number.NaN : squares / (count - 1)

export const sampleOf = (values: ReadonlyArray<number>): Sample => {
  const count = values.length
  const mean = count === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / count
  return { count, mean, squares: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) }
}

/** Two samples as one: T. F. Chan, G. H. Golub, R. J. LeVeque (1979), "Updating formulae and a pairwise algorithm". */
export const together = (one: Sample, other: Sample): Sample => {
  const count = one.count + other.count
  if (count === 0) return one
  const apart = other.mean - one.mean
  return {
    count,
    mean: one.mean + apart * other.count / count,
    squares: one.squares + other.squares + apart * apart * one.count * other.count / count
  }
}

/** The interval of a mean, by Student's t; of fewer than two values nothing is known. */
export const meanInterval = (sample: Sample, confidence: number): Interval => {
  if (sample.count < 2) return { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }
  const half = studentQuantile(1 - confidence, sample.count - 1) * Math.sqrt(variance(sample) / sample.count)
  return { low: sample.mean - half, high: sample.mean + half }
}

export interface Test extends Interval {
  /** The second less the first. */
  readonly difference: number
  /** How likely a difference as large is, where there is none. */
  readonly pValue: number
}

/** Welch's t-test of two means, and the interval of their difference. Both have at least two values. */
export const welch = (
  one: Sample,
  other: Sample,
  confidence: number
): Test & { readonly t: number; readonly degrees: number } => {
  const difference = other.mean - one.mean
  const [a, b] = [variance(one) / one.count, variance(other) / other.count]
  const error = Math.sqrt(a + b)
  if (error === 0) {
    // All values of each are the same: they differ for certain, or not at all.
    const t = difference === 0 ? 0 : difference * Number.POSITIVE_INFINITY
    return {
      difference,
      low: difference,
      high: difference,
      t,
      degrees: one.count + other.count - 2,
      pValue: t === 0 ? 1 : 0
    }
  }
  const degrees = (a + b) ** 2 / (a * a / (one.count - 1) + b * b / (other.count - 1))
  const t = difference / error
  const half = studentQuantile(1 - confidence, degrees) * error
  return {
    difference,
    low: difference - half,
    high: difference + half,
    t,
    degrees,
    pValue: studentTails(t, degrees)
  }
}

export interface Rate {
  readonly successes: number
  readonly of: number
}

/** How likely two rates are as far apart, where they are one: Fisher's exact test where a cell expects fewer than 5, else Pearson's. */
export const ratesTails = (one: Rate, other: Rate): number => {
  const of = one.of + other.of
  const successes = one.successes + other.successes
  const expected = Math.min(one.of, other.of) * Math.min(successes, of - successes) / of
  if (expected < 5) return fisher(one, other)
  const pooled = successes / of
  const error = Math.sqrt(pooled * (1 - pooled) * (1 / one.of + 1 / other.of))
  return normalTails((other.successes / other.of - one.successes / one.of) / error)
}

const logChoose = (n: number, k: number): number => logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1)

/** All tables with the same margins that are no more likely than this one. */
export const fisher = (one: Rate, other: Rate): number => {
  const successes = one.successes + other.successes
  const all = logChoose(one.of + other.of, successes)
  const likelihood = (k: number) => Math.exp(logChoose(one.of, k) + logChoose(other.of, successes - k) - all)
  const observed = likelihood(one.successes) * (1 + 1e-7)
  let sum = 0
  for (let k = Math.max(0, successes - other.of); k <= Math.min(one.of, successes); k++) {
    const chance = likelihood(k)
    if (chance <= observed) sum += chance
  }
  return Math.min(1, sum)
}

/** Whether two rates differ, and Newcombe's interval of their difference. Both are of at least one. */
export const rates = (one: Rate, other: Rate, confidence: number): Test => {
  const [p, q] = [one.successes / one.of, other.successes / other.of]
  const [a, b] = [wilson(one.successes, one.of, confidence), wilson(other.successes, other.of, confidence)]
  const difference = q - p
  return {
    difference,
    low: difference - Math.hypot(q - b.low, a.high - p),
    high: difference + Math.hypot(b.high - q, p - a.low),
    pValue: ratesTails(one, other)
  }
}

/** The smallest value that a share of all is not above. */
export const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
