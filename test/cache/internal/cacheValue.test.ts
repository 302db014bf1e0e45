/**
 * What a cache keeps of an answer: it comes back as it was, it cannot be changed, and what is anything else is told apart.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Redacted, Result, Schema } from "effect"
import { LlmError, Money, type Part } from "effect-bulwark"
import {
  type AnswerEntry,
  decode,
  encode,
  type Entry,
  type FailureEntry,
  thaw
} from "../../../src/cache/internal/cacheValue.ts"
import type { Value } from "../../../src/cache/internal/store.ts"

const common = {
  key: "key",
  storedAt: 1_700_000_000_000,
  freshFor: 60_000,
  staleFor: 30_000,
  staleIfErrorFor: 0,
  computeMillis: 1_234.5
}

const finish: Part.ProviderPart = {
  type: "finish",
  reason: "stop",
  usage: {
    inputTokens: { uncached: 3, total: 3, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 5, text: 5, reasoning: undefined }
  },
  metadata: { openai: { serviceTier: "default", nested: { list: [1, null, "x"] } } }
}

const parts: ReadonlyArray<Part.ProviderPart> = [
  { type: "response-metadata", id: "r", modelId: "gpt-5-mini", timestamp: "2026-11-01T00:00:00.000Z" },
  { type: "reasoning-start", id: "0" },
  { type: "reasoning-delta", id: "0", delta: "so" },
  { type: "reasoning-end", id: "0", metadata: { anthropic: { signature: "abc" } } },
  { type: "text-start", id: "1" },
  { type: "text-delta", id: "1", delta: "Guten \u0000 Tag \ud83d 🙂" },
  { type: "text-delta", id: "1", delta: "", metadata: { openai: null } },
  { type: "text-end", id: "1" },
  { type: "tool-params-start", id: "2", name: "weather", providerExecuted: false },
  { type: "tool-params-delta", id: "2", delta: "{\"city\":" },
  { type: "tool-params-end", id: "2" },
  {
    type: "tool-call",
    id: "2",
    name: "weather",
    params: JSON.parse("{\"city\":\"Wien\",\"__proto__\":{\"a\":1},\"list\":[{\"deep\":[]}]}")
  },
  { type: "file", mediaType: "image/png", data: "AAAA" },
  { type: "source", sourceType: "url", id: "3", url: "https://example.com/", title: "x" },
  finish
].map((part): Part.ProviderPart => JSON.parse(JSON.stringify(part)))

const answer: AnswerEntry = {
  _tag: "Answer",
  ...common,
  provider: "openai",
  model: "gpt-5-mini",
  finishReason: "stop",
  usage: { inputUncached: 3, inputCacheRead: 0, inputCacheWrite: 0, outputText: 5, outputReasoning: 0 },
  cost: Money.MicroUsd.make(17),
  parts
}

/** As a home that keeps texts gives it back. */
const apart = (value: Value): Value => JSON.parse(JSON.stringify(value))

const encoded = (entry: Entry) => Result.getOrThrow(encode(entry))

const reason = (result: Result.Result<unknown, { readonly reason: string }>) =>
  Result.isFailure(result) ? result.failure.reason : "none"

