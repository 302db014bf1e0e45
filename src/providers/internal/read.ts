/**
 * Tolerant readers of JSON that somebody else wrote. None of them throws, whatever the shape: what is not as expected
 * is absent, and what is not known is left alone.
 */

/** A JSON object of unknown shape. */
export interface Fields {
  readonly [field: string]: unknown
}

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The value as an object; an empty one where it is none. */
export const fields = (value: unknown): Fields => isFields(value) ? value : none

const none: Fields = {}

/** The value as an array; an empty one where it is none. */
export const items = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : noItems

const noItems: ReadonlyArray<unknown> = []

/** A text that is not empty. */
export const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

/** A finite number, also one that is written as a text. */
export const number = (value: unknown): number | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined
  if (typeof value !== "string" || !/^\d{1,15}(?:\.\d{1,15})?$/.test(value)) return undefined
  return Number(value)
}

/** A count: an integer that is not negative. */
export const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined

/** A text or a number, as a text. */
export const word = (value: unknown): string | undefined => typeof value === "number" ? String(value) : text(value)

/** The JSON value that a text holds, or `undefined` where it holds none (JSON itself knows no `undefined`). */
export const json = (source: string): unknown => {
  try {
    return JSON.parse(source)
  } catch {
    return undefined
  }
}

type Compact<A> = { [Key in keyof A]?: Exclude<A[Key], undefined> }

/** An object without the fields that are undefined. */
export const compact = <A extends object>(value: A): Compact<A> => {
  const compacted: Compact<A> = {}
  for (const key of Object.keys(value) as Array<keyof A>) {
    if (value[key] !== undefined) compacted[key] = value[key] as Exclude<A[keyof A], undefined>
  }
  return compacted
}

/** A body as its server meant it: byte order marks and keep-alive blank lines before it are not part of it. */
export const trimBody = (body: string): string => body.replace(/^[\uFEFF\s]+/, "").trimEnd()

export const isHtml = (body: string): boolean => /^<(?:!doctype|html|head|body|!--|\?xml)/i.test(body)

/** Machine-readable names: what may stand in a message of ours although somebody else wrote it. */
const identifierPattern = /^[\w.:-]{1,64}$/

// Gateways put makers and regions before a name, and servers on one's own machine the path of a file.
const modelPattern = /^[\w.:/@+~-]{1,128}$/

const parameterPattern = /^[\w.:[\]-]{1,64}$/

// What is shorter keeps nobody out, and stands in half of all words.
const minSecretLength = 6

/** Tells machine-readable names from everything else. A name that holds one of the secrets is none. */
export class Names {
  private readonly secrets: ReadonlyArray<string>

  constructor(secrets: ReadonlyArray<string>) {
    this.secrets = secrets.filter((secret) => secret.length >= minSecretLength)
  }

  identifier(value: unknown): string | undefined {
    const name = word(value)
    return name !== undefined && identifierPattern.test(name) && !this.leaks(name) ? name : undefined
  }

  /** The name of a model, which stands in receipts. */
  model(value: unknown): string | undefined {
    const name = text(value)
    return name !== undefined && modelPattern.test(name) && !this.leaks(name) ? name : undefined
  }

  parameter(value: unknown): string | undefined {
    const name = text(value)
    return name !== undefined && parameterPattern.test(name) && !this.leaks(name) ? name : undefined
  }

  /** Somebody else's words without the secrets in them. */
  scrub(words: string): string {
    let scrubbed = words
    for (const secret of this.secrets) scrubbed = scrubbed.replaceAll(secret, "<redacted>")
    return scrubbed
  }

  // A server that echoes a key may cut it: what is a large part of a secret is as good as the secret.
  private leaks(name: string): boolean {
    return this.secrets.some((secret) => name.includes(secret) || name.length >= 8 && secret.includes(name))
  }
}
