import { assert, describe, it } from "@effect/vitest"
import * as Exit from "effect/Exit"
import * as JsonSchema from "effect/JsonSchema"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import { answer } from "../../src/testing/internal/answer.ts"
import { parseRequest } from "../../src/testing/internal/chatRequest.ts"
import { instance } from "../../src/testing/internal/instance.ts"
import { sentences, summarize } from "../../src/testing/internal/summary.ts"
import { countTokens, tokenize } from "../../src/testing/internal/tokens.ts"

const harbour = "The harbour of Rotterdam handles 13 million containers. It never sleeps! Ships from Asia bring more."

const texts = [harbour, "", "hi", "日本語のテキスト。とても短い。", "emoji 😀😀 and 7.5 more"]

// Effect's importer of JSON Schema judges what our writer writes
const assertValid = (schema: JsonSchema.JsonSchema, text: string) => {
  const document = JsonSchema.fromSchemaDraft2020_12(schema)
  const judge = SchemaRepresentation.fromJsonSchemaDocument(document, { patterns: "apply" }) as Schema.Codec<unknown>
  const value = instance(schema, text)
  const judged = Schema.decodeUnknownExit(judge)(JSON.parse(JSON.stringify(value)), { onExcessProperty: "error" })
  assert.isTrue(Exit.isSuccess(judged), `${JSON.stringify(value)} for ${JSON.stringify(schema)}`)
  return value
}

const object = (properties: Record<string, unknown>, others: Record<string, unknown> = {}) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...others
})

const schemas: Record<string, JsonSchema.JsonSchema> = {
  "types": object({
    text: { type: "string" },
    whole: { type: "integer" },
    number: { type: "number" },
    flag: { type: "boolean" },
    nothing: { type: "null" },
    maybe: { type: ["null", "string"] },
    list: { type: "array", items: { type: "string" } },
    record: { type: "object", additionalProperties: { type: "integer" }, minProperties: 2 }
  }),
  "enum and const": object({
    a: { enum: ["x", "y"] },
    b: { const: 5 },
    c: { type: ["number", "null"], enum: ["no", 3] }
  }),
  "string lengths": object({
    long: { type: "string", minLength: 300 },
    short: { type: "string", maxLength: 3 },
    exact: { type: "string", minLength: 7, maxLength: 7 },
    empty: { type: "string", maxLength: 0 }
  }),
  "patterns": object({
    date: { type: "string", pattern: "^\\d{4}-(0[1-9]|1[0-2])$" },
    colour: { type: "string", pattern: "^#[0-9a-f]{6}$" },
    name: { type: "string", pattern: "^[\\p{L} ]{2,}$", minLength: 10 },
    part: { type: "string", pattern: "(foo|bar)+\\.x?$" },
    not: { type: "string", pattern: "^[^a-z\\s]+$" }
  }),
  "formats": object(Object.fromEntries(
    ["date-time", "date", "time", "email", "ipv4", "ipv6", "uri", "uuid"]
      .map((format) => [format, { type: "string", format }])
  )),
  "bounds": object({
    a: { type: "integer", minimum: 20, maximum: 20 },
    b: { type: "integer", exclusiveMinimum: -3, exclusiveMaximum: -1 },
    c: { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 0.01 },
    d: { type: "integer", multipleOf: 7, minimum: 15 },
    e: { type: "number", multipleOf: 0.5, maximum: -1.2 },
    f: { maximum: 4 }
  }),
  "arrays": object({
    least: { type: "array", items: { type: "integer" }, minItems: 5 },
    most: { type: "array", items: { type: "integer" }, maxItems: 1 },
    none: { type: "array", items: { type: "integer" }, maxItems: 0 },
    tuple: { type: "array", prefixItems: [{ type: "string" }, { type: "integer" }], minItems: 2, items: false },
    words: { type: "array", items: { type: "string" }, uniqueItems: true, minItems: 9 },
    colours: { type: "array", items: { $ref: "#/$defs/Colour" }, uniqueItems: true, minItems: 3 },
    digits: { type: "array", items: { type: "integer", minimum: 1, maximum: 3 }, uniqueItems: true, minItems: 3 },
    flags: { type: "array", items: { type: "boolean" }, uniqueItems: true, minItems: 2 }
  }, { $defs: { Colour: { type: "string", enum: ["red", "green", "blue"] } } }),
  "choices": object({
    any: { anyOf: [{ type: "integer", minimum: 3 }, { type: "null" }] },
    one: { oneOf: [object({ kind: { const: "a" }, a: { type: "string" } }), object({ kind: { const: "b" } })] },
    all: { allOf: [{ type: "string", minLength: 3 }, { maxLength: 8 }, { minLength: 5 }] },
    open: { allOf: [{ $ref: "#/$defs/Named" }, { type: "object", properties: { age: { type: "integer" } } }] }
  }, { $defs: { Named: { type: "object", properties: { name: { type: "string" } }, required: ["name"] } } }),
  "recursion": {
    $ref: "#/$defs/Node",
    $defs: {
      Node: object({
        label: { type: "string" },
        children: { type: "array", items: { $ref: "#/$defs/Node" } },
        next: { anyOf: [{ $ref: "#/$defs/Node" }, { type: "null" }] }
      })
    }
  },
  "the root may be anything": { type: "array", items: { type: "string" }, minItems: 1 }
}

const ask = (body: Record<string, unknown>) => answer(Result.getOrThrow(parseRequest({ model: "m", ...body })))

const call = (id: string, name: string) => ({ id, type: "function", function: { name, arguments: "{}" } })

