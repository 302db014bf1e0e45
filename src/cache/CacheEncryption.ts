/**
 * Encryption of what a cache keeps: AES-256-GCM, with keys that can be rotated.
 *
 * {@link encrypted} stands before any home of a cache. Values go there encrypted and come back decrypted, and the layer then needs the keys,
 * which {@link layer} provides. So the types say whether a cache is encrypted, and a program without its keys does not compile.
 *
 * - A value is bound to its key of the cache: moved to another one it does not decrypt.
 * - A value says which key it is encrypted with. New values are encrypted with the `current` one, and all that are given can decrypt: to
 *   rotate, add a key, make it the current one, and take the old one away when its values are over.
 * - A value that does not decrypt is a miss, as is one that is not encrypted, and the store says why (`Found.unreadable`).
 *
 * **Gotchas**
 *
 * Keys of the cache and tags stay as they are: they are hashes and names of tenants, models and prompts, and whoever can read the store
 * sees which of them there are, how large their values are, and when they were written. A hash does not hide a prompt from those who can
 * guess it.
 *
 * Nonces are random, and AES-GCM is safe for about 2^32 values under one key: rotate before that.
 *
 * It says nothing of what is in memory: before {@link CacheStore.layerMemory} it only costs time.
 *
 * **Example** (An encrypted cache in Redis)
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { CacheEncryption, CacheStore } from "effect-bulwark/cache"
 * import { Config, Layer } from "effect"
 *
 * const store = CacheStore.layerRedis().pipe(
 *   CacheEncryption.encrypted,
 *   Layer.provide(CacheEncryption.layerConfig({
 *     current: Config.succeed("2026-11"),
 *     keys: Config.all({
 *       "2026-11": Config.Redacted("CACHE_KEY_2026_11"),
 *       "2026-10": Config.Redacted("CACHE_KEY_2026_10")
 *     })
 *   })),
 *   Layer.provide(NodeRedis.layer({ url: "redis://127.0.0.1:6379" }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Aead from "effect/crypto/Aead"
import type { CryptoError } from "effect/crypto/CryptoError"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CacheStore, CacheStoreError, type Found, isValue, type Unreadable, type Value } from "./internal/store.ts"

/**
 * A key of encryption cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class CacheEncryptionError extends Schema.TaggedError<CacheEncryptionError>()("CacheEncryptionError", {
  /** The id of the key. */
  keyId: Schema.String,
  /** What is wrong with it: it is not there, it is no Base64, or it does not have 32 bytes. */
  reason: Schema.Literals(["missing", "notBase64", "length"])
}) {
  /**
   * Says what is wrong, and how it is mended.
   *
   * @since 0.1.0
   */
  override get message(): string {
    const id = JSON.stringify(this.keyId)
    return {
      missing: `CacheEncryption: the current key ${id} is not among the keys: add it to \`keys\``,
      notBase64: `CacheEncryption: the key ${id} is no Base64: write its 32 bytes as \`openssl rand -base64 32\` does`,
      length: `CacheEncryption: the key ${id} does not have 32 bytes: make one with \`openssl rand -base64 32\``
    }[this.reason]
  }
}

/**
 * Encrypts and decrypts texts.
 *
 * **When to use**
 *
 * Use it through {@link encrypted}. Implement it yourself where keys must not leave a service that keeps them.
 *
 * @category services
 * @since 0.1.0
 */
export class CacheEncryption extends Context.Service<CacheEncryption, {
  /** Encrypts with the current key. `context` is not encrypted, and decrypting needs the same. */
  readonly encrypt: (text: string, context: string) => Effect.Effect<Sealed, unknown>
  /** Decrypts, or says why it cannot: it has no such key, or this is not what was encrypted with it in this context. */
  readonly decrypt: (
    sealed: Sealed,
    context: string
  ) => Effect.Effect<Result.Result<string, "unknownKey" | "undecryptable">, unknown>
}>()("effect-bulwark/cache/CacheEncryption") {}

/**
 * An encrypted text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sealed {
  /** The id of the key. */
  readonly keyId: string
  /** What was encrypted, as Base64, with whatever it takes to decrypt it besides the key. */
  readonly data: string
}

/**
 * Which keys there are.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The id of the key that new values are encrypted with. */
  readonly current: string
  /** Keys by their ids: 32 random bytes each, as Base64. */
  readonly keys: { readonly [id: string]: Redacted.Redacted<string> }
}