describe("a cached answer", () => {
  it("comes back as it was, from memory and from text", () => {
    const value = encoded(answer)
    for (const home of [value, apart(value)]) {
      const entry = Result.getOrThrow(decode("key", home))
      assert.deepStrictEqual(entry, answer)
      assert.isTrue(
        entry._tag === "Answer" && entry.parts.every((part, n) => JSON.stringify(part) === JSON.stringify(parts[n]))
      )
    }
  })

  it("comes back without what a provider did not say", () => {
    const { cost: _, finishReason: __, usage: ___, ...rest } = answer
    for (const entry of [rest, { ...rest, cost: undefined, finishReason: undefined, usage: undefined }]) {
      const value = encoded(entry)
      for (const home of [value, apart(value)]) {
        const decoded = Result.getOrThrow(decode("key", home))
        assert.deepStrictEqual(decoded, { ...rest, cost: undefined, finishReason: undefined, usage: undefined })
      }
    }
    // What is `undefined` is not there.
    const value = encoded({ ...answer, parts: [{ type: "text-start", id: "0", metadata: undefined }] })
    assert.deepStrictEqual(Reflect.ownKeys((value["parts"] as ReadonlyArray<object>)[0]!), ["type", "id"])
  })

  it("is looked at once", () => {
    const value = encoded(answer)
    assert.strictEqual(Result.getOrThrow(decode("key", value)), Result.getOrThrow(decode("key", value)))
    const text = apart(value)
    assert.strictEqual(Result.getOrThrow(decode("key", text)), Result.getOrThrow(decode("key", text)))
  })

  it("cannot be changed by whoever gave it or got it", () => {
    const mine = structuredClone(parts) as Array<Part.ProviderPart>
    const value = encoded({ ...answer, parts: mine })
    const call = mine[11] as unknown as { name: string; params: { city: string; list: Array<unknown> } }
    call.name = "other"
    call.params.city = "Graz"
    call.params.list.push(1)
    mine.push(finish)
    const entry = Result.getOrThrow(decode("key", value)) as AnswerEntry
    assert.deepStrictEqual(entry, answer)
    const got = entry.parts[11] as unknown as typeof call
    for (
      const change of [
        () => got.name = "other",
        () => got.params.city = "Graz",
        () => got.params.list.push(1),
        () => (entry.parts as Array<Part.ProviderPart>).push(finish),
        () => (entry as { model: string }).model = "other"
      ]
    ) {
      assert.throws(change, TypeError)
    }
    assert.deepStrictEqual(Result.getOrThrow(decode("key", value)), answer)
  })

  it("is copied part by part for those who change it", () => {
    const entry = Result.getOrThrow(decode("key", encoded(answer))) as AnswerEntry
    const thawed = entry.parts.map(thaw)
    assert.deepStrictEqual(thawed, parts)
    const call = thawed[11] as unknown as { params: { list: Array<unknown> } }
    call.params.list.push(1)
    assert.deepStrictEqual(Result.getOrThrow(decode("key", encoded(answer))), answer)
    assert.deepStrictEqual(entry.parts, parts)
  })

  it("has no other zero than 0, as in JSON", () => {
    const value = encoded({ ...answer, freshFor: -0 })
    assert.isTrue(Object.is(value["freshFor"], 0))
  })

  const call = (params: unknown): Entry => ({
    ...answer,
    parts: [{ type: "tool-call", id: "2", name: "weather", params } as Part.ProviderPart]
  })
  const circle: Record<string, unknown> = {}
  circle["circle"] = circle
  const nest = (depth: number): unknown => depth === 0 ? 1 : [nest(depth - 1)]
  const fails: ReadonlyArray<readonly [string, Entry]> = [
    ["a date", call({ at: new Date(0) })],
    ["a bigint", call({ n: 1n })],
    ["NaN", call({ n: NaN })],
    ["infinity", call([Infinity])],
    ["a function", call({ f: () => 1 })],
    ["a symbol", call({ s: Symbol("s") })],
    ["undefined in a list", call([undefined])],
    // oxlint-disable-next-line no-sparse-arrays
    ["a hole in a list", call([1, , 2])],
    ["a map", call(new Map([[1, 2]]))],
    ["bytes", call(new Uint8Array([1]))],
    ["a circle", call(circle)],
    ["what is too deep", call(nest(1_000))],
    ["no part", { ...answer, parts: [{ type: "text-delta", id: "1" } as Part.ProviderPart] }],
    ["an error part", { ...answer, parts: [{ type: "error", error: "x" } as unknown as Part.ProviderPart] }],
    ["a retraction", { ...answer, parts: [{ type: "retract", reason: "closed" } as unknown as Part.ProviderPart] }],
    ["a time that is none", { ...answer, storedAt: NaN }],
    ["a negative length of time", { ...answer, staleFor: -1 }],
    ["no finite length of time", { ...answer, freshFor: Infinity }]
  ]
  it.each(fails)("is not written with %s", (_, entry) => {
    assert.strictEqual(reason(encode(entry)), "unencodable")
  })

  it("takes what is deep", () => {
    const value = encoded(call(nest(150)))
    assert.deepStrictEqual(Result.getOrThrow(decode("key", apart(value))), Result.getOrThrow(decode("key", value)))
  })
})

