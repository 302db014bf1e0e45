/**
 * The suite of a protocol: the answers of real servers, replayed over real HTTP, and cut wherever a network could cut them.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it, layer } from "@effect/vitest"
import { Llm } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import { existsSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { counted } from "../../support/counted.ts"
import { type Case, grade, type Outcome, read, runStream, runWhole } from "./corpus.ts"
import * as Replay from "./replayServer.ts"

export class P extends Provider.Service<P>()("p") {}

const llm = Llm.model(P, "model-x")

class Server extends Context.Service<Server, Replay.ReplayServer>()("test/Server") {
  static readonly layer = Layer.effect(this, Replay.make)
}

const path = process.env["BULWARK_WIRE_CORPUS"]

if (path !== undefined && !existsSync(path)) throw new Error(`BULWARK_WIRE_CORPUS: there is no file ${path}`)

const modes = ({ kind }: Case): ReadonlyArray<"whole" | "stream"> =>
  kind === "error" ? ["whole", "stream"] : [kind === "stream" ? "stream" : "whole"]

const run = (mode: "whole" | "stream"): Effect.Effect<Outcome, never, P> =>
  mode === "whole" ? runWhole(llm) : runStream(llm)

/** The layer of the adapter under test. */
export type Adapter = (options: { readonly baseUrl?: string }) => Layer.Layer<P, never, HttpClient.HttpClient>

/** Replays a case over HTTP. */
const replay = (
  adapter: Adapter,
  entry: Case,
  mode: "whole" | "stream",
  cuts: ReadonlyArray<number> | number | undefined
): Effect.Effect<Outcome, never, Server | HttpClient.HttpClient> =>
  Effect.flatMap(Server, (server) => {
    server.onRequest(Replay.reply({
      status: entry.status,
      headers: entry.headers,
      body: entry.body,
      cuts,
      breaks: entry.transport?.phase === "body"
    }))
    return Effect.provide(run(mode), adapter({ baseUrl: server.url }), { local: true })
  })

/** A client that has the answer already, for cuts that are too many for a network. */
const clientOf = (entry: Case, cuts: ReadonlyArray<number> | number | undefined): HttpClient.HttpClient => {
  const chunks = Replay.pieces(Buffer.from(entry.body), cuts)
  return HttpClient.make((request) =>
    Effect.sync(() =>
      HttpClientResponse.fromWeb(
        request,
        new Response(
          new ReadableStream({
            start: (controller) => {
              for (const chunk of chunks) controller.enqueue(chunk)
              controller.close()
            }
          }),
          { status: entry.status, headers: entry.headers }
        )
      )
    )
  )
}

const recut = (
  adapter: Adapter,
  entry: Case,
  cuts: ReadonlyArray<number> | number | undefined
): Effect.Effect<Outcome> =>
  run("stream").pipe(
    Effect.provide(
      adapter({}).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, clientOf(entry, cuts)))),
      { local: true }
    )
  )

/** The failure of `fetch` that a case describes. */
const failing = ({ transport }: Case): typeof globalThis.fetch => () => {
  const cause = Object.assign(new Error(transport?.cause ?? ""), { code: transport?.code })
  const error = new TypeError(transport?.message ?? "fetch failed", { cause })
  if (transport?.name !== undefined) error.name = transport.name
  return Promise.reject(error)
}

const withoutError = (outcome: Outcome) => ({ ...outcome, error: undefined })

/** Bodies of so many bytes, or fewer, are cut once in each run. */
const exhaustively = counted(256, 2048)

const stride = 64

/** All places to cut a body at: a small one once in each run, a large one at every so many bytes in each. */
const everyCut = (length: number): ReadonlyArray<ReadonlyArray<number>> =>
  length <= exhaustively
    ? Array.from({ length: Math.max(0, length - 1) }, (_, index) => [index + 1])
    : Array.from(
      { length: stride },
      (_, phase) => Array.from({ length: Math.ceil(length / stride) }, (_, index) => phase + 1 + index * stride)
    )

/** How often a case is cut at random. */
const times = 25