/**
 * Makes the encryption from keys that are there.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options
): Effect.Effect<CacheEncryption["Service"], CacheEncryptionError, Aead.Aead | SecureRandom.SecureRandom> =>
  Effect.gen(function*() {
    const aead = yield* Aead.Aead
    const random = yield* SecureRandom.SecureRandom
    const keys = new Map<string, Aead.Key>()
    for (const [keyId, secret] of Object.entries(options.keys)) {
      const bytes = Base64.decode(Redacted.value(secret).trim())
      // Its cause would quote the key.
      if (Result.isFailure(bytes)) return yield* new CacheEncryptionError({ keyId, reason: "notBase64" })
      keys.set(
        keyId,
        yield* Effect.mapError(
          Aead.key(Aead.aes256Gcm, bytes.success),
          () => new CacheEncryptionError({ keyId, reason: "length" })
        )
      )
    }
    const keyId = options.current
    const current = keys.get(keyId)
    if (current === undefined) return yield* new CacheEncryptionError({ keyId, reason: "missing" })
    return CacheEncryption.of({
      encrypt: Effect.fnUntraced(function*(text, context) {
        const nonce = yield* random.randomBytes(nonceLength)
        const sealed = yield* aead.encrypt(current, utf8.encode(text), { nonce, aad: bound(keyId, context) })
        const data = new Uint8Array(nonceLength + sealed.length)
        data.set(nonce)
        data.set(sealed, nonceLength)
        return { keyId, data: Base64.encode(data) }
      }),
      decrypt: Effect.fnUntraced(function*({ data, keyId }, context) {
        const key = keys.get(keyId)
        if (key === undefined) return Result.fail("unknownKey" as const)
        const bytes = Base64.decode(data)
        if (Result.isFailure(bytes) || bytes.success.length <= nonceLength) return undecryptable
        const nonce = bytes.success.subarray(0, nonceLength)
        const opened = aead.decrypt(key, bytes.success.subarray(nonceLength), { nonce, aad: bound(keyId, context) })
        return yield* opened.pipe(
          Effect.map((plain) => Result.succeed(fromUtf8.decode(plain))),
          Effect.catchIf(isNotItself, () => Effect.succeed(undecryptable))
        )
      })
    })
  })

const undecryptable = Result.fail("undecryptable" as const)

const nonceLength = Aead.aes256Gcm.nonceLength

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

/** As JSON, so that no two of them are the same bytes. */
const bound = (keyId: string, context: string): Uint8Array =>
  utf8.encode(JSON.stringify(["effect-bulwark/cache", form, keyId, context]))

const isNotItself = ({ reason }: CryptoError): boolean =>
  reason._tag === "DecryptionFailed" || reason._tag === "InvalidArgument"

/**
 * Provides the encryption with keys that are known beforehand.
 *
 * **Details**
 *
 * It fails with {@link CacheEncryptionError} where a key is none, or the current one is missing. It uses WebCrypto, which is there in
 * Node, in Deno, in Bun, in browsers and at the edge.
 *
 * @see {@link layerConfig} for keys from the configuration.
 * @see {@link make} to use another implementation of AES, or keys from an effect.
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<CacheEncryption, CacheEncryptionError> =>
  Layer.effect(CacheEncryption, make(options)).pipe(Layer.provide(webCrypto))

/**
 * Provides the encryption with keys from the configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<CacheEncryption, CacheEncryptionError | Config.ConfigError> =>
  Layer.effect(CacheEncryption, Effect.flatMap(Config.unwrap(options), make)).pipe(Layer.provide(webCrypto))

const webCrypto = Layer.provideMerge(Aead.layerWebCrypto, SecureRandom.layerWebCrypto)

/**
 * Encrypts what a cache keeps.
 *
 * **Details**
 *
 * Only values are encrypted: looking up, invalidating and leasing are those of the home. Where encrypting fails, so does the operation, with
 * `CacheStoreError`; what cannot be decrypted is a miss with a reason.
 *
 * @category combinators
 * @since 0.1.0
 */
export const encrypted = <E, R>(
  self: Layer.Layer<CacheStore, E, R>
): Layer.Layer<CacheStore, E, R | CacheEncryption> =>
  Layer.effect(
    CacheStore,
    Effect.gen(function*() {
      const store = yield* CacheStore
      const encryption = yield* CacheEncryption
      return CacheStore.of({
        ...store,
        lookup: (key, tags) =>
          Effect.flatMap(store.lookup(key, tags), (found) => {
            if (found.value === undefined) return Effect.succeed(found)
            const sealed = sealedOf(found.value)
            if (sealed === undefined) return Effect.succeed(hidden(found, "notEncrypted"))
            return encryption.decrypt(sealed, key).pipe(
              Effect.map((opened): Found => {
                if (Result.isFailure(opened)) return hidden(found, opened.failure)
                const value = valueOf(opened.success)
                return value === undefined ? hidden(found, "malformed") : { ...found, value }
              }),
              Effect.mapError((cause) => new CacheStoreError({ operation: "lookup", cause }))
            )
          }),
        write: (key, value, options) =>
          Effect.suspend(() => encryption.encrypt(JSON.stringify(value), key)).pipe(
            Effect.mapError((cause) => new CacheStoreError({ operation: "write", cause })),
            Effect.flatMap(({ data, keyId }) => store.write(key, { encrypted: form, keyId, data }, options))
          )
      })
    })
  ).pipe(Layer.provide(self))

/** The version of how values are encrypted. */
const form = 1

const sealedOf = ({ data, encrypted, keyId }: Value): Sealed | undefined =>
  encrypted === form && typeof data === "string" && typeof keyId === "string" ? { keyId, data } : undefined

const hidden = ({ generation }: Found, unreadable: Unreadable): Found => ({ value: undefined, generation, unreadable })

const valueOf = (text: string): Value | undefined => {
  try {
    const value: Schema.Json = JSON.parse(text)
    return isValue(value) ? value : undefined
  } catch {
    return undefined
  }
}
