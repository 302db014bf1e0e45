import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Call, Hedge, Llm, type PromptReference, Retry } from "effect-bulwark"
import { Cache, CacheKey } from "effect-bulwark/cache"
import { type LanguageModel, Prompt, Tool } from "effect/ai"
import { WebCrypto } from "effect/crypto"
import { createHash } from "node:crypto"
import { digest, digestWeb } from "../../src/core/internal/digest.ts"
import { anthropic, openai } from "../core/support/stack.ts"
import { arbitraryRequest, differently, type Drawn, seeded, toRequest } from "./support/requests.ts"

const Weather = Tool.make("Weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String, days: Schema.Number }),
  success: Schema.String
})

const request = (fields: Partial<Call.Request> = {}): Call.Request => ({
  prompt: Prompt.make("How high is the Eiffel tower?"),
  tools: [],
  toolChoice: "none",
  responseFormat: { type: "text" },
  settings: {},
  ...fields
})

const prompt = (content: Prompt.RawInput): Partial<Call.Request> => ({ prompt: Prompt.make(content) })

const key = (fields: Partial<Call.Request> = {}, material: Partial<CacheKey.Material> = {}) =>
  Effect.runSync(CacheKey.make({ scope: CacheKey.everybody, plan: openai.plan, request: request(fields), ...material }))

const same = (a: string, b: string) => assert.strictEqual(a, b)
const other = (a: string, b: string) => assert.notStrictEqual(a, b)

describe("CacheKey.encode", () => {
  it("no two values have one text", () => {
    const values = [
      undefined,
      null,
      true,
      false,
      0,
      1,
      "",
      "0",
      "1",
      "null",
      "true",
      1n,
      NaN,
      Infinity,
      [],
      {},
      [[]],
      [undefined],
      [null],
      ["ab", "c"],
      ["a", "bc"],
      ["abc"],
      ["abc", ""],
      { a: 1 },
      { a: "1" },
      { a: null },
      { a: {} },
      { a: { b: 1 } },
      { "a.b": 1 },
      [["a", 1]],
      ["a", 1],
      "s1:a",
      ["s1:a"],
      "a2:s2:abs1:c",
      new Uint8Array([1]),
      "AQ==",
      "\ud800",
      "\ud801",
      "\ufffd",
      "\\ud800",
      "\"\\ud800\"",
      "é",
      "e\u0301"
    ]
    assert.strictEqual(new Set(values.map(CacheKey.encode)).size, values.length)
  })

  it("what is one value has one text", () => {
    same(CacheKey.encode({ a: 1, b: { c: 2, d: 3 } }), CacheKey.encode({ b: { d: 3, c: 2 }, a: 1 }))
    same(CacheKey.encode({ a: 1 }), CacheKey.encode({ a: 1, b: undefined, c: () => 1 }))
    same(CacheKey.encode(-0), CacheKey.encode(0))
    same(CacheKey.encode(1.0), CacheKey.encode(1))
    same(CacheKey.encode(new Date(0)), CacheKey.encode("1970-01-01T00:00:00.000Z"))
    same(CacheKey.encode({ __proto__: null, a: 1 }), CacheKey.encode({ a: 1 }))
  })

  it("a key may be called as a method of objects is", () => {
    other(CacheKey.encode(JSON.parse("{\"__proto__\":1}")), CacheKey.encode({}))
    other(CacheKey.encode({ constructor: 1 }), CacheKey.encode({ constructor: 2 }))
  })

  it("the properties of a JSON schema are in the order in which a model writes them", () => {
    const schema = (properties: object) => ({ type: "object", properties })
    other(
      CacheKey.encode(schema({ reasoning: { type: "string" }, answer: { type: "string" } })),
      CacheKey.encode(schema({ answer: { type: "string" }, reasoning: { type: "string" } }))
    )
    same(
      CacheKey.encode({ type: "object", properties: { a: { type: "string", minLength: 1 } } }),
      CacheKey.encode({ properties: { a: { minLength: 1, type: "string" } }, type: "object" })
    )
  })

  it("what contains itself is refused", () => {
    const self: { own?: unknown } = {}
    self.own = self
    assert.throws(() => CacheKey.encode(self), RangeError)
  })
})

