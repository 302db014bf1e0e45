import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Layer, Schema } from "effect"
import { TokenCount } from "effect-bulwark/budget"
import { Prompt, Tokenizer, Tool } from "effect/ai"
import * as cl100k from "gpt-tokenizer/encoding/cl100k_base"
import * as o200k from "gpt-tokenizer/encoding/o200k_base"
import { functionCallingTestCases } from "gpt-tokenizer/fixtures/functionCallingTestCases"
import { languages } from "./support/texts.ts"

const asText = { disallowedSpecial: new Set<string>() }
const tokens = (text: string) => o200k.countTokens(text, asText)

const gpt4o = { provider: "openai", model: "gpt-4o" }
const gpt4 = { provider: "openai", model: "gpt-4" }
const claude = { provider: "anthropic", model: "claude-opus-5" }

const counting = TokenCount.layer()

const weather = Tool.make("get_weather", {
  description: "The weather of a place",
  parameters: Schema.Struct({ place: Schema.String, days: Schema.Int })
})

/** Texts of all kinds of characters, short enough that nothing has to be cut. */
const texts = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(Schema.Literals([
      ..."aZé ß\n\t.,;!?'\"1<>{}[]-_/\\",
      "word ",
      " the",
      "東京",
      "🗼",
      "👨‍👩‍👧",
      "\ud800",
      "<|endoftext|>",
      "don't",
      "\r\n\r\n",
      "    ",
      "मनुष्य"
    ])),
    { maxLength: 60 }
  ),
  (pieces) => pieces.join("")
)

describe("a text", () => {
  it.effect.prop("has as many tokens as gpt-tokenizer counts", [texts], ([text]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* TokenCount.countText(gpt4o, text), {
        tokens: tokens(text),
        exact: true,
        margin: 0
      })
      assert.deepStrictEqual(yield* TokenCount.countText(gpt4, text), {
        tokens: cl100k.countTokens(text, asText),
        exact: true,
        margin: 0
      })
    }).pipe(Effect.provide(counting)))

  it.effect("that looks like a special token is a text", () =>
    Effect.gen(function*() {
      const { tokens } = yield* TokenCount.countText(gpt4o, "<|endoftext|>")
      assert.strictEqual(tokens, 7)
    }).pipe(Effect.provide(counting)))

  const hostile = {
    "one letter": "a",
    "spaces": " ",
    "signs": "!",
    "ideographs": "漢字仮名交",
    "emoji": "😀",
    "vowels of Thai": "สวัสดี",
    "line ends and slashes": "\n/"
  }

  it.effect.each(Object.entries(hostile))(
    "of %s alone is counted in pieces, and still nearly right",
    ([, unit]) =>
      Effect.gen(function*() {
        const count = (length: number) => TokenCount.countText(gpt4o, unit.repeat(Math.ceil(length / unit.length)))
        // What is short enough to be counted in one piece says what the whole must be.
        const long = yield* count(200_000)
        const short = tokens(unit.repeat(Math.ceil(2000 / unit.length)))
        assert.isFalse(long.exact)
        assert.isAtLeast(long.tokens, short * 95)
        assert.isAtMost(long.tokens - long.margin, short * 105)
        // Two for each cut, of which there is one in 256 characters.
        assert.isAtMost(long.margin, 2 * 200_000 / 250)
      }).pipe(Effect.provide(counting))
  )

  it.effect("is encoded in pieces of a bounded length, so that the work grows with its length alone", () =>
    Effect.gen(function*() {
      const { withTables } = yield* Effect.promise(() => import("../../src/budget/internal/tokensText.ts"))
      // The work of an encoding that takes quadratic time for one piece.
      const work = (text: string) => {
        let total = 0
        withTables({
          countTokens: (piece) => {
            total += piece.length ** 2
            return 1
          },
          encode: () => []
        }).count(text)
        return total
      }
      for (const unit of Object.values(hostile)) {
        const [some, more] = [20_000, 200_000].map((length) => work(unit.repeat(length / unit.length)))
        assert.isAtMost(more! / some!, 10.5)
      }
    }))

  it.effect.each(Object.entries(languages))(
    "in %s has no more tokens than are estimated without tables",
    ([, text]) =>
      Effect.gen(function*() {
        const count = yield* TokenCount.countText({ provider: "", model: "gpt-5-mini" }, text)
        assert.isFalse(count.exact)
        assert.isAtLeast(count.tokens, tokens(text))
        assert.isAtMost(count.tokens, tokens(text) * 3.2)
        const old = yield* TokenCount.countText(gpt4, text)
        assert.isAtLeast(old.tokens, cl100k.countTokens(text, asText))
      }).pipe(Effect.provide(TokenCount.layerEstimate()))
  )

  it.effect.prop(
    "never has fewer tokens when it goes on, but for what is joined at the seam",
    [texts, texts],
    ([text, more]) =>
      Effect.gen(function*() {
        for (const target of [gpt4o, claude]) {
          const before = yield* TokenCount.countText(target, text)
          const after = yield* TokenCount.countText(target, text + more)
          assert.isAtLeast(after.tokens + 16, before.tokens)
        }
      }).pipe(Effect.provide(counting))
  )
})

