/**
 * What keeping the money costs: `Budget.enforce` around a call, by the home of its books.
 */
import { Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import { Llm, type Part } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
import { Sqlite } from "effect-bulwark/sqlite"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { measure, micros, table } from "./measure.ts"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const bare = Llm.model(OpenAi, "gpt-5-mini")
const enforced = bare.pipe(Budget.enforce({ maxOutputTokens: 100 }))

const one: ReadonlyArray<Budget.Limit> = [{ resource: "usd", limit: "1000000", window: Budget.calendar("day") }]

const three: ReadonlyArray<Budget.Limit> = [
  ...one,
  { resource: "usd", limit: "1000000", window: Budget.rolling("1 hour"), scope: "tenant" },
  { resource: "tokens", limit: 1_000_000_000_000, window: Budget.total, scope: "user" }
]

const answer: ReadonlyArray<Part.AnswerPart> = [
  { type: "text", text: "Hello!" },
  { type: "finish", reason: "stop", usage: { inputTokens: { total: 10 }, outputTokens: { total: 1 } } }
]

/** Answers at once, and keeps nothing of it. */
const provider: Provider.Provider = {
  whole: () => Effect.succeed(answer),
  stream: () => Stream.die("nobody asks for it")
}

/** What `Budget.enforce` adds to a call, by home and limits. */
export const enforceTable = async (): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "bulwark-bench-"))
  const scope = Scope.makeUnsafe()
  const budget = (limits: ReadonlyArray<Budget.Limit>, store: Layer.Layer<BudgetStore.BudgetStore, unknown>) =>
    Budget.layer({ limits }).pipe(Layer.provide([Layer.fresh(store), Pricing.layer(), TokenCount.layer()]))
  const sqlite = (name: string) =>
    BudgetStore.layerSql().pipe(Layer.provide(Sqlite.layer({ filename: join(folder, name) })))
  const task = async (llm: Llm.Llm<unknown, OpenAi | Budget.Budget>, layer: Layer.Layer<Budget.Budget, unknown>) => {
    const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
    const program = Effect.provideContext(
      Llm.generateText(llm, { prompt: "Hello?" }),
      Context.add(context, OpenAi, provider)
    )
    return () => Effect.runPromise(program)
  }
  try {
    const tasks = {
      "bare provider": await task(bare, budget(one, BudgetStore.layerMemory)),
      "memory, one limit": await task(enforced, budget(one, BudgetStore.layerMemory)),
      "memory, three limits": await task(enforced, budget(three, BudgetStore.layerMemory)),
      "SQLite, a file, one limit": await task(enforced, budget(one, sqlite("one.db"))),
      "SQLite, a file, three limits": await task(enforced, budget(three, sqlite("three.db")))
    }
    const times = await measure(tasks, 150)
    const least = times["bare provider"] ?? Number.NaN
    return table(
      ["A call with `Budget.enforce`", "µs", "added, µs"],
      Object.entries(times).map(([name, time], n) => [name, micros(time), n === 0 ? "" : micros(time - least)])
    )
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    rmSync(folder, { recursive: true })
  }
}

if (import.meta.main) process.stdout.write(`${await enforceTable()}\n`)
