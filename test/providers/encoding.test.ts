/**
 * Answers whose bytes are not the text they should be.
 */
import { assert, describe, it } from "@effect/vitest"
import { AnthropicMessages, Gemini, OpenAiChat } from "effect-bulwark/providers"
import * as Effect from "effect/Effect"
import { asking, failure, ofType, streamed, text, whole } from "./support/ask.ts"
import * as GeminiWire from "./support/geminiWire.ts"
import * as MessagesWire from "./support/messagesWire.ts"
import * as Wire from "./support/wire.ts"

describe("an answer that is not UTF-8", () => {
  const garbled = (body: string): Uint8Array<ArrayBuffer> => {
    const bytes = Buffer.from(body)
    bytes[bytes.indexOf("€") + 1] = 0x20
    return bytes
  }

  const protocols = {
    OpenAiChat: {
      ...asking(OpenAiChat.make("p", {})),
      stream: Wire.streamOf("one", "two €", "three"),
      answer: Wire.answer({ content: "one two €" })
    },
    AnthropicMessages: {
      ...asking(AnthropicMessages.make("p", {})),
      stream: MessagesWire.streamOf(MessagesWire.textBlock(0, "one", "two €", "three")),
      answer: MessagesWire.answer([{ type: "text", text: "one two €" }])
    },
    Gemini: {
      ...asking(Gemini.make("p", {})),
      stream: GeminiWire.streamOf("one", "two €", "three"),
      answer: GeminiWire.answer([{ text: "one two €" }])
    }
  }

  for (const [name, { answer, failure, stream, streamed, whole }] of Object.entries(protocols)) {
    it.effect(`is none, streamed or whole (${name})`, () =>
      Effect.gen(function*() {
        assert.strictEqual(text(yield* streamed(stream)), "onetwo €three")
        const bodies = [garbled(answer), garbled(stream)]
        for (const body of bodies) {
          const error = yield* Effect.flip(whole(body))
          assert(error._tag === "MalformedResponse")
          assert.strictEqual(error.problem, "it is not UTF-8")
          assert.isUndefined(error.retryable)
        }
        const early = yield* Effect.flip(streamed(garbled(stream)))
        assert(early._tag === "MalformedResponse")
        assert.notInclude(early.message, "two")
        const { error } = yield* failure(garbled(stream), "stream")
        assert(error._tag === "StreamInterrupted")
        assert.strictEqual(error.failure?._tag, "MalformedResponse")
      }))
  }

  it.effect("can still say why it is none", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(whole(garbled(JSON.stringify({ error: { message: "€", code: 429 } }))))
      assert.strictEqual(error._tag, "RateLimited")
      const page = yield* Effect.flip(whole(garbled("<!doctype html><p>€</p>")))
      assert(page._tag === "MalformedResponse")
      assert.strictEqual(page.problem, "it is a web page")
    }))

  it.effect("is complete where only what follows the last word is garbled", () =>
    Effect.gen(function*() {
      const parts = yield* streamed(garbled(`${Wire.streamOf("one")}data: €\n\n`))
      assert.strictEqual(text(parts), "one")
      assert.strictEqual(ofType(parts, "finish").length, 1)
    }))

  it.effect("keeps its status", () =>
    Effect.gen(function*() {
      const { error } = yield* failure(garbled("<html>€</html>"), "stream", 503)
      assert.strictEqual(error._tag, "Overloaded")
    }))
})
