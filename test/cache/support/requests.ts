/**
 * Requests drawn at random, as plain data: each with other ways to write it, and ways to ask something else.
 *
 * What is drawn is small on purpose. Requests that share nearly everything are those that could be taken for each other.
 */
import { Call } from "effect-bulwark"
import type { CacheKey } from "effect-bulwark/cache"
import { Prompt } from "effect/ai"

export interface Random {
  /** From 0 to n - 1. */
  readonly below: (n: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
}

/** Mulberry32. */
export const seeded = (seed: number): Random => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const below = (n: number) => Math.floor(next() * n)
  return { below, pick: (from) => from[below(from.length)]! }
}

type Json = null | boolean | number | string | Array<Json> | { [key: string]: Json }

export interface Drawn {
  readonly messages: ReadonlyArray<{
    readonly role: "system" | "user" | "assistant"
    readonly texts: ReadonlyArray<string>
    readonly file: ReadonlyArray<number> | undefined
    readonly options: { readonly [provider: string]: Json } | undefined
  }>
  readonly call: { readonly name: string; readonly params: Json } | undefined
  readonly settings: {
    readonly temperature?: number
    readonly maxOutputTokens?: number
    readonly stop?: ReadonlyArray<string>
    readonly extra?: { readonly [key: string]: Json }
  }
  readonly tenant: string | undefined
  readonly user: string | undefined
  readonly models: ReadonlyArray<string>
  readonly version: number | undefined
  readonly tags: ReadonlyArray<string>
  /** How it is written, which must not matter. */
  readonly style?: { readonly reversed: boolean; readonly bytes: boolean; readonly outside: boolean }
}

const words = ["", "a", "b", "ab", "ba", "a\n", "é", "e\u0301", "東", "s1:a", "o0:", "\ud800", "\ufffd", "1", "null"]

const text = (random: Random): string => random.pick(words) + random.pick(words)

const list = <A>(random: Random, most: number, draw: () => A): Array<A> =>
  Array.from({ length: random.below(most + 1) }, draw)

const json = (random: Random, depth = 0): Json => {
  switch (random.below(depth > 2 ? 5 : 7)) {
    case 0:
      return null
    case 1:
      return random.below(2) === 0
    case 2:
      return random.pick([0, 1, -1, 0.1, 1e21])
    case 3:
    case 4:
      return text(random)
    case 5:
      return list(random, 3, () => json(random, depth + 1))
    default:
      return object(random, depth + 1)
  }
}

const object = (random: Random, depth = 0): { [key: string]: Json } =>
  Object.fromEntries(
    list(random, 3, () => [random.pick(["a", "b", "ab", "c", "é", "e\u0301", "0"]), json(random, depth)])
  )

export const arbitraryRequest = (random: Random): Drawn => ({
  messages: [
    ...list(random, 2, () => ({
      role: random.pick(["system", "user", "assistant"] as const),
      texts: [text(random), ...list(random, 1, () => text(random))],
      file: random.below(4) === 0 ? list(random, 3, () => random.below(3)) : undefined,
      options: random.below(4) === 0
        ? { [random.pick(["openai", "anthropic"])]: { ...object(random), x: 1 } }
        : undefined
    })),
    { role: "user" as const, texts: [text(random)], file: undefined, options: undefined }
  ],
  call: random.below(3) === 0 ? { name: random.pick(["f", "g"]), params: json(random) } : undefined,
  settings: {
    ...(random.below(3) === 0 ? { temperature: random.pick([0, 1, 0.5]) } : undefined),
    ...(random.below(3) === 0 ? { maxOutputTokens: random.pick([1, 10]) } : undefined),
    ...(random.below(4) === 0 ? { stop: list(random, 2, () => text(random)) } : undefined),
    ...(random.below(3) === 0 ? { extra: object(random) } : undefined)
  },
  tenant: random.below(3) === 0 ? undefined : text(random),
  user: random.below(2) === 0 ? undefined : text(random),
  models: random.pick([["a/1"], ["a/2"], ["a/1", "b/1"], ["b/1", "a/1"]]),
  version: random.below(2) === 0 ? undefined : random.below(3) + 1,
  tags: [...new Set(list(random, 2, () => random.pick(["t", "u", "tu", "doc:1"])))].toSorted()
})

// ---- other ways to write the same ----

const reversed = (value: Json): Json =>
  Array.isArray(value)
    ? value.map(reversed)
    : typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).toReversed().map(([key, inner]) => [key, reversed(inner)]))
    : value