describe("CacheKey.make", () => {
  it("is a SHA-256, and says nothing of the prompt", () => {
    assert.match(key(), /^[0-9a-f]{64}$/)
  })

  it("another text is another request, down to its form of Unicode", () => {
    other(key(prompt("caf\u00e9")), key(prompt("cafe\u0301")))
    other(key(prompt("a")), key(prompt("a ")))
    other(key(prompt("\ud800")), key(prompt("\ud801")))
    other(key(prompt("ﬁ")), key(prompt("fi")))
  })

  it("where a text ends is a part of it", () => {
    const messages = (...texts: ReadonlyArray<string>) =>
      prompt(texts.map((text) => ({ role: "user" as const, content: [{ type: "text" as const, text }] })))
    const parts = (...texts: ReadonlyArray<string>) =>
      prompt([{ role: "user" as const, content: texts.map((text) => ({ type: "text" as const, text })) }])
    const keys = [
      messages("ab", "c"),
      messages("a", "bc"),
      messages("abc"),
      parts("ab", "c"),
      parts("a", "bc"),
      parts("abc", "")
    ].map((fields) => key(fields))
    assert.strictEqual(new Set(keys).size, keys.length)
    same(key(prompt("abc")), key(messages("abc")))
  })

  it("who says it, and in what order", () => {
    const system = { role: "system" as const, content: "Be brief." }
    const user = { role: "user" as const, content: "Hi" }
    other(key(prompt([system, user])), key(prompt([user, system])))
    other(
      key(prompt([{ role: "user", content: "Hi" }])),
      key(prompt([{ role: "assistant", content: "Hi" }]))
    )
  })

  it("files: bytes as their base64, an address as its text, and each its own", () => {
    const file = (data: string | Uint8Array | URL, mediaType = "image/png", fileName?: string) =>
      key(prompt([{
        role: "user",
        content: [
          { ...Prompt.makePart("file", { mediaType, data, ...(fileName === undefined ? {} : { fileName }) }) } as never
        ]
      }]))
    same(file(new Uint8Array([0, 1, 2])), file("AAEC"))
    same(file(new URL("https://example.com/a.png")), file("https://example.com/a.png"))
    other(file("AAEC"), file("AAED"))
    other(file("AAEC"), file("AAEC", "image/jpeg"))
    other(file("AAEC"), file("AAEC", "image/png", "a.png"))
    other(file(new URL("https://example.com/a.png")), file(new URL("https://example.com/b.png")))
  })

  it("options of a message: none are as good as empty ones, others count in any order", () => {
    const options = (options: Prompt.ProviderOptions | undefined) =>
      key(prompt([{ role: "user", content: "Hi", ...(options === undefined ? {} : { options }) }]))
    same(options(undefined), options({}))
    other(options({}), options({ anthropic: { cacheControl: "5m" } }))
    same(options({ a: { x: 1, y: 2 }, b: { z: 3 } }), options({ b: { z: 3 }, a: { y: 2, x: 1 } }))
  })

  it("tools: name, description, parameters, order and choice; and no choice among none", () => {
    const tools = (tools: ReadonlyArray<Tool.Any>, toolChoice: LanguageModel.ToolChoice<string> = "auto") =>
      key({ tools, toolChoice })
    const make = (name: string, description: string, parameters: Schema.Struct.Fields) =>
      Tool.make(name, { description, parameters: Schema.Struct(parameters), success: Schema.String })
    const fields = { city: Schema.String, days: Schema.Number }
    same(tools([Weather]), tools([make("Weather", "The weather of a city", fields)]))
    other(tools([Weather]), tools([]))
    other(tools([Weather]), tools([make("Wether", "The weather of a city", fields)]))
    other(tools([Weather]), tools([make("Weather", "The weather of a town", fields)]))
    other(tools([Weather]), tools([make("Weather", "The weather of a city", { city: Schema.String })]))
    other(
      tools([Weather]),
      tools([make("Weather", "The weather of a city", { days: Schema.Number, city: Schema.String })])
    )
    const second = make("Time", "The time", {})
    other(tools([Weather, second]), tools([second, Weather]))
    other(tools([Weather], "auto"), tools([Weather], "required"))
    other(tools([Weather, second], { tool: "Weather" }), tools([Weather, second], { tool: "Time" }))
    same(tools([], "auto"), tools([], "none"))
  })

  it("the schema of an answer", () => {
    const format = (schema: Schema.Top, objectName = "output") =>
      key({ responseFormat: { type: "json", objectName, schema } as Call.Request["responseFormat"] })
    const City = Schema.Struct({ name: Schema.String, country: Schema.String })
    same(format(City), format(Schema.Struct({ name: Schema.String, country: Schema.String })))
    other(format(City), key())
    other(format(City), format(Schema.Struct({ name: Schema.String })))
    other(format(City), format(Schema.Struct({ country: Schema.String, name: Schema.String })))
    other(format(City), format(City, "city"))
  })

  it("settings: by what a model is asked with, wherever they were set", () => {
    const of = (llm: Llm.Any, settings: Call.Settings = {}) => key({ settings }, { plan: llm.plan })
    const warm = Llm.withSettings(openai, { temperature: 1 })
    same(of(warm), of(openai, { temperature: 1 }))
    same(of(warm, { temperature: 0 }), of(openai, { temperature: 0 }))
    same(of(openai, { temperature: undefined }), of(openai))
    other(of(warm), of(openai))
    other(of(openai, { temperature: 0 }), of(openai))
    other(of(openai, { stop: ["a", "b"] }), of(openai, { stop: ["b", "a"] }))
    same(of(openai, { extra: { a: 1, b: [1] } }), of(openai, { extra: { b: [1], a: 1 } }))
    other(of(openai, { extra: { a: 1 } }), of(openai, { extra: { a: "1" } }))
    same(of(openai, { temperature: 0 }), of(openai, { temperature: -0 }))
  })

  it("models, in their order; what only decides when they are asked makes no difference", () => {
    const of = (llm: Llm.Any) => key({}, { plan: llm.plan })
    other(of(openai), of(anthropic))
    other(of(openai.pipe(Llm.orElse(anthropic))), of(anthropic.pipe(Llm.orElse(openai))))
    other(of(openai.pipe(Llm.orElse(anthropic))), of(openai))
    same(of(openai), of(openai.pipe(Llm.retry(Retry.transient), Llm.timeout({ total: "1 minute" }))))
    same(of(openai), of(openai.pipe(Hedge.hedge({ after: "1 second" }), Cache.through({ timeToLive: 1 }))))
  })

  it("policies of one's own, by name, detail and place: they may change what is asked", () => {
    const own = (self: Llm.Any, detail: string) => ({ policy: "own", detail, repeats: 1, children: [self.plan] })
    const plans = [
      own(openai, "a"),
      own(openai, "b"),
      openai.plan,
      { policy: "orElse", detail: "", repeats: 1, children: [own(openai, "a"), anthropic.plan] },
      own(
        {
          ...openai,
          plan: { policy: "orElse", detail: "", repeats: 1, children: [openai.plan, anthropic.plan] }
        } as Llm.Any,
        "a"
      )
    ]
    assert.strictEqual(new Set(plans.map((plan) => key({}, { plan }))).size, plans.length)
  })

  it("the version of a prompt, however it was chosen", () => {
    const of = (fields: Partial<PromptReference.PromptReference>) =>
      key({}, { prompt: { name: "summary", version: 1, hash: "abc", ...fields } })
    other(of({}), key())
    other(of({}), of({ version: 2 }))
    other(of({}), of({ hash: "abd" }))
    other(of({}), of({ name: "summaries" }))
    same(of({}), of({ label: "production", experiment: "x", variant: "b" }))
    same(of({ name: "r\u00e9sum\u00e9" }), of({ name: "re\u0301sume\u0301" }))
  })

  it("tags of one's own, each once and in any order", () => {
    const of = (...tags: ReadonlyArray<string>) => key({}, { tags })
    same(of(), key())
    same(of("a", "b"), of("b", "a", "b"))
    other(of("a", "b"), of("ab"))
    same(of("caf\u00e9"), of("cafe\u0301"))
  })

  it("scopes are apart, and letter for letter", () => {
    const scopes: ReadonlyArray<CacheKey.Scope> = [
      CacheKey.everybody,
      CacheKey.tenantOf({}),
      CacheKey.tenantOf({ tenant: "" }),
      CacheKey.tenantOf({ tenant: "a" }),
      CacheKey.tenantOf({ tenant: "A" }),
      CacheKey.tenantOf({ tenant: "caf\u00e9" }),
      CacheKey.tenantOf({ tenant: "cafe\u0301" }),
      CacheKey.userOf({ tenant: "a", user: "b" })!,
      CacheKey.userOf({ user: "b" })!,
      CacheKey.userOf({ tenant: "ab", user: "" })!,
      CacheKey.userOf({ tenant: "", user: "ab" })!,
      { _tag: "Own", name: "a" }
    ]
    assert.strictEqual(new Set(scopes.map((scope) => key({}, { scope }))).size, scopes.length)
    assert.isUndefined(CacheKey.userOf({ tenant: "a" }))
  })

  it("something of one's own takes the place of what is asked, and of nothing else", () => {
    const of = (own: unknown, fields: Partial<Call.Request> = {}) => key(fields, { own })
    same(of(["a"], prompt("x")), of(["a"], prompt("y")))
    other(of(["a"]), of(["b"]))
    other(of(["a"]), of(["a"], { settings: { temperature: 0 } }))
    other(of(["a"]), key())
  })
})

