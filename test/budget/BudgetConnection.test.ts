/**
 * What is booked for a request over a real connection that fails: nothing where there was none, and the most that it can be where the
 * request may have arrived.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { Llm } from "effect-bulwark"
import { Budget } from "effect-bulwark/budget"
import { OpenAiChat } from "effect-bulwark/providers"
import { FetchHttpClient } from "effect/http"
import { createServer, type Socket } from "node:net"
import { makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { books, budget } from "./support/budget.ts"

/** A server that does something with each connection, or, without, one that has gone away. */
const server = (serve: ((socket: Socket) => void) | undefined) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
      const server = createServer((socket) => {
        socket.on("error", () => {})
        serve?.(socket)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        if (serve === undefined) server.close(() => resume(Effect.succeed({ port, close: () => {} })))
        else resume(Effect.succeed({ port, close: () => void server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const reads = (then: (socket: Socket) => void) => (socket: Socket) => void socket.once("data", () => then(socket))

const cases: ReadonlyArray<readonly [string, ((socket: Socket) => void) | undefined, ReadonlyArray<unknown>]> = [
  ["nobody is there: nothing", undefined, [0, "exact"]],
  ["it is reset after the request: the most", reads((socket) => socket.resetAndDestroy()), [210, "estimated"]],
  ["it is closed after the request: the most", reads((socket) => socket.end()), [210, "estimated"]],
  [
    "it is closed in the middle of the answer: the most",
    reads((socket) =>
      socket.end("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"id\":")
    ),
    [210, "estimated"]
  ]
]

for (const [client, layer] of [["fetch", FetchHttpClient.layer], ["undici", NodeHttpClient.layerUndici]] as const) {
  describe(`what is booked when a connection fails, with ${client}`, () => {
    for (const [name, serve, expected] of cases) {
      it.live(name, () =>
        Effect.gen(function*() {
          const { port } = yield* server(serve)
          const receipts = makeReceipts()
          const error = yield* Llm.generateText(openai.pipe(Budget.enforce({ maxOutputTokens: 100 })), question).pipe(
            receipts.observe,
            Effect.flip,
            Effect.provide([
              OpenAiChat.layer(OpenAi, { apiKey: Redacted.make("key"), baseUrl: `http://127.0.0.1:${port}/v1` }).pipe(
                Layer.provide(layer)
              )
            ])
          )
          assert.strictEqual(error._tag, "ConnectionFailed", error.message)
          const [attempt] = receipts.one().attempts
          const [[used, held]] = (yield* books()) as [readonly [number, number]]
          assert.strictEqual(held, 0)
          assert.strictEqual(attempt!.cost, used)
          assert.deepStrictEqual([used, attempt!.costEstimated === true ? "estimated" : "exact"], [...expected])
        }).pipe(Effect.provide(budget({ limits: [{ resource: "usd", limit: "1", window: Budget.total }] }))))
    }
  })
}
