/**
 * A request for embeddings, as whoever watches operations is told of it: an operation with one request, which has no receipt.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Attribution from "../../core/Attribution.ts"
import type { Request } from "../../core/Call.ts"
import { below, sentBelow } from "../../core/internal/below.ts"
import { watch } from "../../core/internal/instrument.ts"
import { begun, operationId } from "../../core/internal/operation.ts"
import { errorOf, outcomeOf, Recorder } from "../../core/internal/recorder.ts"
import * as Plan from "../../core/Plan.ts"
import * as Usage from "../../core/Usage.ts"
import type { Embedded, EmbedRequest } from "../Provider.ts"

/** Has a request watched. */
export const watchedEmbedding = <E, R>(
  provider: string,
  asked: EmbedRequest,
  sent: Effect.Effect<Embedded, E, R>
): Effect.Effect<Embedded, E, R> =>
  begun((fiber, restore) => {
    let request: Request | undefined
    const clock = fiber.getRef(Clock.Clock)
    const attribution = fiber.getRef(Attribution.Current)
    const startedAt = clock.currentTimeMillisUnsafe()
    const operation = watch(fiber, () => ({
      id: operationId(fiber.getRef(Random.Random)),
      operation: "embeddings",
      mode: "whole",
      request: request = requestOf(asked),
      attribution,
      plan: Plan.model(provider, asked.model),
      startedAt,
      refresh: false
    }))
    if (operation === undefined || request === undefined) return restore(sent)
    const recorder = new Recorder("", attribution, clock, undefined, startedAt, operation)
    const record = recorder.begin(provider, asked.model, request)
    const running = record.watch === undefined ? sent : sentBelow(record.watch, sent)
    return Effect.onExit(restore(below(operation, running)), (exit) =>
      Effect.sync(() => {
        const outcome = outcomeOf(exit)
        const error = errorOf(exit)
        if (exit._tag === "Success") {
          const { inputTokens } = exit.value
          if (inputTokens !== undefined) record.usage = { ...Usage.zero, inputUncached: inputTokens }
          recorder.serving = record
        }
        record.end(outcome, recorder.now(), error)
        recorder.close(outcome, error)
      }))
  })

/** The texts as messages: that is what whoever watches can read. */
const requestOf = ({ inputs }: EmbedRequest): Request => ({
  prompt: Prompt.make(inputs.map((text) => ({ role: "user" as const, content: text }))),
  tools: [],
  toolChoice: "none",
  responseFormat: { type: "text" },
  settings: {}
})
