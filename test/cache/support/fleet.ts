/**
 * One process of a fleet with one cache in Redis. For each line on its standard input, the name of a stack, it asks the same
 * question many times at once, and says what came of it.
 */
import { NodeRedis } from "@effect/platform-node"
import { Cause, Effect, Layer, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { Cache, CacheStore } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { OpenAi, openai, question } from "../../core/support/stack.ts"
import * as addresses from "../../support/addresses.ts"

export interface Fleet {
  readonly prefix: string
  readonly callers: number
  readonly timeToLive: number
  readonly answerMillis: number
}

/** What a process says of a round. */
export interface Round {
  readonly requests: number
  readonly results: { readonly [result: string]: number }
}

const { answerMillis, callers, prefix, timeToLive }: Fleet = JSON.parse(process.argv[2]!)

const say = (value: unknown) => Effect.sync(() => void writeSync(1, `${JSON.stringify(value)}\n`))

const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("330 metres.", { delay: answerMillis }))

// Processes that take turns on a few cores are slow to hear from anybody.
const patient = { timeToLive, storeTimeout: "20 seconds", coalesce: { waitForOthers: "20 seconds" } } as const

const stacks = {
  given: openai.pipe(Cache.through({ ...patient, staleWhileRevalidate: "1 minute" })),
  over: openai.pipe(Cache.through({ ...patient, tags: ["over"] }))
}

const round = (stack: keyof typeof stacks) =>
  Effect.gen(function*() {
    const before = provider.calls.length
    const results: Record<string, number> = {}
    yield* Effect.all(
      Array.from({ length: callers }, () =>
        Effect.map(Llm.generateText(stacks[stack], question), ({ receipt }) => {
          results[receipt.cache!] = (results[receipt.cache!] ?? 0) + 1
        })),
      { concurrency: "unbounded" }
    )
    // What goes on behind old answers.
    yield* Effect.sleep(answerMillis * 3)
    yield* say({ requests: provider.calls.length - before, results } satisfies Round)
  })

const main = Effect.gen(function*() {
  yield* Cache.statistics
  yield* say("ready")
  yield* Stream.runForEach(
    Stream.fromAsyncIterable(createInterface({ input: process.stdin }), (cause) => cause),
    (line) => round(line as keyof typeof stacks)
  )
}).pipe(
  Effect.provide([
    Cache.layer().pipe(
      Layer.provide(CacheStore.layerRedis({ prefix })),
      Layer.provide(NodeRedis.layer({ socket: addresses.redis }))
    ),
    provider.layer
  ]),
  Effect.tapCause((cause) => say(Cause.pretty(cause)))
)

Effect.runFork(main)
