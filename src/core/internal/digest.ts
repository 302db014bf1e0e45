/**
 * SHA-256 of text. Node's own is there at once, elsewhere it is Web Crypto's; both give the same.
 */
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"

interface NodeCrypto {
  readonly createHash: (algorithm: string) => {
    readonly update: (text: string, encoding: "utf8") => { readonly digest: (encoding: "hex") => string }
  }
  /** Since Node 21.7, and twice as fast for short texts. */
  readonly hash?: (algorithm: string, text: string, encoding: "hex") => string
}

// Asked for by way of the process, so that bundlers and other runtimes find no import of Node's.
const node = (globalThis as {
  readonly process?: { readonly getBuiltinModule?: (id: string) => unknown }
}).process?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined

/** Where there is a digest that needs no waiting. */
export const digestSync: ((text: string) => string) | undefined = node === undefined
  ? undefined
  : node.hash === undefined
  ? (text) => node.createHash("sha256").update(text, "utf8").digest("hex")
  : (text) => node.hash!("sha256", text, "hex")

/** By Web Crypto, of which only a promise is to be had. */
export const digestWeb = (text: string): Effect.Effect<string> =>
  Effect.flatMap(
    WebCrypto,
    (crypto) =>
      Effect.map(
        Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
        (bytes) => Hex.encode(new Uint8Array(bytes))
      )
  )

/** SHA-256, as 64 hexadecimal digits. The text must be well-formed Unicode: what is not reads the same as other text that is not. */
export const digest = (text: string): Effect.Effect<string> =>
  digestSync === undefined ? digestWeb(text) : Effect.succeed(digestSync(text))
