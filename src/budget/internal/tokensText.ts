/**
 * Counts the tokens of texts in time linear in their length, whatever they are: with an encoding's own tables, or by the kinds of
 * their characters alone.
 */

/** What a tokenizer library does with one encoding. */
export interface Tables {
  readonly countTokens: (text: string, options: { readonly disallowedSpecial: Set<string> }) => number
  readonly encode: (text: string, options: { readonly disallowedSpecial: Set<string> }) => Array<number>
}

/** Counts texts. */
export interface TextCounter {
  /** Whether it has the tables of an encoding. */
  readonly exact: boolean
  /** The tokens of a text, and at how many places it had to be cut. */
  readonly count: (text: string) => { readonly tokens: number; readonly cuts: number }
  /** The tokens themselves, where there are tables. */
  readonly encode: (text: string) => ReadonlyArray<number>
}

/**
 * The longest run of one kind of characters that is counted in one piece. Byte pair encoding takes time quadratic in the length
 * of a run, so that one of 200,000 letters would block the process for minutes. No text in which people or programs put a space,
 * a sign or a digit now and then has such runs.
 */
const longestRun = 256

// The kinds are those at which the encodings split a text before they encode it: letters with their marks, signs, white space,
// and the line ends and slashes that may follow a sign.
const longRun = new RegExp(
  [String.raw`[\p{L}\p{M}]`, String.raw`[^\s\p{L}\p{N}]`, String.raw`\s`, String.raw`[\r\n/]`]
    .map((kind) => `${kind}{${longestRun + 1},}`).join("|"),
  "gu"
)

/** Cuts a text so that no piece has a long run; most texts stay whole. */
const cutRuns = (text: string): ReadonlyArray<string> => {
  if (text.length <= longestRun) return [text]
  const pieces: Array<string> = []
  let from = 0
  for (const run of text.matchAll(longRun)) {
    const end = run.index + run[0].length
    for (let at = run.index + longestRun; at < end; at += longestRun) {
      if (isLowSurrogate(text.charCodeAt(at))) at--
      pieces.push(text.slice(from, at))
      from = at
    }
  }
  pieces.push(from === 0 ? text : text.slice(from))
  return pieces
}

export const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

// What looks like a special token in somebody's text is a text: to the library it would be an error.
const asText = { disallowedSpecial: new Set<string>() }

export const withTables = (tables: Tables): TextCounter => ({
  exact: true,
  count: (text) => {
    const pieces = cutRuns(text)
    let tokens = 0
    for (const piece of pieces) tokens += tables.countTokens(piece, asText)
    return { tokens, cuts: pieces.length - 1 }
  },
  encode: (text) => cutRuns(text).flatMap((piece) => tables.encode(piece, asText))
})

// Tokens for a character, by its kind. Measured against o200k_base with some room: ordinary Chinese has 0.7 to 0.9, Thai 0.7,
// an emoji (two units) 1 to 3. Scripts beyond Thai's in Unicode's order (Ethiopic, Khmer, ...) have 1 to 2.
const wide = 1.25
const script = 0.75
const rareScript = 2
const symbol = 1.5
const surrogate = 1.5
const accent = 0.5
// Digits and letters without a space between them: identifiers, Base64, hexadecimal numbers.
const mixed = 0.25

type Kind = "lower" | "upper" | "digit" | "space" | "sign" | "other"

const kindOf = (unit: number): Kind => {
  if (unit >= 0x61 && unit <= 0x7a) return "lower"
  if (unit >= 0x41 && unit <= 0x5a) return "upper"
  if (unit >= 0x30 && unit <= 0x39) return "digit"
  if (unit === 0x20 || (unit >= 0x09 && unit <= 0x0d)) return "space"
  // Letters with accents stand in words.
  if (unit >= 0xc0 && unit < 0x250) return "lower"
  return unit < 0x80 ? "sign" : "other"
}

const isLetter = (kind: Kind): boolean => kind === "lower" || kind === "upper"

const costOfRun = (kind: Kind, length: number): number => {
  switch (kind) {
    case "lower":
      // A word; what is longer than words are is random, or wants to be.
      return length <= 6 ? 1 : length <= 16 ? Math.ceil(length / 4) : length / 1.7
    case "upper":
      return Math.ceil(length / 1.7)
    case "digit":
      return Math.ceil(length / 3)
    case "space":
      return length === 1 ? 0.15 : 1 + length / 64
    case "sign":
      return Math.ceil(length * 0.7)
    case "other":
      return 0
  }
}

const costOfOther = (unit: number): number => {
  if (unit >= 0xd800 && unit <= 0xdfff) return surrogate
  if ((unit >= 0x2e80 && unit <= 0x9fff) || (unit >= 0xac00 && unit <= 0xd7a3) || (unit >= 0xf900 && unit <= 0xffef)) {
    return wide
  }
  if (unit >= 0x2000 && unit < 0x2e80) return symbol
  return unit >= 0xe80 && unit < 0x1e00 ? rareScript : script
}

/** What a text takes in a large modern vocabulary, from the kinds of its characters. */
const estimate = (text: string): number => {
  let tokens = 0
  let kind: Kind = "other"
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    const next = kindOf(unit)
    if (next === "other") tokens += costOfOther(unit)
    else if (unit >= 0xc0) tokens += accent
    // A capital begins the word that follows it.
    if (next === kind || (kind === "upper" && next === "lower" && length === 1)) length++
    else {
      tokens += costOfRun(kind, length)
      if ((kind === "digit" && isLetter(next)) || (next === "digit" && isLetter(kind))) tokens += mixed
      length = 1
    }
    kind = next
  }
  return Math.ceil(tokens + costOfRun(kind, length))
}

export const withoutTables: TextCounter = {
  exact: false,
  count: (text) => ({ tokens: estimate(text), cuts: 0 }),
  encode: () => []
}

/** The characters of scripts for which vocabularies differ most: all but Latin ones, and signs. */
export const foreignCharacters = (text: string): number => {
  let characters = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0x370 && !(unit >= 0x2000 && unit <= 0x206f)) characters++
  }
  return characters
}
