/**
 * What makes two calls one to a cache: a hash of everything that determines the answer, and of who may see it.
 *
 * - **Who**: the {@link Scope}, by default the tenant. It is compared letter for letter.
 * - **What is asked**: the messages with their options and files, the tools (name, description, parameters), the choice among them, the
 *   JSON schema of the answer, and which version of which prompt it comes from.
 * - **Whom**: the models of the plan in their order, each with all the settings that it is asked with, wherever they were set; and every
 *   policy that may change a request, by its name and detail. Retries, timeouts, breakers and others that only decide when and which
 *   model is asked make no difference.
 *
 * What makes no difference: the order of the keys of objects, a field that is absent or `undefined`, `-0` or `0`, `1.0` or `1`, a file as
 * bytes or as their base64, an address as `URL` or as text, a choice among no tools, how a version of a prompt was chosen, and the form
 * of Unicode in the names of prompts and tags.
 *
 * What does: everything else. The form of Unicode in a text is another text to a model, since it has other tokens. The order of the
 * `properties` of a JSON schema is the order in which models write them. And two tenants whose names only look alike are two.
 *
 * **Details**
 *
 * Every value is written with its kind and length before it, so that no two values have one text; the key is the SHA-256 of that. A key
 * says nothing of what it was made from.
 *
 * **Gotchas**
 *
 * A hash hides a text, but not from those who can guess it: whoever may read the keys of a store can test whether a prompt was asked.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Attribution } from "../core/Attribution.ts"
import type * as Call from "../core/Call.ts"
import { digest } from "../core/internal/digest.ts"
import type { Plan } from "../core/Plan.ts"
import type { PromptReference } from "../core/PromptReference.ts"
import { canonical } from "./internal/canonical.ts"
import { makeModels, requestOf } from "./internal/keyRequest.ts"

/**
 * Who shares an answer.
 *
 * - `Tenant`: the calls of one tenant; those that name none share among themselves, and with no tenant.
 * - `User`: the calls of one user of one tenant.
 * - `Public`: everybody.
 * - `Own`: whom a function of yours says.
 *
 * @category models
 * @since 0.1.0
 */
export type Scope =
  | { readonly _tag: "Tenant"; readonly tenant: string | undefined }
  | { readonly _tag: "User"; readonly tenant: string | undefined; readonly user: string }
  | { readonly _tag: "Public" }
  | { readonly _tag: "Own"; readonly name: string }

/**
 * Everybody.
 *
 * @category scopes
 * @since 0.1.0
 */
export const everybody: Scope = { _tag: "Public" }

/**
 * The tenant of an attribution.
 *
 * **Details**
 *
 * Calls without a tenant have a scope of their own: they share with each other and never with a tenant, whatever its name.
 *
 * @category scopes
 * @since 0.1.0
 */
export const tenantOf = ({ tenant }: Attribution): Scope => ({ _tag: "Tenant", tenant })

/**
 * The user of an attribution, where it names one.
 *
 * @category scopes
 * @since 0.1.0
 */
export const userOf = ({ tenant, user }: Attribution): Scope | undefined =>
  user === undefined ? undefined : { _tag: "User", tenant, user }

/**
 * What a key is made from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Material {
  /** Who may see the answer. */
  readonly scope: Scope
  /** Whom the request goes to. */
  readonly plan: Plan
  /** What is asked. */
  readonly request: Call.Request
  /** Which version of which prompt it is. */
  readonly prompt?: PromptReference | undefined
  /** Names of one's own that the answer can be invalidated by. They are a part of the key. */
  readonly tags?: ReadonlyArray<string> | undefined
  /** The quality that is needed at least (`Fallback.withMinimumQuality`), where the plan has a cascade. Default: 0. */
  readonly quality?: number | undefined
  /** What to take in the place of the messages, tools, choice and format of the request. */
  readonly own?: unknown
}

/**
 * The canonical text of a value: the same for the same, and another one for another.
 *
 * **Details**
 *
 * Values are taken as JSON takes them: `toJSON` is asked, and what JSON leaves out is not there. Bytes and big integers, which JSON does
 * not have, are themselves. Throws a `RangeError` for a value that contains itself.
 *
 * **Example** (Not what it looks like when put together)
 *
 * ```ts
 * import { CacheKey } from "effect-bulwark/cache"
 *
 * CacheKey.encode({ b: 1, a: [] }) === CacheKey.encode({ a: [], b: 1.0, c: undefined }) // => true
 * CacheKey.encode(["ab", "c"]) === CacheKey.encode(["a", "bc"]) // => false
 * CacheKey.encode("\u00e9") === CacheKey.encode("e\u0301") // => false
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode: (value: unknown) => string = canonical

/**
 * The key of a request: 64 hexadecimal digits.
 *
 * **When to use**
 *
 * Use to invalidate one answer (`Cache.invalidate({ key })`), or to look for it in a store.
 *
 * **Details**
 *
 * Dies with a `RangeError` where the request contains itself, which no provider could be sent either.
 *
 * @category encoding
 * @since 0.1.0
 */
export const make = (material: Material): Effect.Effect<string> =>
  Effect.suspend(() => digest(textOf(makeModels(material.plan), material)))

/** The version of this encoding: another one finds none of the answers of this one. */
const version = "bulwark/1"

/** @internal */
export const textOf = (
  models: (settings: Call.Settings) => string,
  { own, prompt, quality, request, scope, tags }: Omit<Material, "plan">
): string =>
  canonical([
    version,
    scopeParts(scope),
    models(request.settings),
    own === undefined ? requestOf(request) : { own },
    prompt === undefined ? undefined : [prompt.name.normalize("NFC"), prompt.version, prompt.hash],
    tags === undefined ? [] : tagNames(tags),
    ...(quality === undefined || quality === 0 ? [] : [quality])
  ])

/** @internal */
export const scopeParts = (scope: Scope): ReadonlyArray<unknown> => {
  switch (scope._tag) {
    case "Tenant":
      return ["tenant", scope.tenant]
    case "User":
      return ["user", scope.tenant, scope.user]
    case "Public":
      return ["public"]
    case "Own":
      return ["own", scope.name]
  }
}

/**
 * Names as they are compared: in one form of Unicode, each once, in order. (An answer too many that an invalidation takes away is
 * only asked for again.)
 *
 * @internal
 */
export const tagNames = (tags: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(tags.map((tag) => tag.normalize("NFC")))].toSorted((a, b) => a < b ? -1 : a > b ? 1 : 0)
