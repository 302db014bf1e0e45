import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as FaultServer from "../../src/testing/FaultServer.ts"
import { tokenize } from "../../src/testing/internal/tokens.ts"

const Answer = Schema.Struct({
  choices: Schema.Tuple([Schema.Struct({
    message: Schema.Struct({
      content: Schema.NullOr(Schema.String),
      tool_calls: Schema.optionalKey(Schema.Array(Schema.Unknown))
    }),
    finish_reason: Schema.String
  })]),
  usage: Schema.Struct({ prompt_tokens: Schema.Int, completion_tokens: Schema.Int })
})

const post = (server: FaultServer.FaultServer, body: object) =>
  Effect.promise(async () => {
    const response = await fetch(`${server.url}/chat/completions`, { method: "POST", body: JSON.stringify(body) })
    return { status: response.status, text: await response.text() }
  })

const question = { role: "user", content: "What do you say?" }

const ask = (server: FaultServer.FaultServer, model: string, rest: object = {}) =>
  Effect.map(
    post(server, { model, messages: [question], ...rest }),
    ({ text }) => Schema.decodeSync(Schema.fromJsonString(Answer))(text)
  )

const said = (server: FaultServer.FaultServer, model: string, rest?: object) =>
  Effect.map(ask(server, model, rest), ({ choices: [{ message }] }) => message.content)

const streamed = (server: FaultServer.FaultServer, model: string, rest: object = {}) =>
  Effect.map(
    post(server, { model, messages: [question], stream: true, ...rest }),
    ({ text }) =>
      text.split("\n\n").flatMap((event) => /"delta":\{"content":"([^"]+)"\}/.exec(event)?.[1] ?? []).join("")
  )

/** Words of the assistant at the end. */
const begun = (content: string) => ({ messages: [question, { role: "assistant", content }] })

const one = "One two three, four five six."

describe("FaultServer, words of its own", () => {
  it.effect("a model says what it is given, whole and streamed, and others answer the question", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { one } })
      const answer = yield* ask(server, "one")
      assert.strictEqual(answer.choices[0].message.content, one)
      assert.strictEqual(answer.choices[0].finish_reason, "stop")
      assert.strictEqual(answer.usage.completion_tokens, tokenize(one).length)
      assert.strictEqual(yield* streamed(server, "one"), one)
      assert.include(yield* said(server, "two"), "What do you say?")
    }))

  it.effect("as far as the limit and the stop texts let it", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { one } })
      const cut = yield* ask(server, "one", { max_tokens: 3 })
      assert.strictEqual(cut.choices[0].message.content, tokenize(one).slice(0, 3).join(""))
      assert.strictEqual(cut.choices[0].finish_reason, "length")
      assert.strictEqual(yield* said(server, "one", { stop: "," }), "One two three")
    }))

  it.effect("what a tool or a schema asks for follows from the request all the same", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { one } })
      const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
      const called = yield* ask(server, "one", { tools: [{ type: "function", function: { name: "go", parameters } }] })
      assert.strictEqual(called.choices[0].message.tool_calls?.length, 1)
      assert.isNull(called.choices[0].message.content)
      const object = yield* said(server, "one", {
        response_format: { type: "json_schema", json_schema: { name: "x", schema: parameters } }
      })
      assert.property(JSON.parse(object ?? ""), "city")
    }))

  it.effect("faults cut it as they cut any answer", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { one }, script: { one: [FaultServer.errorEventAfter(2)] } })
      assert.strictEqual(yield* streamed(server, "one"), tokenize(one).slice(0, 2).join(""))
    }))
})

describe("FaultServer, words of the assistant at the end", () => {
  it.effect("are ignored by default: the answer is the one to the question", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { one } })
      assert.strictEqual(yield* said(server, "one", begun("One two")), one)
      assert.strictEqual(yield* said(server, "two", begun("One two")), yield* said(server, "two"))
    }))

  it.effect("a model that continues goes on where they end", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { one }, prefill: { one: "continue", two: "continue" } })
      assert.strictEqual(yield* said(server, "one", begun("One two")), " three, four five six.")
      assert.strictEqual(yield* streamed(server, "one", begun("One two ")), "three, four five six.")
      assert.strictEqual(yield* said(server, "one"), one)
      // Also where the answer follows from the question.
      const whole = (yield* said(server, "two")) ?? ""
      assert.strictEqual(yield* said(server, "two", begun(whole.slice(0, 9))), whole.slice(9))
    }))

  it.effect("and says all of its answer where it does not begin with them", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ answers: { one }, prefill: { one: "continue" } })
      assert.strictEqual(yield* said(server, "one", begun("Two one")), one)
    }))

  it.effect("a model that rejects them answers 400, takes no fault, and accepts all else", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({
        answers: { one, two: one },
        prefill: { one: "reject" },
        script: { one: [FaultServer.overloaded] }
      })
      for (const stream of [false, true]) {
        const refused = yield* post(server, { model: "one", stream, ...begun("One") })
        assert.strictEqual(refused.status, 400)
        assert.include(refused.text, "does not support assistant message prefill")
        assert.include(refused.text, `"type":"invalid_request_error"`)
      }
      assert.strictEqual((yield* post(server, { model: "one", messages: [question] })).status, 503)
      // An answer that has been answered is no beginning of one.
      const messages = [question, { role: "assistant", content: "One" }, question]
      assert.strictEqual(yield* said(server, "one", { messages }), one)
      assert.strictEqual(yield* said(server, "two", begun("One")), one)
      const log = yield* server.requests
      assert.deepStrictEqual(log.map((request) => request.fault), [
        undefined,
        undefined,
        "overloaded",
        "healthy",
        "healthy"
      ])
    }))
})
