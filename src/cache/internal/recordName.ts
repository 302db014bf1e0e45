/**
 * Names of records, of keys and tags that are texts of any kind. No two have the same name, and every name is a text that databases take:
 * well-formed, without the zero character, and of at most some 600 bytes, since an index holds no more than a few thousand.
 *
 * What is no such text is escaped as in JSON, behind a `%`; what is too long is replaced by its SHA-256, behind a `#`.
 */
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"

const maxLength = 200

export const recordName = (kind: string, text: string): Effect.Effect<string> => {
  const plain = isPlain(text)
  if (plain && text.length <= maxLength) return Effect.succeed(`${kind}:${text}`)
  const escaped = plain ? text : `%${JSON.stringify(text)}`
  if (escaped.length <= maxLength) return Effect.succeed(`${kind}:${escaped}`)
  return Effect.flatMap(
    WebCrypto,
    (crypto) =>
      Effect.map(
        Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(escaped))),
        (digest) => `${kind}:#${Hex.encode(new Uint8Array(digest))}`
      )
  )
}

const isPlain = (text: string): boolean =>
  !text.startsWith("#") && !text.startsWith("%") && !text.includes("\u0000") && text.isWellFormed()