describe("a request", () => {
  // The example of OpenAI's cookbook, which is 129 tokens by its API with the names of four speakers: 3 tokens each.
  const jargon = Prompt.make([
    {
      role: "system",
      content: "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."
    },
    { role: "system", content: "New synergies will help drive top-line growth." },
    { role: "system", content: "Things working well together will increase revenue." },
    {
      role: "system",
      content: "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."
    },
    { role: "system", content: "Let's talk later when we're less busy about how to do better." },
    {
      role: "user",
      content: "This late pivot means we don't have time to boil the ocean for the client deliverable."
    }
  ])

  it.effect("is as long as OpenAI says", () =>
    Effect.gen(function*() {
      const names = ["example_user", "example_assistant", "example_user", "example_assistant"]
      const ofNames = names.reduce((sum, name) => sum + cl100k.countTokens(name) + 1, 0)
      assert.deepStrictEqual(yield* TokenCount.count({ ...gpt4, prompt: jargon }), {
        tokens: 129 - ofNames,
        exact: true,
        margin: 0
      })
    }).pipe(Effect.provide(counting)))

  it.effect("has as many tokens for its tools as they are known to take, or a few more", () =>
    Effect.gen(function*() {
      const empty = (yield* TokenCount.count({ ...gpt4o, prompt: Prompt.make("hello") })).tokens
      let known = 0
      for (const { functions, messages, tokens: expected } of functionCallingTestCases) {
        if (functions === undefined || messages.length !== 1 || messages[0]!.content !== "hello") continue
        known++
        const tools = functions.map(({ description, name, parameters }) =>
          Tool.dynamic(name, {
            ...(description === undefined ? undefined : { description }),
            parameters: (parameters ?? { type: "object", properties: {} }) as { readonly type: "object" }
          })
        )
        const count = yield* TokenCount.count({ ...gpt4o, prompt: Prompt.make("hello"), tools })
        assert.isFalse(count.exact)
        assert.isAtLeast(count.tokens, expected)
        assert.isAtMost(count.tokens - empty, (expected - empty) * 2 + 24)
      }
      assert.isAtLeast(known, 10)
    }).pipe(Effect.provide(counting)))

  it.effect("counts the tools it may call, and the schema of its answer", () =>
    Effect.gen(function*() {
      const prompt = Prompt.make("How is it in Oslo?")
      const count = (request: Partial<TokenCount.Request>) =>
        Effect.map(TokenCount.count({ ...gpt4o, prompt, ...request }), ({ tokens }) => tokens)
      const alone = yield* count({})
      const withTool = yield* count({ tools: [weather] })
      assert.isAbove(withTool, alone + 40)
      assert.strictEqual(yield* count({ tools: [weather], toolChoice: { oneOf: [] } }), alone)
      const schema = Schema.Struct({ high: Schema.Finite, low: Schema.Finite })
      assert.isAbove(yield* count({ responseFormat: { type: "json", objectName: "temperatures", schema } }), alone + 20)
      assert.isAbove(
        (yield* TokenCount.count({ ...claude, prompt, tools: [weather] })).tokens,
        (yield* TokenCount.count({ ...claude, prompt })).tokens + 346
      )
    }).pipe(Effect.provide(counting)))

  it.effect("counts calls and their results, but no thoughts that are not sent", () =>
    Effect.gen(function*() {
      const call = Prompt.makePart("tool-call", {
        id: "1",
        name: "get_weather",
        params: { place: "Oslo", days: 3 },
        providerExecuted: false
      })
      const result = Prompt.makePart("tool-result", {
        id: "1",
        name: "get_weather",
        isFailure: false,
        providerExecuted: false,
        result: { high: 3, low: -2, sky: "grey ".repeat(100) }
      })
      const thought = Prompt.makePart("reasoning", { text: "They want to know about Oslo. ".repeat(20) })
      const count = (model: string, ...parts: ReadonlyArray<Prompt.AssistantMessagePart>) =>
        Effect.map(
          TokenCount.count({
            provider: "",
            model,
            prompt: Prompt.fromMessages([Prompt.makeMessage("assistant", { content: parts })])
          }),
          ({ tokens }) => tokens
        )
      const bare = yield* count("gpt-4o")
      assert.isAbove(yield* count("gpt-4o", call), bare + 10)
      assert.isAbove(yield* count("gpt-4o", result), bare + 100)
      // OpenAiChat does not send it, nor does AnthropicMessages without a signature.
      assert.isAtMost(yield* count("gpt-4o", thought), bare)
      assert.isAtMost(yield* count("claude-opus-5", thought), yield* count("claude-opus-5"))
      assert.isAbove(yield* count("llama3.3", thought), (yield* count("llama3.3")) + 100)
      const signed = Prompt.makePart("reasoning", {
        text: thought.text,
        options: { anthropic: { signature: "c2ln" } }
      })
      assert.isAbove(yield* count("claude-opus-5", signed), (yield* count("claude-opus-5")) + 100)
    }).pipe(Effect.provide(counting)))

  it.effect("has no failure of its own where something cannot be written", () =>
    Effect.gen(function*() {
      const circular: Record<string, unknown> = {}
      circular["itself"] = circular
      const prompt = Prompt.fromMessages([Prompt.makeMessage("assistant", {
        content: [Prompt.makePart("tool-call", { id: "1", name: "f", params: circular, providerExecuted: false })]
      })])
      assert.isAbove((yield* TokenCount.count({ ...gpt4o, prompt })).tokens, 0)
    }).pipe(Effect.provide(counting)))

  it.effect("counts what has been said before only once", () =>
    Effect.gen(function*() {
      const { makeMeter } = yield* Effect.promise(() => import("../../src/budget/internal/tokensRequest.ts"))
      const { familyOf } = yield* Effect.promise(() => import("../../src/budget/internal/tokensFamily.ts"))
      let counted = 0
      const meter = makeMeter(familyOf("gpt-4o"), {
        exact: true,
        count: () => {
          counted++
          return { tokens: 10, cuts: 0 }
        },
        encode: () => []
      })
      let prompt = Prompt.make("Hello?")
      for (let turn = 0; turn < 50; turn++) {
        prompt = Prompt.concat(prompt, [{ role: "user", content: `Turn ${turn}` }])
        meter.request(prompt.content, [], { type: "text" })
      }
      assert.strictEqual(counted, 51)
    }))

  it.effect.prop(
    "never becomes cheaper by another message",
    [texts, texts],
    ([first, second]) =>
      Effect.gen(function*() {
        const prompt = Prompt.make(first)
        const more = Prompt.concat(prompt, [{ role: "user", content: second }])
        for (const target of [gpt4o, claude, { provider: "", model: "llama3.3" }]) {
          const before = yield* TokenCount.count({ ...target, prompt })
          assert.isAbove((yield* TokenCount.count({ ...target, prompt: more })).tokens, before.tokens)
        }
      }).pipe(Effect.provide(counting))
  )
})

