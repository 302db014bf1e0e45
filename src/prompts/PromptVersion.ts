/**
 * One version of a prompt: immutable data, named by its number and known by the hash of its content.
 *
 * - {@link Content} is what a model is asked: messages as templates, examples, the model by name, settings, and fragments that the
 *   templates include. The {@link hash} covers all of it and nothing else.
 * - {@link Draft} is what an author writes: a name, a content, and who changed what and why.
 * - {@link PromptVersion} is a draft that was published: it has a number, a hash and a time, and never changes again.
 *
 * **Gotchas**
 *
 * Author, message, time and metadata are no part of the content: two versions that differ in these alone have one hash and are the same
 * prompt.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { digest } from "../core/internal/digest.ts"

/**
 * The name of a prompt: 1 to 100 of `a-z`, `0-9`, `.`, `_` and `-`, a letter or a digit first. It is the name of a folder too.
 *
 * @category models
 * @since 0.1.0
 */
export const Name = Schema.String.check(
  Schema.isPattern(/^[a-z0-9][a-z0-9._-]{0,99}$/, {
    expected: "1 to 100 of a-z, 0-9, `.`, `_` and `-`, with a letter or a digit first"
  })
)

/**
 * A label, `production` or `staging` say: named as a prompt is.
 *
 * @category models
 * @since 0.1.0
 */
export const Label = Name

/**
 * The number of a version: 1, 2, ...
 *
 * @category models
 * @since 0.1.0
 */
export const VersionNumber = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/**
 * One message, as a template.
 *
 * @category models
 * @since 0.1.0
 */
export const Message = Schema.Struct({
  /** Whose message it is. Values of variables never change it. */
  role: Schema.Literals(["system", "user", "assistant"]),
  /** Its text, as a template: see `PromptTemplate`. */
  template: Schema.String
})

/**
 * One message, as a template.
 *
 * @category models
 * @since 0.1.0
 */
export type Message = typeof Message.Type

/**
 * An example of what is asked and how it is answered.
 *
 * **Details**
 *
 * The texts are no templates: they reach the model as they stand, as a message of the user and one of the assistant, after the system
 * messages and before all others.
 *
 * @category models
 * @since 0.1.0
 */
export const Example = Schema.Struct({
  /** What is asked. */
  user: Schema.String,
  /** How it is answered. */
  assistant: Schema.String
})

/**
 * An example of what is asked and how it is answered.
 *
 * @category models
 * @since 0.1.0
 */
export type Example = typeof Example.Type

/**
 * A version of another prompt, whose text a template includes by a name of its own: `{% include "tone" %}`.
 *
 * **Details**
 *
 * The version is pinned: a version says the same for ever, also when a newer one of its parts is there. The other prompt is a fragment:
 * it has one message, whatever its role.
 *
 * @category models
 * @since 0.1.0
 */
export const Include = Schema.Struct({
  /** The name of the other prompt. */
  name: Name,
  /** The number of its version. */
  version: VersionNumber
})

/**
 * A version of another prompt that a template includes.
 *
 * @category models
 * @since 0.1.0
 */
export type Include = typeof Include.Type

/**
 * Request parameters, as `Call.Settings` has them.
 *
 * @category models
 * @since 0.1.0
 */
export const Settings = Schema.Struct({
  /** The most tokens the answer may have, reasoning included. */
  maxOutputTokens: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))),
  /** Sampling temperature. */
  temperature: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
  /** Nucleus sampling: the probability mass to sample from, from 0 to 1. */
  topP: Schema.optionalKey(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
  /** Texts at which the answer ends. */
  stop: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Asks for the same answer to the same request, as far as the provider can. */
  seed: Schema.optionalKey(Schema.Int),
  /** How much a reasoning model should think, in the provider's words. */
  reasoningEffort: Schema.optionalKey(Schema.String),
  /** Any other fields of the provider's request body. */
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))
})

