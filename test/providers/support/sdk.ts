/**
 * The same call twice: written for a provider's own client and for an adapter. Both send it to a server that records, and what
 * arrives has to be the same.
 *
 * The client's call is a literal of the client's own type, so that a request of ours which equals it is legal by the provider's
 * own word.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Replay from "./replayServer.ts"
import { request } from "./request.ts"

export const apiKey = "sk-parity-0123456789"

/** A call of ours: what differs from a plain question. */
export interface Ours<Options> extends Omit<Partial<Provider.Request>, "prompt"> {
  readonly prompt: Prompt.RawInput
  /** Options of the adapter. */
  readonly options?: Options
}

/** One call, in both forms. */
export interface SameCall<Options, Params> {
  readonly ours: Ours<Options>
  readonly theirs: Params
  /** Where the two differ, and have to: what the client sends is brought into our form here. */
  readonly differs?: { readonly because: string; readonly mend: (theirs: Body) => Body }
}

/** A body that was sent. */
export type Body = { readonly [field: string]: unknown }

/** A provider's own client, and the adapter that is to send the same. */
export interface Peer<Options, Params> {
  readonly model: string
  readonly make: (
    options: Options & { readonly baseUrl: string; readonly apiKey: Redacted.Redacted<string> }
  ) => Effect.Effect<Provider.Provider, never, HttpClient.HttpClient>
  /** Makes the client's call, without retries, and reads its answer to the end. */
  readonly send: (url: string, params: Params, streamed: boolean) => Promise<unknown>
  /** What is added to the URL of the server to get our base URL. */
  readonly path: string
  /** The headers that say who asks, and in which version. */
  readonly headers: ReadonlyArray<string>
  /** What the client says in every request without meaning anything by it is taken out here. */
  readonly essence?: (theirs: Body) => Body
  /** The body that the client's parameters stand for, where they are one. */
  readonly body: ((params: Params, streamed: boolean) => object) | undefined
  readonly answer: string
  readonly stream: string
}

const run = <Options, Params>(
  peer: Peer<Options, Params>,
  { ours: { options, prompt, ...rest }, theirs }: SameCall<Options, Params>,
  streamed: boolean
): Effect.Effect<readonly [theirs: Replay.Recorded, ours: Replay.Recorded]> =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* Replay.make
    server.onRequest(Replay.reply({
      headers: { "content-type": streamed ? "text/event-stream" : "application/json" },
      body: streamed ? peer.stream : peer.answer
    }))
    yield* Effect.promise(() => peer.send(server.url, theirs, streamed))
    const provider = yield* peer.make({
      ...options as Options,
      baseUrl: server.url + peer.path,
      apiKey: Redacted.make(apiKey)
    }).pipe(Effect.provide(FetchHttpClient.layer))
    const asked = request({ model: peer.model, prompt: Prompt.make(prompt), ...rest })
    yield* Effect.orDie(streamed ? Stream.runDrain(provider.stream(asked)) : provider.whole(asked))
    const [first, second, ...more] = server.requests
    assert(first !== undefined && second !== undefined && more.length === 0, "each has sent one request")
    return [first, second]
  }))

const bodyOf = ({ body }: Replay.Recorded): Body => JSON.parse(body) as Body

/** Declares one test for each call and mode. */
export const sendsTheSame = <Options, Params>(
  peer: Peer<Options, Params>,
  calls: { readonly [name: string]: SameCall<Options, Params> }
): void => {
  for (const [name, call] of Object.entries(calls)) {
    describe(name, () => {
      for (const mode of ["whole", "streamed"] as const) {
        it.effect(mode, () =>
          Effect.gen(function*() {
            const streamed = mode === "streamed"
            const [theirs, ours] = yield* run(peer, call, streamed)
            assert.strictEqual(ours.method, theirs.method)
            assert.strictEqual(ours.url, theirs.url)
            for (const header of peer.headers) {
              assert.isDefined(theirs.headers[header], header)
              assert.strictEqual(ours.headers[header], theirs.headers[header], header)
            }
            const expected = peer.essence?.(bodyOf(theirs)) ?? bodyOf(theirs)
            if (call.differs === undefined) assert.deepStrictEqual(bodyOf(ours), expected)
            else {
              // A difference that is gone must not stay on the list.
              assert.notDeepEqual(bodyOf(ours), expected, `no longer: ${call.differs.because}`)
              assert.deepStrictEqual(bodyOf(ours), call.differs.mend(expected), call.differs.because)
            }
            if (peer.body !== undefined) {
              const literal = JSON.parse(JSON.stringify(peer.body(call.theirs, streamed))) as Body
              assert.deepStrictEqual(bodyOf(ours), call.differs?.mend(literal) ?? literal, "what the client was given")
            }
          }))
      }
    })
  }
}
