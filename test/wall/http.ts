/**
 * Upstreams over real HTTP: a `FaultServer` of its own for each scenario, asked by way of the Chat Completions adapter.
 */
import { Effect, Layer } from "effect"
import { OpenAiChat } from "effect-bulwark/providers"
import { FaultServer } from "effect-bulwark/testing"
import { FetchHttpClient } from "effect/http"
import { summarize } from "../../src/testing/internal/summary.ts"
import type { Lab, Upstream } from "./lab.ts"
import { Backup, Primary } from "./stack.ts"

/** Between two tokens, in milliseconds whatever the scale: so that an answer arrives in more than one piece. */
const pace = "2 millis"

interface Message {
  readonly role: string
  readonly content: unknown
}

const messagesOf = (body: unknown): ReadonlyArray<Message> =>
  typeof body === "object" && body !== null && "messages" in body && Array.isArray(body.messages) ? body.messages : []

const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Array.isArray(content)
    ? content.map((part: { readonly text?: unknown }) => typeof part.text === "string" ? part.text : "").join("")
    : ""

/** The question that a request body asks. */
const promptOf = (body: unknown): string =>
  textOf(messagesOf(body).findLast((message) => message.role === "user")?.content)

export const backend: Lab["backend"] = Effect.fnUntraced(function*({ answers, prefill }) {
  const server = yield* Effect.orDie(FaultServer.make({
    pace,
    ...(answers === undefined ? undefined : { answers }),
    prefill: { backup: prefill }
  }))
  const providers = yield* Layer.build(
    Layer.mergeAll(
      OpenAiChat.layer(Primary, { baseUrl: server.url }),
      OpenAiChat.layer(Backup, { baseUrl: server.url })
    ).pipe(Layer.provide(FetchHttpClient.layer))
  )
  return {
    providers,
    answerTo: summarize,
    script: server.script,
    requests: Effect.map(server.requests, (requests) =>
      requests.map((request) => ({
        upstream: request.model as Upstream,
        prompt: promptOf(request.body),
        streamed: request.stream,
        prefilled: messagesOf(request.body).at(-1)?.role === "assistant",
        at: request.arrivedAt,
        endedAt: request.endedAt,
        end: request.end
      }))),
    inFlight: server.inFlight
  }
})
