import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { PromptVersion } from "effect-bulwark/prompts"

const content: PromptVersion.Content = {
  model: "small",
  settings: { temperature: 0.2, maxOutputTokens: 100, stop: ["END"], extra: { a: 1, b: { c: [1, 2], d: null } } },
  messages: [{ role: "system", template: "Be brief." }, { role: "user", template: "{{ question }}" }],
  examples: [{ user: "1 + 1?", assistant: "2" }],
  includes: { tone: { name: "tone", version: 2 } }
}

/** The same, with keys in another order. */
const shuffled = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(shuffled)
    : typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).toReversed().map(([key, inner]) => [key, shuffled(inner)]))
    : value

describe("the hash of a content", () => {
  it.effect("is the one it always was", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* PromptVersion.hash({ messages: [{ role: "user", template: "Grüße, {{ name }}!" }] }),
        // printf '{"messages":[{"role":"user","template":"Grüße, {{ name }}!"}]}' | sha256sum
        "474f6677edb7c5cd0286c836fd96ed744b194f247e95362e5228b225460e9d78"
      )
    }))

  it.effect.prop(
    "does not go by the order of keys, nor by keys that are undefined",
    { content: PromptVersion.Content },
    ({ content }) =>
      Effect.gen(function*() {
        const hash = yield* PromptVersion.hash(content)
        assert.match(hash, /^[0-9a-f]{64}$/)
        // It is the same content: only its keys stand in another order.
        const other = shuffled(content) as PromptVersion.Content
        assert.strictEqual(yield* PromptVersion.hash(other), hash)
        const absent = { ...content, absent: undefined }
        assert.strictEqual(yield* PromptVersion.hash(absent), hash)
        // And it survives JSON, which is how stores keep it.
        const kept = Schema.decodeUnknownSync(PromptVersion.Content)(JSON.parse(JSON.stringify(content)))
        assert.strictEqual(yield* PromptVersion.hash(kept), hash)
      })
  )

  it.effect.prop(
    "is another one for another content",
    { one: PromptVersion.Content, other: PromptVersion.Content },
    ({ one, other }) =>
      Effect.gen(function*() {
        const text = (content: PromptVersion.Content) => JSON.stringify(sorted(content))
        const [a, b] = [yield* PromptVersion.hash(one), yield* PromptVersion.hash(other)]
        assert.strictEqual(a === b, text(one) === text(other))
      })
  )

  const changes: ReadonlyArray<[string, PromptVersion.Content]> = [
    ["a letter of a template", {
      ...content,
      messages: [{ role: "system", template: "Be brief!" }, content.messages[1]!]
    }],
    ["a role", { ...content, messages: [{ role: "user", template: "Be brief." }, content.messages[1]!] }],
    ["the order of messages", { ...content, messages: [content.messages[1]!, content.messages[0]] }],
    ["white space", { ...content, messages: [{ role: "system", template: "Be brief. " }, content.messages[1]!] }],
    ["one message less", { ...content, messages: [content.messages[0]] }],
    ["the model", { ...content, model: "large" }],
    ["a setting", { ...content, settings: { ...content.settings, temperature: 0.3 } }],
    ["a setting, deep in", {
      ...content,
      settings: { ...content.settings, extra: { a: 1, b: { c: [2, 1], d: null } } }
    }],
    ["an example", { ...content, examples: [{ user: "1 + 1?", assistant: "two" }] }],
    ["a version that is included", { ...content, includes: { tone: { name: "tone", version: 3 } } }],
    ["the name of an include", { ...content, includes: { tune: { name: "tone", version: 2 } } }],
    ["a text that would end another", {
      ...content,
      messages: [{ role: "system", template: "Be brief.\"},{\"role\":\"user\",\"template\":\"{{ question }}" }]
    }]
  ]

  it.effect.each(changes)("changes with %s", ([, changed]) =>
    Effect.gen(function*() {
      assert.notStrictEqual(yield* PromptVersion.hash(changed), yield* PromptVersion.hash(content))
    }))

  it.effect("does not change with what is no content", () =>
    Effect.gen(function*() {
      const one = yield* PromptVersion.make({ name: "a", content }, { version: 1, createdAt: 0 })
      const other = yield* PromptVersion.make(
        { name: "b", content, author: "ada", message: "why", metadata: { x: 1 } },
        { version: 2, createdAt: 1 }
      )
      assert.strictEqual(one.hash, other.hash)
      assert.deepStrictEqual(Schema.decodeUnknownSync(PromptVersion.PromptVersion)(other), other)
    }))
})

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === "object" && value !== null
    ? Object.fromEntries(
      Object.entries(value).toSorted(([one], [other]) => one < other ? -1 : 1).map((
        [key, inner]
      ) => [key, sorted(inner)])
    )
    : value

describe("what is no version", () => {
  const valid = { name: "a", version: 1, hash: "0".repeat(64), createdAt: 0, content }
  const is = Schema.is(PromptVersion.PromptVersion)

  it("is not taken for one", () => {
    assert.isTrue(is(valid))
    for (
      const wrong of [
        { name: "" },
        { name: "../etc" },
        { name: "A" },
        { name: ".hidden" },
        { name: "a/b" },
        { name: "a".repeat(101) },
        { version: 0 },
        { version: 1.5 },
        { hash: "abc" },
        { content: { ...content, messages: [] } },
        { content: { ...content, messages: [{ role: "tool", template: "" }] } },
        { content: { ...content, settings: { temperature: -1 } } },
        { content: { ...content, includes: { a: { name: "b", version: 0 } } } }
      ]
    ) assert.isFalse(is({ ...valid, ...wrong }), JSON.stringify(wrong).slice(0, 100))
  })
})