/** Offsets to cut a body at: few or many, and a few bytes or many apart. */
const randomCuts = (length: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function*() {
    const longest = Math.max(1, Math.round(length ** (yield* Random.next)))
    const cuts: Array<number> = []
    for (
      let at = yield* Random.nextIntBetween(1, longest);
      at < length;
      at += yield* Random.nextIntBetween(1, longest)
    ) {
      cuts.push(at)
    }
    return cuts
  })

/** Declares the suite; `atLeast` is how many cases there have to be. */
export const replayed = (protocol: string, atLeast: number, adapter: Adapter): void => {
  if (path === undefined) {
    // oxlint-disable-next-line no-console
    console.warn("BULWARK_WIRE_CORPUS is not set: the answers of real servers are not replayed")
    describe.skip("the answers of real servers (BULWARK_WIRE_CORPUS is not set)", () => {
      it("are replayed", () => {})
    })
    return
  }
  const cases = read(path, protocol)
  const clients = {
    fetch: FetchHttpClient.layer,
    undici: NodeHttpClient.layerUndici
  }
  describe("the answers of real servers", () => {
    it("are there", () => assert.isAtLeast(cases.length, atLeast))

    for (const [name, client] of Object.entries(clients)) {
      layer(Layer.merge(Server.layer, client))(`over HTTP with ${name}`, (it) => {
        for (const entry of cases.filter(({ status }) => status !== 0)) {
          for (const mode of modes(entry)) {
            it.effect(`${entry.id} (${mode})`, () =>
              Effect.gen(function*() {
                const now = entry.expect.details?.now
                if (now !== undefined) yield* TestClock.setTime(Date.parse(now))
                const { splitAt, splitEvery } = entry.transport ?? {}
                const given = yield* replay(adapter, entry, mode, splitAt ?? splitEvery)
                assert.deepStrictEqual(grade(entry, given, mode), [])
                if (mode === "whole" || name !== "fetch") return
                // A byte at a time is for the cuts below: here a network puts together what comes so quickly.
                const inPieces = yield* replay(adapter, entry, mode, counted(7, 1))
                assert.deepStrictEqual(withoutError(inPieces), withoutError(given))
                assert.deepStrictEqual(grade(entry, inPieces, mode), [])
              }))
          }
        }
      })
    }

    const recutting: {
      readonly [name: string]: (length: number) => Effect.Effect<ReadonlyArray<ReadonlyArray<number>>>
    } = {
      "cut at every byte": (length) => Effect.succeed(everyCut(length)),
      "cut at random": (length) => Effect.all(Array.from({ length: times }, () => randomCuts(length)))
    }
    for (const [name, cutsOf] of Object.entries(recutting)) {
      describe(name, () => {
        for (const entry of cases.filter(({ kind }) => kind === "stream")) {
          it.effect(entry.id, () =>
            Effect.gen(function*() {
              const given = yield* recut(adapter, entry, undefined)
              assert.deepStrictEqual(grade(entry, given, "stream"), [])
              for (const cuts of yield* cutsOf(Buffer.byteLength(entry.body))) {
                const outcome = yield* recut(adapter, entry, cuts)
                // Much quicker than an assertion, which there is only to say what differs.
                if (!isDeepStrictEqual(withoutError(outcome), withoutError(given))) {
                  assert.deepStrictEqual(withoutError(outcome), withoutError(given), `cut at ${cuts.join(", ")}`)
                }
                assert.deepStrictEqual(grade(entry, outcome, "stream"), [], `cut at ${cuts.join(", ")}`)
              }
            }).pipe(Random.withSeed(entry.id)), 20_000)
        }
      })
    }

    const unanswered = cases.filter(({ status }) => status === 0)
    // Not every protocol has such cases of its own: a connection fails without one.
    describe.runIf(unanswered.length > 0)("no answer at all", () => {
      for (const entry of unanswered) {
        for (const mode of modes(entry)) {
          it.effect(`${entry.id} (${mode})`, () =>
            Effect.gen(function*() {
              const outcome = yield* run(mode).pipe(
                Effect.provide(
                  adapter({}).pipe(
                    Layer.provide(FetchHttpClient.layer),
                    Layer.provide(Layer.succeed(FetchHttpClient.Fetch, failing(entry)))
                  )
                )
              )
              assert.deepStrictEqual(grade(entry, outcome, mode), [])
            }))
        }
      }
    })
  })
}
