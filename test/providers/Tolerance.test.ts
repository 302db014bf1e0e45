/**
 * What servers will say one day: fields, parts, events and finish reasons that nobody knows yet do no harm, and whoever looks finds
 * them named in the answer's metadata.
 */
import { assert, describe, it } from "@effect/vitest"
import { type LlmError, Part } from "effect-bulwark"
import { AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses } from "effect-bulwark/providers"
import * as Effect from "effect/Effect"
import { asking, finishOf, ofType } from "./support/ask.ts"
import * as Google from "./support/geminiWire.ts"
import * as Messages from "./support/messagesWire.ts"
import * as Responses from "./support/responsesWire.ts"
import * as Chat from "./support/wire.ts"

interface Case {
  readonly ask: ReturnType<typeof asking>
  /** An answer that says `hi!`, among things that nobody knows, and ends in a way that nobody knows. */
  readonly whole: string
  readonly streamed: string
  /** The adapter's own metadata. */
  readonly own: string
  readonly raw: string
  readonly ignored: {
    readonly whole: { readonly [field: string]: unknown }
    readonly streamed: { readonly [field: string]: unknown }
  }
}

// What is no name is not repeated, wherever it stands.
const sentence = "these are words"

const unread = { hologram: { x: 1 }, audio: { data: "x" }, images: [], annotations: null, [sentence]: 1 }

const chatParts = [{ type: "text", text: "hi" }, { type: "hologram_part" }, {}, { type: sentence }, {
  type: "text",
  text: "!"
}]

const future = { type: "future", nested: { deeply: [1] } }

const dissolved = { status: "incomplete", incomplete_details: { reason: "dissolved" } }

const cases: { readonly [name: string]: Case } = {
  OpenAiChat: {
    ask: asking(OpenAiChat.make("p")),
    whole: Chat.answer({ content: chatParts, ...unread }, { finish_reason: "dissolved", future }, { future }),
    streamed: Chat.event({ object: "future.event", future }) + Chat.event({ type: sentence }) +
      "event: named_event\ndata: {}\n\n" + Chat.event(Chat.chunk(unread, { future }, { future })) +
      Chat.event(Chat.chunk({ content: chatParts })) + Chat.finishChunk("dissolved", { future }) + Chat.done,
    own: "openai",
    raw: "dissolved",
    ignored: {
      whole: { ignoredParts: ["hologram_part", "unknown", "hologram", "audio"] },
      streamed: {
        ignoredParts: ["hologram", "audio", "hologram_part", "unknown"],
        ignoredEvents: ["future.event", "named_event"]
      }
    }
  },
  OpenAiResponses: {
    ask: asking(OpenAiResponses.make("p")),
    whole: Responses.answer([Responses.message("hi!", { future }, { future }), future, { type: sentence }, {}], {
      ...dissolved,
      future
    }),
    streamed: Responses.created({ future }) + Responses.event({ type: "response.future", future }) +
      Responses.event({ type: `response.${sentence}` }) + Responses.event(future) +
      Responses.growing(0, "hi", "!") + Responses.added(1, future) + Responses.done(1, future) +
      Responses.added(2, { type: sentence }) + Responses.incomplete("dissolved", [], { future }),
    own: "openai",
    raw: "dissolved",
    ignored: {
      whole: { ignoredParts: ["future", "unknown"] },
      streamed: { ignoredParts: ["future"], ignoredEvents: ["response.future", "future"] }
    }
  },
  AnthropicMessages: {
    ask: asking(AnthropicMessages.make("p")),
    whole: Messages.answer([
      { type: "text", text: "hi", future },
      future,
      {},
      { type: sentence },
      { type: "text", text: "!" }
    ], { stop_reason: "dissolved", future }),
    streamed: Messages.event({ type: "ping" }) + Messages.event(future) + Messages.event({ type: sentence }) +
      "event: named_event\ndata: {}\n\n" + Messages.start() + Messages.textBlock(0, "hi") +
      Messages.block(1, future, { type: "future_delta" }) + Messages.block(2, {}) +
      Messages.blockStart(3, { type: "text", text: "" }) + Messages.delta(3, { type: "hologram_delta", text: "no" }) +
      Messages.delta(3, { type: "text_delta", text: "!", future }) + Messages.blockStop(3) +
      Messages.ending("dissolved", { future }) + Messages.stop,
    own: "anthropic",
    raw: "dissolved",
    ignored: {
      whole: { ignoredParts: ["future", "unknown"] },
      streamed: {
        ignoredParts: ["future", "unknown"],
        ignoredEvents: ["future", "named_event", "hologram_delta"]
      }
    }
  },
  Gemini: {
    ask: asking(Gemini.make("p")),
    whole: Google.answer([Google.text("hi"), { hologram: {} }, { [sentence]: 1 }, Google.text("!")], "DISSOLVED", {
      future
    }, { future }),
    streamed: Google.events(
      Google.chunk([Google.text("hi"), { hologram: {} }], { future }),
      { future },
      Google.finished([{ [sentence]: 1 }, Google.text("!")], "DISSOLVED", {}, { future })
    ),
    own: "google",
    raw: "DISSOLVED",
    ignored: { whole: { ignoredParts: ["hologram"] }, streamed: { ignoredParts: ["hologram"] } }
  }
}