const other = <A>(random: Random, draw: () => A, than: A): A => {
  for (;;) {
    const drawn = draw()
    if (JSON.stringify(drawn) !== JSON.stringify(than)) return drawn
    random.below(2)
  }
}

export const differently = {
  written: (drawn: Drawn, random: Random): Drawn => ({
    ...drawn,
    tags: [...drawn.tags.toReversed(), ...drawn.tags],
    style: { reversed: true, bytes: random.below(2) === 0, outside: random.below(2) === 0 }
  }),
  /** One thing of it is another. */
  meant: (drawn: Drawn, random: Random): Drawn => {
    const index = random.below(drawn.messages.length)
    const message = drawn.messages[index]!
    const withMessage = (changed: Partial<typeof message>): Drawn => ({
      ...drawn,
      messages: drawn.messages.with(index, { ...message, ...changed })
    })
    switch (random.below(10)) {
      case 0: {
        const [first = "", ...rest] = message.texts
        return withMessage({ texts: [other(random, () => text(random), first), ...rest] })
      }
      case 1: {
        // Only the border between two texts is another.
        const joined = message.texts.join("")
        return withMessage({ texts: message.texts.length === 1 ? [joined, ""] : [joined] })
      }
      case 2:
        return withMessage({
          file: other(
            random,
            () => random.below(3) === 0 ? undefined : list(random, 3, () => random.below(3)),
            message.file
          )
        })
      case 3:
        return {
          ...drawn,
          settings: {
            ...drawn.settings,
            temperature: other(random, () => random.pick([0, 1, 0.5, 0.7]), drawn.settings.temperature ?? 0.9)
          }
        }
      case 4:
        return { ...drawn, tenant: other(random, () => random.below(3) === 0 ? undefined : text(random), drawn.tenant) }
      case 5:
        return { ...drawn, user: other(random, () => random.below(3) === 0 ? undefined : text(random), drawn.user) }
      case 6:
        return { ...drawn, models: other(random, () => random.pick([["a/1"], ["a/2"], ["a/1", "b/1"]]), drawn.models) }
      case 7:
        return { ...drawn, version: other(random, () => random.pick([undefined, 1, 2, 3]), drawn.version) }
      case 8:
        return { ...drawn, tags: drawn.tags.includes("new") ? [] : [...drawn.tags, "new"] }
      default: {
        const before = drawn.call
        return { ...drawn, call: { name: before?.name ?? "f", params: [before?.params ?? null] } }
      }
    }
  }
}

// ---- as requests ----

export const toRequest = (
  { call, messages, models, settings, style, tags, tenant, user, version }: Drawn
): Partial<Call.Request> & { readonly material: Partial<CacheKey.Material> } => {
  const turn = <A extends Json>(value: A): A => style?.reversed === true ? reversed(value) as A : value
  const content = messages.map(({ file, options, role, texts }) => ({
    role,
    ...(options === undefined
      ? undefined
      : { options: turn(options as { [key: string]: Json }) as Prompt.ProviderOptions }),
    content: role === "system" ? JSON.stringify(texts) + JSON.stringify(file ?? null) : [
      ...texts.map((text) => ({ type: "text" as const, text })),
      ...(file === undefined ? [] : [Prompt.makePart("file", {
        mediaType: "image/png",
        data: style?.bytes === true ? Uint8Array.from(file) : Buffer.from(file).toString("base64")
      })])
    ]
  }))
  const called = call === undefined ? [] : [{
    role: "assistant" as const,
    content: [
      Prompt.makePart("tool-call", { id: "1", name: call.name, params: turn(call.params), providerExecuted: false })
    ]
  }]
  const given = style?.reversed === true ? Object.fromEntries(Object.entries(settings).toReversed()) : settings
  const own: Call.Settings = settings.extra === undefined
    ? given
    : { ...given, extra: turn(settings.extra as { [key: string]: Json }) }
  return {
    prompt: Prompt.make([...content, ...called] as unknown as Prompt.RawInput),
    // Set by the stack, or by the call.
    settings: style?.outside === true ? {} : own,
    material: {
      plan: {
        policy: "orElse",
        detail: "",
        repeats: 1,
        children: models.map((model) => ({
          policy: "model",
          detail: model,
          repeats: 1,
          ...(style?.outside === true ? { settings: Call.mergeSettings({}, own) } : undefined),
          children: []
        }))
      },
      scope: user === undefined ? { _tag: "Tenant", tenant } : { _tag: "User", tenant, user },
      tags,
      ...(version === undefined
        ? undefined
        : { prompt: { name: "p", version, hash: "h", ...(style === undefined ? undefined : { label: "l" }) } })
    }
  }
}
