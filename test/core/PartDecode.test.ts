import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Part } from "effect-bulwark"
import { Response } from "effect/ai"
import * as Answers from "./support/answers.ts"

const streamPart = Schema.decodeSync(Response.StreamPart())
const answerPart = Schema.decodeSync(Response.Part())

const full = { metadata: { openai: { cached: true } } }
const usage = {
  inputTokens: { uncached: 1, total: 3, cacheRead: 2, cacheWrite: 0 },
  outputTokens: { total: 5, text: 4, reasoning: 1 }
}

/** One of each, with all that can be there and with as little as can be. */
const stream: Array<Part.ProviderPart> = [
  ...(["text-start", "text-end", "reasoning-start", "reasoning-end", "tool-params-end"] as const).flatMap((type) => [
    { type, id: "0" },
    { type, id: "0", ...full }
  ]),
  ...(["text-delta", "reasoning-delta", "tool-params-delta"] as const).flatMap((type) => [
    { type, id: "0", delta: "" },
    { type, id: "0", delta: "Grüße", ...full },
    { type, id: "0", delta: "a", metadata: undefined }
  ]),
  { type: "tool-params-start", id: "0", name: "Weather" },
  { type: "tool-params-start", id: "0", name: "Weather", providerExecuted: true, ...full },
  { type: "tool-call", id: "0", name: "Weather", params: null },
  { type: "tool-call", id: "0", name: "Weather", params: { city: "Paris" }, providerExecuted: true, ...full },
  { type: "tool-result", id: "0", name: "Weather", result: { celsius: 21 }, isFailure: false },
  {
    type: "tool-result",
    id: "0",
    name: "Weather",
    result: "no such city",
    isFailure: true,
    providerExecuted: true,
    preliminary: true,
    ...full
  },
  { type: "tool-approval-request", approvalId: "a", toolCallId: "0", ...full },
  { type: "file", mediaType: "image/png", data: "AAEC", ...full },
  { type: "source", sourceType: "document", id: "0", mediaType: "text/plain", title: "T", fileName: "f", ...full },
  { type: "source", sourceType: "url", id: "0", url: "https://example.org/a", title: "T", ...full },
  { type: "response-metadata" },
  { type: "response-metadata", id: "r", modelId: "m", timestamp: "2026-02-03T04:05:06.007Z", ...full },
  { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } },
  { type: "finish", reason: "length", usage, ...full },
  { type: "finish", reason: "other", usage, response: { status: 200, headers: { "x-request-id": "r" } }, ...full }
]

const whole: Array<Part.AnswerPart> = [
  ...(["text", "reasoning"] as const).flatMap((type) => [
    { type, text: "" },
    { type, text: "Grüße", ...full },
    { type, text: "a", metadata: undefined }
  ]),
  ...stream.filter((part) => !/-(start|delta|end)$/.test(part.type)) as Array<Part.AnswerPart>
]

/** As deep as it goes, and of the same class. */
const same = (actual: unknown, expected: unknown): void => {
  assert.deepStrictEqual(actual, expected)
  assert.isTrue(Response.isPart(actual))
}

describe("Part.decode", () => {
  it.each(stream.map((part) => [part.type, part] as const))("decodes %s as effect/ai does", (_, part) => {
    same(Part.decode(part), streamPart(part))
  })

  it.prop("decodes any part as effect/ai does", [Answers.streamPart], ([part]) => {
    same(Part.decode(part), streamPart(part))
  })

  it("makes usage an instance of effect/ai's class", () => {
    const part = Part.decode({ type: "finish", reason: "stop", usage })
    assert.isTrue(part.type === "finish" && part.usage instanceof Response.Usage)
  })

  it.effect("gives parts that effect/ai encodes again", () =>
    Effect.gen(function*() {
      for (const part of stream) {
        const encoded = yield* Schema.encodeUnknownEffect(Response.StreamPart())(Part.decode(part))
        assert.deepStrictEqual(streamPart(encoded as Part.ProviderPart), streamPart(part))
      }
    }))
})

describe("Part.decodeAnswer", () => {
  it.each(whole.map((part) => [part.type, part] as const))("decodes %s as effect/ai does", (_, part) => {
    same(Part.decodeAnswer(part), answerPart(part))
  })

  it.prop("decodes any part as effect/ai does", [Answers.answerPart], ([part]) => {
    same(Part.decodeAnswer(part), answerPart(part))
  })
})