for (const [name, { ask, ignored, own, raw, streamed, whole }] of Object.entries(cases)) {
  describe(name, () => {
    const check = (
      mode: "whole" | "streamed",
      answer: Effect.Effect<ReadonlyArray<Part.Part | Part.AnswerPart>, LlmError.ProviderError>
    ) =>
      Effect.map(answer, (parts) => {
        assert.strictEqual(Part.text(parts), "hi!")
        const finish = finishOf(parts)
        assert.strictEqual(finish.reason, "other")
        const { finishReason, ignoredEvents, ignoredParts } = (finish.metadata?.[own] ?? {}) as {
          readonly [field: string]: unknown
        }
        assert.strictEqual(finishReason, raw)
        assert.deepStrictEqual(
          JSON.parse(JSON.stringify({ ignoredEvents, ignoredParts })),
          ignored[mode]
        )
      })

    it.effect("keeps the names of what it does not know (whole)", () => check("whole", ask.whole(whole)))

    it.effect("keeps the names of what it does not know (streamed)", () => check("streamed", ask.streamed(streamed)))
  })
}

describe("the name of the model that has answered", () => {
  const nameOf = (model: string) =>
    Effect.map(
      cases["OpenAiChat"]!.ask.whole(Chat.answer({ content: "hi" }, {}, { model })),
      (parts) => ofType(parts, "response-metadata")[0]?.modelId
    )

  it.effect("is handed on where it is one", () =>
    Effect.gen(function*() {
      for (
        const name of ["gpt-5-mini-2026-01-01", "@cf/meta/llama-3.3:free", "publishers/x/models/y@001", "C:/m_1.gguf"]
      ) {
        assert.strictEqual(yield* nameOf(name), name)
      }
      for (const name of ["Why is the sky blue?", "x".repeat(129), ""]) assert.isUndefined(yield* nameOf(name))
    }))
})

describe("an endless number of unknown events", () => {
  const many = (event: (type: string) => string) =>
    Array.from({ length: 1000 }, (_, index) => event(`e${index}`)).join("")

  it.effect("is named up to a limit", () =>
    Effect.gen(function*() {
      const chat = yield* cases["OpenAiChat"]!.ask.streamed(
        many((type) => Chat.event({ type })) + many((type) => Chat.event(Chat.chunk({ [type]: 1 }))) +
          Chat.streamOf("hi")
      )
      const messages = yield* cases["AnthropicMessages"]!.ask.streamed(
        many((type) => Messages.event({ type })) + Messages.streamOf(Messages.textBlock(0, "hi"))
      )
      for (const [parts, own] of [[chat, "openai"], [messages, "anthropic"]] as const) {
        const { ignoredEvents } = (finishOf(parts).metadata?.[own] ?? {}) as {
          readonly ignoredEvents?: unknown
        }
        assert.lengthOf(ignoredEvents as ReadonlyArray<string>, 16)
      }
    }))
})