describe("models of others", () => {
  // Measured with the providers' own counters (see docs/context-window.md): tokens of o200k_base, and of the model.
  const measured = [
    ["claude-haiku-4-5", 461, 503],
    ["claude-haiku-4-5", 629, 720],
    ["claude-haiku-4-5", 809, 970],
    ["claude-haiku-4-5", 1070, 1311],
    ["claude-haiku-4-5", 967, 1199],
    ["claude-opus-5-5", 461, 728],
    ["claude-opus-5-5", 629, 913],
    ["claude-opus-5-5", 809, 1176],
    ["claude-opus-5-5", 1070, 1590],
    ["claude-opus-5-5", 1189, 1815],
    ["gemini-3.5-flash", 461, 455],
    ["gemini-3.5-flash", 629, 777],
    ["gemini-3.5-flash", 809, 963],
    ["gemini-3.5-flash", 1070, 1288]
  ] as const

  it.effect.each(measured)(
    "%s: a text of %i tokens for OpenAI has no more than are estimated",
    ([model, own, theirs]) =>
      Effect.gen(function*() {
        const text = " the".repeat(own)
        assert.strictEqual(tokens(text), own)
        const { margin, tokens: estimated } = yield* TokenCount.countText({ provider: "", model }, text)
        assert.isAtLeast(estimated, theirs)
        assert.isAtMost(Math.abs(estimated - margin - theirs) / theirs, 0.2)
      }).pipe(Effect.provide(counting))
  )

  it.each([
    ["gpt-4o-mini-2024-07-18", "openai", "o200k_base"],
    ["openai/gpt-5.5", "openai", "o200k_base"],
    ["ft:gpt-4o-2024-08-06:org::id", "openai", "o200k_base"],
    ["o3-mini", "openai", "o200k_base"],
    ["gpt-4-turbo", "openai", "cl100k_base"],
    ["gpt-35-turbo-16k", "openai", "cl100k_base"],
    ["claude-3-5-sonnet-20241022", "claude", "o200k_base"],
    ["claude-opus-4-20250514", "claude", "o200k_base"],
    ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude", "o200k_base"],
    ["anthropic/claude-opus-4.6", "claude", "o200k_base"],
    ["claude-sonnet-4@20250514", "claude", "o200k_base"],
    ["claude-opus-4-7", "claude5", "o200k_base"],
    ["claude-haiku-5-5", "claude5", "o200k_base"],
    ["claude-fable-5", "claude5", "o200k_base"],
    ["models/gemini-2.5-pro", "gemini2", "o200k_base"],
    ["gemini-flash-latest", "gemini", "o200k_base"],
    ["llama3.3", "other", "o200k_base"],
    ["mistral-large-2512", "other", "o200k_base"],
    ["my-o3", "other", "o200k_base"]
  ])("%s is one of %s", async (model, name, encoding) => {
    const { familyOf } = await import("../../src/budget/internal/tokensFamily.ts")
    const family = familyOf(model)
    assert.deepStrictEqual([family.name, family.encoding], [name, encoding])
  })

  it.effect("that have a name of one's own are what they are said to be", () =>
    Effect.gen(function*() {
      const text = "How high is the Eiffel tower?"
      assert.isTrue((yield* TokenCount.countText({ provider: "azure", model: "production" }, text)).exact)
    }).pipe(Effect.provide(TokenCount.layer({ modelName: ({ provider }) => provider === "azure" ? "gpt-4o" : "" }))))
})

