/**
 * What a cache costs, by the home of its answers, beside the caches of others.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { InMemoryCache } from "@langchain/core/caches"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import { generateText, type LanguageModelMiddleware, wrapLanguageModel } from "ai"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { Llm, type Part } from "effect-bulwark"
import { Cache, CacheStore } from "effect-bulwark/cache"
import { Provider } from "effect-bulwark/providers"
import { Sqlite } from "effect-bulwark/sqlite"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as addresses from "../support/addresses.ts"
import { micros, processorMicros, table, times, whole } from "./measure.ts"
import { aiModel } from "./peers.ts"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const bare = Llm.model(OpenAi, "gpt-5-mini")
const cached = bare.pipe(Cache.through({ timeToLive: "1 hour" }))

const deltas = 1_000

const finish: Part.AnswerPart & Part.ProviderPart = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 10 }, outputTokens: { total: 1 } }
}
const answer: ReadonlyArray<Part.AnswerPart> = [{ type: "text", text: "Hello!" }, finish]
const parts: ReadonlyArray<Part.ProviderPart> = [
  { type: "text-start", id: "0" },
  ...Array.from({ length: deltas }, () => ({ type: "text-delta" as const, id: "0", delta: "word " })),
  { type: "text-end", id: "0" },
  finish
]

/** Answers at once, and keeps nothing of it. */
const provider = Layer.succeed(OpenAi, {
  whole: () => Effect.succeed(answer),
  // One part a pull, as over a wire.
  stream: () => Stream.rechunk(Stream.fromIterable(parts), 1)
})

const rounds = 7

/** Microseconds of the processor an operation, in the best of several rounds. */
const cost = async (operations: number, run: () => Promise<unknown>): Promise<number> => {
  let best = Infinity
  for (let round = -1; round < rounds; round++) {
    const before = processorMicros()
    for (let n = 0; n < operations; n++) {
      await run()
      // As a network would: what is to be done in the background has its turn.
      if (n % 20 === 19) await setImmediate()
    }
    // The first one warms up.
    if (round >= 0) best = Math.min(best, (processorMicros() - before) / operations)
  }
  return best
}

let serial = 0

const homeRow = async (
  name: string,
  store: Layer.Layer<CacheStore.CacheStore, unknown>,
  operations: number
): Promise<ReadonlyArray<string>> => {
  const runtime = ManagedRuntime.make(Layer.mergeAll(Cache.layer().pipe(Layer.provide(store)), provider))
  const ask = (llm: typeof cached | typeof bare, prompt: () => string) => () =>
    runtime.runPromise(Llm.generateText(llm, { prompt: prompt() }))
  try {
    const plain = await cost(operations, ask(bare, () => "Hello?"))
    await ask(cached, () => "Hello?")()
    const hit = await cost(operations, ask(cached, () => "Hello?"))
    const miss = await cost(operations, ask(cached, () => `Hello ${serial++}?`))
    return [`Bulwark: ${name}`, micros(plain), micros(hit - plain), micros(miss - plain)]
  } finally {
    await runtime.dispose()
  }
}

const aiSdkRow = async (): Promise<ReadonlyArray<string>> => {
  // As the documentation of the AI SDK has it: the parameters as JSON are the key.
  const kept = new Map<string, unknown>()
  const middleware: LanguageModelMiddleware = {
    wrapGenerate: async ({ doGenerate, params }) => {
      const key = JSON.stringify(params)
      const found = kept.get(key)
      if (found !== undefined) return found as Awaited<ReturnType<typeof doGenerate>>
      const result = await doGenerate()
      kept.set(key, result)
      return result
    }
  }
  const model = aiModel(1)
  const wrapped = wrapLanguageModel({ model, middleware })
  const plain = await cost(times(1_000), () => generateText({ model, prompt: "Hello?" }))
  const hit = await cost(times(1_000), () => generateText({ model: wrapped, prompt: "Hello?" }))
  const miss = await cost(times(1_000), () => generateText({ model: wrapped, prompt: `Hello ${serial++}?` }))
  return ["AI SDK: a middleware over a `Map`", micros(plain), micros(hit - plain), micros(miss - plain)]
}