/**
 * What a version asks a model: all that its hash covers.
 *
 * @category models
 * @since 0.1.0
 */
export const Content = Schema.Struct({
  /** Which of the models of the definition is asked, by its name there; the definition's own choice where it is absent. */
  model: Schema.optionalKey(Schema.String),
  /** Request parameters. */
  settings: Schema.optionalKey(Settings),
  /** The messages, at least one. */
  messages: Schema.NonEmptyArray(Message),
  /** Examples of how to answer. */
  examples: Schema.optionalKey(Schema.Array(Example)),
  /** Fragments that templates include, by the name that they use for them. */
  includes: Schema.optionalKey(Schema.Record(Schema.String, Include))
})

/**
 * What a version asks a model.
 *
 * @category models
 * @since 0.1.0
 */
export type Content = typeof Content.Type

const written = {
  name: Name,
  content: Content,
  /** Who wrote it. */
  author: Schema.optionalKey(Schema.String),
  /** What was changed, and why. */
  message: Schema.optionalKey(Schema.String),
  /** Anything else that is kept with it. */
  metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))
}

/**
 * A version that is to be published.
 *
 * @category models
 * @since 0.1.0
 */
export const Draft = Schema.Struct({
  ...written,
  /** Its number, where it must be that one. Else it is the next. */
  version: Schema.optionalKey(VersionNumber)
})

/**
 * A version that is to be published.
 *
 * @category models
 * @since 0.1.0
 */
export type Draft = typeof Draft.Type

/**
 * A version: immutable.
 *
 * @category models
 * @since 0.1.0
 */
export const PromptVersion = Schema.Struct({
  ...written,
  version: VersionNumber,
  /** The hash of its content: see {@link hash}. */
  hash: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/, { expected: "64 hexadecimal digits" })),
  /** When it was published, in milliseconds since 1970. */
  createdAt: Schema.Finite
})

/**
 * A version: immutable.
 *
 * @category models
 * @since 0.1.0
 */
export type PromptVersion = typeof PromptVersion.Type

/**
 * Makes a version of a draft, with its hash.
 *
 * **When to use**
 *
 * For stores, and for tests. Applications publish drafts with `PromptRegistry.publish`, which checks them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  draft: Draft,
  published: { readonly version: number; readonly createdAt: number }
): Effect.Effect<PromptVersion> =>
  Effect.map(hash(draft.content), (hash): PromptVersion => ({ ...draft, ...published, hash }))

/**
 * The hash of a content: SHA-256 of its canonical JSON, as 64 hexadecimal digits.
 *
 * **Details**
 *
 * The order of keys does not matter, that of messages, examples and stop texts does. What is absent and what is `undefined` are the same.
 *
 * **Example** (The order of keys does not matter)
 *
 * ```ts
 * import { PromptVersion } from "effect-bulwark/prompts"
 * import { Effect } from "effect"
 *
 * const one = PromptVersion.hash({ model: "small", messages: [{ role: "user", template: "Hello, {{ name }}!" }] })
 * const two = PromptVersion.hash({ messages: [{ template: "Hello, {{ name }}!", role: "user" }], model: "small" })
 *
 * await Effect.runPromise(one) === await Effect.runPromise(two) // => true
 * ```
 *
 * @category hashing
 * @since 0.1.0
 */
export const hash = (content: Content): Effect.Effect<string> => Effect.suspend(() => digest(canonical(content)))

/** JSON with sorted keys. Numbers and texts are written as `JSON.stringify` does, which is one way only. */
const canonical = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  return `{${
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .toSorted(([one], [other]) => one < other ? -1 : 1)
      .map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
      .join(",")
  }}`
}

/**
 * The short name of a version: `summarize@3`.
 *
 * @category printing
 * @since 0.1.0
 */
export const format = (version: { readonly name: string; readonly version: number }): string =>
  `${version.name}@${version.version}`