describe("TokenCount.layer", () => {
  it.effect("loads the other encoding when it is needed", () =>
    Effect.gen(function*() {
      const text = "東京は大きい。"
      assert.strictEqual((yield* TokenCount.countText(gpt4o, text)).tokens, tokens(text))
      assert.strictEqual((yield* TokenCount.countText(gpt4, text)).tokens, cl100k.countTokens(text))
    }).pipe(Effect.provide(TokenCount.layer({ encoding: "cl100k_base" }))))
})

describe("TokenCount.tokenizer", () => {
  const tokenizer = (model: string) =>
    TokenCount.tokenizer({ provider: "", model }).pipe(Layer.provide(TokenCount.layer()))

  it.effect("gives the tokens of an encoding", () =>
    Effect.gen(function*() {
      const { tokenize } = yield* Tokenizer.Tokenizer
      assert.deepStrictEqual(yield* tokenize("Hello, <|endoftext|>"), o200k.encode("Hello, <|endoftext|>", asText))
      const long = "a".repeat(200_000)
      assert.strictEqual(o200k.decode(yield* tokenize(long)), long)
    }).pipe(Effect.provide(tokenizer("gpt-5-mini"))))

  it.effect("gives as many as are estimated where there is none", () =>
    Effect.gen(function*() {
      const { tokenize } = yield* Tokenizer.Tokenizer
      const { tokens } = yield* TokenCount.countText(claude, "Hello, world!")
      assert.strictEqual((yield* tokenize("Hello, world!")).length, tokens)
    }).pipe(Effect.provide(Layer.merge(tokenizer("claude-opus-5"), TokenCount.layer()))))

  it.effect.prop(
    "keeps the newest messages that fit",
    [Arbitrary.array(texts, { maxLength: 8 })],
    ([contents]) =>
      Effect.gen(function*() {
        const { tokenize, truncate } = yield* Tokenizer.Tokenizer
        const prompt = contents.map((content) => ({ role: "user", content }) as const)
        const kept = yield* truncate(prompt, 40)
        assert.isAtMost((yield* tokenize(kept)).length, 40)
        const from = contents.length - kept.content.length
        assert.deepStrictEqual(kept, Prompt.make(prompt.slice(from)))
        if (from > 0) assert.isAbove((yield* tokenize(prompt.slice(from - 1))).length, 40)
      }).pipe(Effect.provide(tokenizer("gpt-5-mini")))
  )
})