describe("what is no cached answer", () => {
  it("is another key's", () => {
    const value = encoded(answer)
    for (const home of [value, apart(value)]) {
      assert.strictEqual(reason(decode("other", home)), "foreignKey")
      assert.strictEqual(reason(decode("key", home)), "none")
      assert.strictEqual(reason(decode("other", home)), "foreignKey")
    }
  })

  it("is another version's", () => {
    for (const v of [0, 2, 1.5, -1]) assert.strictEqual(reason(decode("key", { ...encoded(answer), v })), "version")
    for (const v of ["1", null, [1], {}]) {
      assert.strictEqual(reason(decode("key", { ...encoded(answer), v })), "malformed")
    }
  })

  it("lacks something, or has something else in its place", () => {
    const value = apart(encoded(answer))
    const needed = Object.keys(value).filter((name) => !["v", "cost", "usage", "finishReason"].includes(name))
    assert.lengthOf(needed, 9)
    for (const name of needed) {
      const { [name]: _, ...rest } = value
      assert.strictEqual(reason(decode("key", rest)), "malformed", name)
    }
    for (const name of Object.keys(value)) {
      for (const wrong of [null, "", true, [null], [{}], { a: 1 }, -1]) {
        const broken = apart({ ...value, [name]: wrong })
        const found = decode("key", broken)
        if (reason(found) !== "none") continue
        // What is another legal value of the same kind.
        assert.include(
          [["provider", ""], ["model", ""], ["finishReason", ""], ["storedAt", -1]].map((one) => one.join("=")),
          `${name}=${broken[name]}`
        )
      }
    }
  })

  it("has a part that is none, anywhere", () => {
    const value = apart(encoded(answer))
    for (let n = 0; n < parts.length; n++) {
      for (
        const wrong of [null, 1, "x", {}, { type: "nothing" }, { type: "error", error: 1 }, {
          type: "retract",
          reason: "closed"
        }]
      ) {
        const broken = { ...value, parts: parts.with(n, wrong as unknown as Part.ProviderPart) } as unknown as Value
        assert.strictEqual(reason(decode("key", broken)), "malformed", `${n}: ${JSON.stringify(wrong)}`)
      }
    }
  })

  it("says nothing of what is in it", () => {
    const broken = { ...apart(encoded(answer)), parts: [{ type: "text-delta", delta: "secret answer" }] }
    const refused = decode("key", broken)
    assert.isTrue(Result.isFailure(refused))
    if (Result.isFailure(refused)) {
      const { failure } = refused
      for (const text of [failure.message, String(failure), JSON.stringify(failure), failure.stack]) {
        assert.notInclude(text ?? "", "secret")
      }
    }
  })
})

describe("a cached failure", () => {
  const attempt = { provider: "openai", model: "gpt-5-mini", status: 400, requestId: "r" }
  const errors: ReadonlyArray<LlmError.LlmError> = [
    new LlmError.InvalidRequest({ ...attempt, parameter: "tools", detail: Redacted.make("no such tool") }),
    new LlmError.RateLimited({ ...attempt, scope: "requests", retryAfter: Duration.seconds(2) }),
    new LlmError.ContentFiltered({ ...attempt, stage: "prompt", categories: ["violence"] }),
    new LlmError.ContextLengthExceeded({ ...attempt, limit: 10, requested: 11 }),
    new LlmError.QuotaExhausted({ ...attempt, resetsAt: DateTime.makeUnsafe(0) }),
    new LlmError.OutputTruncated({ partial: Redacted.make("half") }),
    new LlmError.AllModelsExhausted({ failures: [new LlmError.ModelNotFound(attempt)], attempts: [] })
  ]

  it.each(errors.map((error) => [error._tag, error] as const))("comes back as it was: %s", (_, error) => {
    const failure: FailureEntry = { _tag: "Failure", ...common, error }
    const value = encoded(failure)
    const toJson = Schema.encodeSync(Schema.toCodecJson(LlmError.LlmError))
    for (const home of [value, apart(value)]) {
      const entry = Result.getOrThrow(decode("key", home)) as FailureEntry
      assert.strictEqual(entry.error._tag, error._tag)
      assert.deepStrictEqual(toJson(entry.error), toJson(error))
      assert.strictEqual(entry.error.message, error.message)
      assert.deepStrictEqual({ ...entry, error }, failure)
    }
  })

  it("is none where it does not decode", () => {
    const value = apart(encoded({ _tag: "Failure", ...common, error: errors[0]! }))
    for (const failure of [null, {}, { _tag: "Nothing" }, { _tag: "TimedOut" }, [], "x"]) {
      assert.strictEqual(reason(decode("key", { ...value, failure })), "malformed")
    }
  })
})