describe("FaultServer answers", () => {
  describe("instances", () => {
    for (const [name, schema] of Object.entries(schemas)) {
      it(name, () => {
        for (const text of texts) assertValid(schema, text)
      })
    }

    it("strings and numbers come from the text where the schema lets them", () => {
      const value = assertValid(
        object({ city: { type: "string" }, note: { type: "string" }, millions: { type: "integer" } }),
        harbour
      )
      assert.deepEqual(value, {
        city: "Rotterdam",
        note: "The harbour of Rotterdam handles 13 million containers.",
        millions: 13
      })
    })

    it("schemas that all name each other stay small", () => {
      const names = Array.from({ length: 12 }, (_, index) => `D${index}`)
      const properties = Object.fromEntries(
        names.map((name) => [name, { anyOf: [{ $ref: `#/$defs/${name}` }, { type: "null" }] }])
      )
      const $defs = Object.fromEntries(names.map((name) => [name, object(properties)]))
      const value = assertValid({ $ref: "#/$defs/D0", $defs }, harbour)
      assert.isBelow(JSON.stringify(value).length, 10_000)
    })

    it("what cannot be satisfied becomes an empty object", () => {
      for (
        const schema of [
          false,
          { type: "string", minLength: 5, maxLength: 2 },
          { $ref: "#/$defs/Missing" },
          { $ref: "https://example.com/schema" },
          {
            $ref: "#/$defs/A",
            $defs: { A: { type: "object", properties: { a: { $ref: "#/$defs/A" } }, required: ["a"] } }
          }
        ]
      ) assert.deepEqual(instance(schema, harbour), {})
    })

    it("is the same every time", () => {
      for (const schema of Object.values(schemas)) {
        assert.strictEqual(JSON.stringify(instance(schema, harbour)), JSON.stringify(instance(schema, harbour)))
      }
    })
  })

  describe("tokens", () => {
    it("are small, and joined they are the text", () => {
      const odd = ["\n\n\n  a\tb ", "don't  stop—now…", "a😀b\ud83d", "é".normalize("NFD").repeat(9), "x".repeat(100)]
      for (const text of [...texts, ...odd]) {
        const tokens = tokenize(text)
        assert.strictEqual(tokens.join(""), text)
        for (const token of tokens) {
          assert.isAtLeast(token.length, 1)
          assert.isAtMost([...token].length, 6)
        }
        assert.strictEqual(countTokens(text), tokens.length)
      }
    })
  })

  describe("summaries", () => {
    it("sentences leave out headings, code and tables, and survive full stops within", () => {
      const markdown = [
        "# Report. On bread.",
        "",
        "Dr. Smith went to Paris. He paid 3.50 euros, e.g. for bread",
        "and butter. \"It is good!\" he said.",
        "- a first item",
        "- a second item",
        "```ts",
        "const x = 1. Not prose.",
        "```",
        "| a | b. |",
        "---",
        "東京は大きい。人が多い。"
      ].join("\n")
      assert.deepEqual(sentences(markdown), [
        "Dr. Smith went to Paris.",
        "He paid 3.50 euros, e.g. for bread and butter.",
        "\"It is good!\" he said.",
        "a first item",
        "a second item",
        "東京は大きい。",
        "人が多い。"
      ])
    })

    it("are whole sentences in their order, fewer than there were", () => {
      const long = Array.from(
        { length: 30 },
        (_, n) => n % 3 === 0 ? `The harbour handles ${n} containers every day.` : `Nobody counts number ${n}.`
      ).join(" ")
      const all = sentences(long)
      const positions = sentences(summarize(long)).map((sentence) => all.indexOf(sentence))
      assert.isTrue(positions.every((position) => position >= 0))
      assert.deepEqual(positions, positions.toSorted((a, b) => a - b))
      assert.isAtLeast(positions.length, 3)
      assert.isAtMost(positions.length, 5)
    })

    it("answer short messages politely with their own words", () => {
      assert.include(summarize("Hello there"), "\"Hello there\"")
      for (const text of texts) assert.isNotEmpty(summarize(text))
    })
  })

  describe("requests", () => {
    it("the last user message is answered, whatever its shape", () => {
      const given = ask({
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Ignored." },
          { role: "assistant", content: "Fine.", tool_calls: null },
          { role: "user", content: [{ type: "text", text: "Hello" }, { type: "image_url", image_url: { url: "x" } }] }
        ]
      })
      assert.include(given.tokens.join(""), "\"Hello\"")
    })

    it("prompt tokens are those of all messages", () => {
      const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: harbour }]
      const expected = countTokens("Be brief.") + countTokens(harbour)
      assert.strictEqual(ask({ messages }).promptTokens, expected)
    })

    it("several tool results are all quoted, also as JSON", () => {
      const messages = [
        { role: "user", content: "Weather?" },
        { role: "assistant", content: null, tool_calls: [call("1", "rain"), call("2", "wind")] },
        { role: "tool", tool_call_id: "1", content: "Rain all day." },
        { role: "tool", tool_call_id: "2", content: "Wind from the west." }
      ]
      const said = ask({ messages }).tokens.join("")
      assert.include(said, "rain: \"Rain all day.\"")
      assert.include(said, "wind: \"Wind from the west.\"")
      const schema = object({ first: { type: "string" }, second: { type: "string" } })
      const format = { type: "json_schema", json_schema: { name: "x", schema } }
      assert.deepEqual(JSON.parse(ask({ messages, response_format: format }).tokens.join("")), {
        first: "Rain all day.",
        second: "Wind from the west."
      })
    })

    it("too few tokens for a tool call cut its arguments", () => {
      const tools = [{ type: "function", function: { name: "f", parameters: object({ note: { type: "string" } }) } }]
      const given = ask({ messages: [{ role: "user", content: harbour }], tools, max_tokens: 3 })
      assert.deepEqual([given.tool, given.finish, given.tokens.length], ["f", "length", 3])
    })
  })
})