const langchainRow = async (): Promise<ReadonlyArray<string>> => {
  const model = new FakeListChatModel({ responses: ["Hello!"] })
  const caching = new FakeListChatModel({ responses: ["Hello!"], cache: new InMemoryCache() })
  const plain = await cost(times(1_000), () => model.invoke("Hello?"))
  const hit = await cost(times(1_000), () => caching.invoke("Hello?"))
  const miss = await cost(times(1_000), () => caching.invoke(`Hello ${serial++}?`))
  return ["LangChain: `InMemoryCache`", micros(plain), micros(hit - plain), micros(miss - plain)]
}

const replay = async (): Promise<string> => {
  const runtime = ManagedRuntime.make(Layer.mergeAll(Cache.layerMemory(), provider))
  const stream = (llm: typeof cached | typeof bare) => () =>
    runtime.runPromise(Stream.runDrain(Llm.streamText(llm, { prompt: "long" })))
  await stream(cached)()
  const plain = await cost(times(40), stream(bare))
  const replayed = await cost(times(40), stream(cached))
  await runtime.dispose()
  return `- A streamed part: ${micros(replayed / deltas)} µs replayed, ${
    micros(plain / deltas)
  } µs from a model that answers at once.`
}

const crowd = async (): Promise<string> => {
  const callers = times(10_000)
  let requests = 0
  const slow = Layer.succeed(OpenAi, {
    whole: () =>
      Effect.suspend(() => {
        requests++
        return Effect.delay(Effect.succeed(answer), "500 millis")
      }),
    stream: () => Stream.die("nobody asks for it")
  })
  const before = processorMicros()
  await Effect.runPromise(
    Effect.all(Array.from({ length: callers }, () => Llm.generateText(cached, { prompt: "Hello?" })), {
      concurrency: "unbounded"
    }).pipe(Effect.provide([Cache.layerMemory(), slow]))
  )
  return `- ${whole(callers)} callers of one request at once: ${requests} sent, ${
    micros((processorMicros() - before) / callers)
  } µs each.`
}

const size = async (): Promise<string> => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  const entries = times(20_000)
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(Cache.layerMemory({ maxEntries: entries, maxBytes: 2 ** 30 }), provider)
  )
  const ask = () => runtime.runPromise(Llm.generateText(cached, { prompt: `Hello ${serial++}?` }))
  await ask()
  collect()
  const before = process.memoryUsage().heapUsed
  for (let n = 1; n < entries; n++) {
    await ask()
    if (n % 20 === 19) await setImmediate()
  }
  await setImmediate()
  collect()
  const taken = process.memoryUsage().heapUsed - before
  const { store } = await runtime.runPromise(Cache.statistics)
  await runtime.dispose()
  return `- An answer of a few words takes ${
    whole(taken / entries)
  } bytes of the heap in memory; by the count of the store that bounds it ${whole((store?.bytes ?? 0) / entries)}.`
}

/** What a cache adds to a call, and what it does for many. */
export const cacheTables = async (): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "bulwark-bench-"))
  const prefix = randomUUID().slice(0, 8)
  try {
    const rows = [
      await homeRow("memory", CacheStore.layerMemory({ maxEntries: 10_000 }), times(4_000)),
      await homeRow(
        "SQLite, a file",
        CacheStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: join(folder, "cache.db") }))),
        times(1_000)
      )
    ]
    if (await addresses.listens(addresses.postgres)) {
      const postgres = PgClient.layer({ ...addresses.postgres, maxConnections: 4 })
      const store = CacheStore.layerSql({ prefix: `bench_${prefix}_` }).pipe(Layer.provide(postgres))
      rows.push(await homeRow("Postgres", store, times(400)))
    } else rows.push(["Bulwark: Postgres", "no server answers", "", ""])
    if (await addresses.listens(addresses.redis)) {
      const redis = NodeRedis.layer({ socket: addresses.redis })
      const store = CacheStore.layerRedis({ prefix: `{bench:${prefix}}:` }).pipe(Layer.provide(redis))
      rows.push(await homeRow("Redis", store, times(1_000)))
    } else rows.push(["Bulwark: Redis", "no server answers", "", ""])
    rows.push(await aiSdkRow(), await langchainRow())
    return [
      table(["A call", "without, µs", "a hit adds, µs", "a miss adds, µs"], rows),
      [await replay(), await crowd(), await size()].join("\n")
    ].join("\n\n")
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (import.meta.main) process.stdout.write(`${await cacheTables()}\n`)
