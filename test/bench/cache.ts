/**
 * What a cache costs: `node --conditions=effect-bulwark/source --expose-gc test/bench/cache.ts`. Times are of the processor, in microseconds
 * an operation, of the best of several rounds; a store on another machine adds its way there and back. Services that are not there are left out.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { InMemoryCache } from "@langchain/core/caches"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import { generateText, type LanguageModelMiddleware, wrapLanguageModel } from "ai"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { Cache, CacheStore } from "effect-bulwark/cache"
import { Provider } from "effect-bulwark/providers"
import { Sqlite } from "effect-bulwark/sqlite"
import { ScriptedProvider } from "effect-bulwark/testing"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as addresses from "../support/addresses.ts"
import { aiModel } from "./peers.ts"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const bare = Llm.model(OpenAi, "gpt-5-mini")
const cached = bare.pipe(Cache.through({ timeToLive: "1 hour" }))

const deltas = 1_000
const words = Array.from({ length: deltas }, () => "word ")

const provider = ScriptedProvider.layer(
  OpenAi,
  ({ prompt }) =>
    JSON.stringify(prompt.content).includes("long") ? ScriptedProvider.text(words) : ScriptedProvider.text("Hello!")
)

const rounds = 5

/** Microseconds of the processor, and of the clock, an operation. */
const measure = async (operations: number, run: (n: number) => Promise<unknown>) => {
  let cpu = Infinity
  let wall = Infinity
  for (let n = 0; n < operations / 5; n++) await run(n)
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    const started = performance.now()
    for (let n = 0; n < operations; n++) await run(n)
    wall = Math.min(wall, (performance.now() - started) * 1_000 / operations)
    const { system, user } = process.cpuUsage(before)
    cpu = Math.min(cpu, (system + user) / operations)
  }
  return { cpu, wall }
}

type Measured = Awaited<ReturnType<typeof measure>>

const say = (name: string, { cpu, wall }: Measured, over?: Measured) =>
  // oxlint-disable-next-line no-console
  console.log(
    `${name.padEnd(44)} ${cpu.toFixed(1).padStart(8)} µs of the processor, ${wall.toFixed(1).padStart(8)} µs in all` +
      (over === undefined ? "" : `, ${(cpu - over.cpu).toFixed(1)} µs beyond the bare call`)
  )

let serial = 0

/** The costs of one home. */
const home = async (name: string, store: Layer.Layer<CacheStore.CacheStore, unknown>, operations: number) => {
  const runtime = ManagedRuntime.make(Layer.mergeAll(Cache.layer().pipe(Layer.provide(store)), provider))
  const ask = (llm: typeof cached | typeof bare, prompt: string) =>
    runtime.runPromise(Llm.generateText(llm, { prompt }))
  try {
    const plain = await measure(operations, () => ask(bare, "Hello?"))
    await ask(cached, "Hello?")
    say(`${name}: bare call`, plain)
    say(`${name}: hit`, await measure(operations, () => ask(cached, "Hello?")), plain)
    say(`${name}: miss`, await measure(operations / 4, () => ask(cached, `Hello ${serial++}?`)), plain)
  } catch (cause) {
    // oxlint-disable-next-line no-console
    console.log(`${name}: left out (${String(cause).slice(0, 80)})`)
  } finally {
    await runtime.dispose()
  }
}

const folder = mkdtempSync(join(tmpdir(), "bulwark-cache-bench-"))

await home("memory", CacheStore.layerMemory(), 4_000)
await home(
  "SQLite",
  CacheStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: join(folder, "cache.db") }))),
  1_000
)
await home(
  "Redis",
  CacheStore.layerRedis({ prefix: `{bench:${randomUUID()}}:` }).pipe(
    Layer.provide(NodeRedis.layer({ socket: addresses.redis }))
  ),
  1_000
)
await home(
  "Postgres",
  CacheStore.layerSql({ prefix: `bench_${randomUUID().slice(0, 8)}_` }).pipe(
    Layer.provide(PgClient.layer({ ...addresses.postgres, maxConnections: 4 }))
  ),
  400
)
rmSync(folder, { recursive: true })

// ---- replay, coalescing, memory ----

{
  const runtime = ManagedRuntime.make(Layer.mergeAll(Cache.layerMemory(), provider))
  const stream = (llm: typeof cached | typeof bare) => () =>
    runtime.runPromise(Stream.runDrain(Llm.streamText(llm, { prompt: "long" })))
  await stream(cached)()
  const [plain, replayed] = [await measure(40, stream(bare)), await measure(40, stream(cached))]
  // oxlint-disable-next-line no-console
  console.log(
    `a streamed part: ${(replayed.cpu / deltas).toFixed(2)} µs replayed, ${
      (plain.cpu / deltas).toFixed(2)
    } µs from the model`
  )

  const callers = 10_000
  const slow = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("Hello!", { delay: "500 millis" }))
  const before = process.cpuUsage()
  await Effect.runPromise(
    Effect.all(Array.from({ length: callers }, () => Llm.generateText(cached, { prompt: "Hello?" })), {
      concurrency: "unbounded"
    }).pipe(Effect.provide([Cache.layerMemory(), slow.layer]))
  )
  const { system, user } = process.cpuUsage(before)
  // oxlint-disable-next-line no-console
  console.log(
    `${callers} callers, ${slow.calls.length} request: ${
      ((system + user) / callers).toFixed(1)
    } µs of the processor each`
  )
  await runtime.dispose()
}

{
  const entries = 5_000
  const runtime = ManagedRuntime.make(Layer.mergeAll(Cache.layerMemory(), provider))
  const collect = (globalThis as { readonly gc?: () => void }).gc
  collect?.()
  const before = process.memoryUsage().heapUsed
  for (let n = 0; n < entries; n++) await runtime.runPromise(Llm.generateText(cached, { prompt: `Hello ${serial++}?` }))
  collect?.()
  const after = process.memoryUsage().heapUsed
  const { store } = await runtime.runPromise(Cache.statistics)
  // oxlint-disable-next-line no-console
  console.log(
    `an entry of a few words: ${Math.round((after - before) / entries)} bytes of the heap` +
      `${collect === undefined ? " (without --expose-gc)" : ""}, ${
        Math.round((store?.bytes ?? 0) / entries)
      } by the store's own count`
  )
  await runtime.dispose()
}

// ---- others ----

{
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
  const plain = await measure(1_000, () => generateText({ model, prompt: "Hello?" }))
  say("AI SDK: bare call", plain)
  say("AI SDK: middleware, hit", await measure(1_000, () => generateText({ model: wrapped, prompt: "Hello?" })), plain)
}

{
  const model = new FakeListChatModel({ responses: ["Hello!"] })
  const plain = await measure(2_000, () => model.invoke("Hello?"))
  const caching = new FakeListChatModel({ responses: ["Hello!"], cache: new InMemoryCache() })
  say("LangChain: bare call", plain)
  say("LangChain: InMemoryCache, hit", await measure(2_000, () => caching.invoke("Hello?")), plain)
}
