import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule, Schema } from "effect"
import { Llm } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { structuredOutput } from "../../src/core/internal/structuredOutput.ts"
import { delta, finish, finishUsage } from "./support/chunked.ts"
import { makeReceipts, OpenAi, openai, question } from "./support/stack.ts"
import { handlers, Station, station, toolkit } from "./support/weather.ts"

const City = Schema.Struct({
  name: Schema.String,
  people: Schema.Int.check(Schema.isGreaterThan(0)),
  founded: Schema.optionalKey(Schema.DateTimeUtcFromString),
  rivers: Schema.Array(Schema.Struct({ name: Schema.String, kind: Schema.Literals(["river", "canal"]) }))
}).annotate({ identifier: "City" })

const paris = { name: "Paris", people: 2_100_000, rivers: [{ name: "Seine", kind: "river" }] } as const

const answered = (text: string) => ScriptedProvider.layer(OpenAi, [ScriptedProvider.text(text)])

const ask = <S extends Schema.Top>(schema: S, text: string) =>
  Effect.provide(Llm.generateObject(openai, { ...question, schema }), answered(text))

/** Stands for whatever the model said. */
const secret = "Atlant1s"

describe("generateObject", () => {
  it.effect("decodes the answer", () =>
    Effect.gen(function*() {
      const answer = yield* ask(City, JSON.stringify({ ...paris, founded: null }))
      assert.deepStrictEqual(answer.value, paris)
      assert.strictEqual(answer.text, JSON.stringify({ ...paris, founded: null }))
      assert.strictEqual(answer.receipt.outcome, "success")
      assert.instanceOf(answer, Llm.ObjectAnswer)
    }))

  it.effect("decodes what is more than JSON", () =>
    Effect.gen(function*() {
      const { value } = yield* ask(City, JSON.stringify({ ...paris, founded: "2026-03-01T00:00:00Z" }))
      assert.strictEqual(value.founded?.epochMilliseconds, Date.UTC(2026, 2, 1))
    }))

  it.effect("takes the answer from all of its pieces, and from no reasoning", () =>
    Effect.gen(function*() {
      const json = JSON.stringify({ ...paris, founded: null })
      const answer = yield* Llm.generateObject(openai, { ...question, schema: City }).pipe(
        Effect.provide(ScriptedProvider.layer(OpenAi, [
          ScriptedProvider.parts([
            { type: "reasoning-delta", id: "r", delta: `{"name":` },
            { type: "text-delta", id: "0", delta: json.slice(0, 9) },
            { type: "text-delta", id: "1", delta: json.slice(9) },
            finish()
          ])
        ]))
      )
      assert.deepStrictEqual(answer.value, paris)
    }))

  it.effect("asks for JSON of the schema, by name", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("{}"))
      const plain = Schema.Struct({})
      yield* Effect.provide(
        Effect.all([
          Llm.generateObject(openai, { ...question, schema: plain }),
          Llm.generateObject(openai, { ...question, schema: plain, objectName: "facts" }),
          Llm.generateObject(openai, { ...question, schema: plain.annotate({ identifier: "A City/of mine" }) }),
          Llm.generateObject(openai, { ...question, schema: plain.annotate({ identifier: "x".repeat(99) }) })
        ]),
        provider.layer
      )
      const formats = provider.calls.map(({ request }) => request.responseFormat)
      assert.deepStrictEqual(formats.map((format) => format.type === "json" ? format.objectName : format.type), [
        "output",
        "facts",
        "A_City_of_mine",
        "x".repeat(64)
      ])
      assert(formats[0]?.type === "json")
      assert.strictEqual(formats[0].schema, plain)
    }))

  it.effect("is InvalidOutput when the answer does not fit, which says where and nothing of what", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const text = JSON.stringify({
        name: 7,
        people: -1,
        founded: secret,
        rivers: [paris.rivers[0], { name: secret, kind: secret }],
        [secret]: secret
      })
      const error = yield* Effect.flip(receipts.observe(ask(City, text)))
      assert(error._tag === "InvalidOutput")
      for (const path of [`["name"]`, `["people"]`, `["rivers"][1]["kind"]`]) {
        assert.include(error.problem, path)
      }
      assert.include(error.problem, `Expected string at ["name"]; `)
      assert.notInclude(error.problem, "\n")
      assert.notInclude(error.message + JSON.stringify(error), secret)
      assert(error.text !== undefined)
      assert.strictEqual(Redacted.value(error.text), text)
      assert.strictEqual(error.provider, "openai")
      assert.strictEqual(error.model, "gpt-5-mini")
      assert.strictEqual(error.usage?.outputText, 1)
      assert.strictEqual(receipts.one().outcome, "InvalidOutput")
      // The provider did its part.
      assert.strictEqual(receipts.one().attempts[0]?.outcome, "success")
    }))

  it.effect("is InvalidOutput when the answer is no JSON at all", () =>
    Effect.gen(function*() {
      for (const text of [secret, `{"name":"${secret}"`, `Sure! {"name":"${secret}"}`, `"${secret}"`, "null", "[]"]) {
        const error = yield* Effect.flip(ask(City, text))
        assert(error._tag === "InvalidOutput")
        assert.notInclude(error.message, secret)
        assert.isTrue(error.problem.length > 0)
      }
    }))

  it.effect("says so when there is no text", () =>
    Effect.gen(function*() {
      for (const text of ["", " \n"]) {
        const error = yield* Effect.flip(ask(City, text))
        assert(error._tag === "InvalidOutput")
        assert.strictEqual(error.problem, "it has no text")
      }
    }))

  it.effect("says nothing of what the model named, only where it stood", () =>
    Effect.gen(function*() {
      const byName = Schema.Record(Schema.String, Schema.Int)
      const wrong = `{"${secret}":"x"}`
      const errors = yield* Effect.all([
        Effect.flip(ask(Schema.Struct({ byName }), `{"byName":${wrong}}`)),
        Effect.flip(ask(Schema.Array(byName), `[${wrong}]`)),
        Effect.flip(ask(Schema.Struct({ founded: Schema.DateTimeUtcFromString }), `{"founded":"${secret}"}`)),
        Effect.flip(ask(Schema.Struct({ home: Schema.URLFromString }), `{"home":"${secret}"}`)),
        Effect.flip(ask(Schema.Struct({ size: Schema.FiniteFromString }), `{"size":"${secret}"}`)),
        Effect.flip(ask(Schema.Struct({ size: Schema.BigIntFromString }), `{"size":"${secret}"}`)),
        Effect.flip(ask(Schema.Struct({ inner: Schema.fromJsonString(Schema.Int) }), `{"inner":"${secret}"}`))
      ])
      for (const error of errors) {
        assert(error._tag === "InvalidOutput")
        assert.notInclude(error.message, secret)
      }
      assert.deepInclude(errors[1], { problem: "Expected number at [0][*]" })
    }))

  it.effect("is OutputTruncated when the answer reached its limit, even where it would decode", () =>
    Effect.gen(function*() {
      for (const text of [`{"name":"Par`, "{}"]) {
        const error = yield* Llm.generateObject(openai, { ...question, schema: Schema.Struct({}) }).pipe(
          Effect.flip,
          Effect.provide(ScriptedProvider.layer(OpenAi, [ScriptedProvider.parts([delta(text), finish("length")])]))
        )
        assert(error._tag === "OutputTruncated")
        assert.strictEqual(Redacted.value(error.partial), text)
        assert.deepStrictEqual(error.usage, finishUsage)
        assert.strictEqual(error.provider, "openai")
      }
    }))

  it.effect("is not asked again by a retry around the call when it does not decode", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, [ScriptedProvider.text("no")])
      const error = yield* Llm.generateObject(openai.pipe(Llm.retry(Schedule.recurs(3))), { ...question, schema: City })
        .pipe(Effect.flip, Effect.provide(provider.layer))
      assert.strictEqual(error._tag, "InvalidOutput")
      assert.strictEqual(provider.calls.length, 1)
    }))

  describe("with tools", () => {
    const tools = Layer.provide(handlers, Layer.succeed(Station, station))

    it.effect("decodes the answer, and has the tools' results", () =>
      Effect.gen(function*() {
        const answer = yield* Llm.generateObject(openai, { ...question, schema: City, toolkit }).pipe(
          Effect.provide([
            tools,
            ScriptedProvider.layer(OpenAi, [
              ScriptedProvider.parts([
                { type: "tool-call", id: "c", name: "Weather", params: { city: "Paris" } },
                delta(JSON.stringify({ ...paris, founded: null })),
                finish()
              ])
            ])
          ])
        )
        assert.deepStrictEqual(answer.value, paris)
        assert.strictEqual(answer.toolResults.length, 1)
        assert.strictEqual(answer.receipt.outcome, "success")
      }))

    it.effect("fails in the same ways", () =>
      Effect.gen(function*() {
        const run = (step: ScriptedProvider.Step) =>
          Llm.generateObject(openai, { ...question, schema: City, toolkit }).pipe(
            Effect.flip,
            Effect.provide([tools, ScriptedProvider.layer(OpenAi, [step])])
          )
        const truncated = yield* run(ScriptedProvider.parts([delta(`{"name`), finish("length")]))
        assert.strictEqual(truncated._tag, "OutputTruncated")
        const invalid = yield* run(ScriptedProvider.text(`{"name":"${secret}"}`))
        assert.strictEqual(invalid._tag, "InvalidOutput")
        assert.notInclude(invalid.message + JSON.stringify(invalid), secret)
      }))
  })
})

describe("a schema on the wire", () => {
  it("is strict where it can be: every property required, nothing else allowed", () => {
    const { jsonSchema, strict } = structuredOutput(City)
    assert.isTrue(strict)
    assert.deepInclude(jsonSchema, { additionalProperties: false, required: ["name", "people", "founded", "rivers"] })
  })

  it("is plain where it cannot", () => {
    for (const schema of [Schema.Array(City), Schema.String, Schema.Union([City, Schema.Null])]) {
      assert.isFalse(structuredOutput(schema).strict)
    }
  })

  it.effect("is decoded all the same", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* ask(Schema.Array(Schema.Finite), "[1,2]")).value, [1, 2])
      assert.strictEqual((yield* ask(Schema.Literals(["a", "b"]), `"b"`)).value, "b")
      const error = yield* Effect.flip(ask(Schema.Array(Schema.Finite), `[1,"${secret}"]`))
      assert(error._tag === "InvalidOutput")
      assert.include(error.problem, "[1]")
      assert.notInclude(error.message, secret)
    }))

  it("is translated once", () => {
    assert.strictEqual(structuredOutput(City), structuredOutput(City))
  })
})