describe("many requests", () => {
  const count = Number(process.env["BULWARK_TEST_KEYS"] ?? 4_000)

  const keyOf = (drawn: Drawn) => {
    const { material, ...fields } = toRequest(drawn)
    return key(fields, material)
  }

  it(`${count} pairs: what differs has another key, and what only looks different has the same`, {
    timeout: 60_000 + count
  }, () => {
    const random = seeded(7)
    const seen = new Map<string, string>()
    for (let n = 0; n < count; n++) {
      const drawn = arbitraryRequest(random)
      const first = keyOf(drawn)
      // The same, written in another way.
      same(keyOf(differently.written(drawn, random)), first)
      // One thing changed.
      const changed = differently.meant(drawn, random)
      const second = keyOf(changed)
      other(second, first)
      for (const [one, hash] of [[drawn, first], [changed, second]] as const) {
        // (In one order of keys, here by hand.)
        const text = JSON.stringify(
          one,
          (_, value: unknown) =>
            typeof value === "object" && value !== null && !Array.isArray(value)
              ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1))
              : value
        )
        const before = seen.get(hash)
        if (before === undefined) {
          // (As many as fit.)
          if (seen.size < 200_000) seen.set(hash, text)
        } else same(before, text)
      }
    }
  })
})

describe("the hash", () => {
  it.effect("is the same by Node and by Web Crypto", () =>
    Effect.gen(function*() {
      for (const text of ["", "abc", "東京 🗼".repeat(1_000)]) {
        const expected = createHash("sha256").update(text).digest("hex")
        assert.strictEqual(yield* digest(text), expected)
        assert.strictEqual(yield* digestWeb(text), expected)
      }
      const calls: Array<string> = []
      const crypto = {
        subtle: {
          digest: (name: string, data: BufferSource) => {
            calls.push(name)
            return globalThis.crypto.subtle.digest(name, data)
          }
        }
      } as unknown as Crypto
      yield* Effect.provideService(digestWeb("abc"), WebCrypto.WebCrypto, crypto)
      assert.deepStrictEqual(calls, ["SHA-256"])
    }))
})
