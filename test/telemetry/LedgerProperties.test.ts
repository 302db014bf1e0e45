/**
 * Whatever is written, what the homes say of it is what one gets by hand.
 */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Money, type Receipt, Usage } from "effect-bulwark"
import { Ledger } from "effect-bulwark/telemetry"
import { entry } from "./support/entries.ts"
import { homes, open } from "./support/homes.ts"

const name = Schema.Literals(["a", "b", "ü \"'%_"])
const tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000_000 }))
const millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))
const outcome = Schema.Literals(["success", "Overloaded", "interrupted"])

const Recipe = Schema.Array(Schema.Struct({
  startedAt: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 * 3_600_000 })),
  attribution: Schema.Struct({
    tenant: Schema.optionalKey(name),
    user: Schema.optionalKey(name),
    tags: Schema.optionalKey(Schema.Struct({ promptVersion: Schema.optionalKey(name), team: Schema.optionalKey(name) }))
  }),
  outcome,
  totalMillis: millis,
  attempts: Schema.Array(Schema.Struct({
    provider: name,
    model: name,
    outcome,
    startMillis: millis,
    durationMillis: millis,
    firstPartMillis: Schema.optionalKey(millis),
    usage: Schema.optionalKey(Schema.Struct({
      inputUncached: tokens,
      inputCacheRead: tokens,
      inputCacheWrite: tokens,
      inputCacheWrite1h: Schema.optionalKey(tokens),
      outputText: tokens,
      outputReasoning: tokens
    })),
    cost: Schema.NullOr(tokens)
  })).check(Schema.isMaxLength(4))
})).check(Schema.isMaxLength(15))

const entriesOf = (recipe: typeof Recipe.Type): ReadonlyArray<Ledger.Entry> =>
  recipe.map(({ attempts, attribution, outcome, startedAt, totalMillis }, n) =>
    entry(
      `op_${n}`,
      startedAt,
      attempts.map(({ cost, ...attempt }) => ({
        attempt: {
          ...attempt,
          ...(cost !== null && cost > 0 && attempt.usage === undefined ? { costEstimated: true } : undefined)
        },
        ...(cost === null ? undefined : { cost })
      })),
      { attribution, outcome, timings: { totalMillis } }
    )
  )

const value = (receipt: Receipt.Receipt, attempt: Receipt.Attempt | undefined, dimension: string) => {
  if (dimension === "provider" || dimension === "model") return attempt?.[dimension]
  if (dimension === "tenant" || dimension === "user") return receipt.attribution[dimension]
  return receipt.attribution.tags?.[dimension.replace("tag:", "")]
}

const hour = 3_600_000

/** By hand: each request and each operation is put where it belongs. */
const byHand = (entries: ReadonlyArray<Ledger.Entry>, by: ReadonlyArray<Ledger.Dimension>) => {
  const rows = new Map<string, {
    cost: bigint
    estimated: number
    unpriced: number
    unmetered: number
    requests: number
    tokens: number
    operations: Record<string, Set<Ledger.Entry>>
  }>()
  for (const entry of entries) {
    const { receipt } = entry
    const requests: ReadonlyArray<Receipt.Attempt | undefined> = receipt.attempts
    for (const attempt of requests.length === 0 ? [undefined] : requests) {
      const start = Math.floor(receipt.startedAt / hour) * hour
      const key = JSON.stringify([start, ...by.map((dimension) => value(receipt, attempt, dimension) ?? null)])
      const row = rows.get(key) ??
        { cost: 0n, estimated: 0, unpriced: 0, unmetered: 0, requests: 0, tokens: 0, operations: {} }
      rows.set(key, row)
      const operations = row.operations[receipt.outcome] ??= new Set()
      operations.add(entry)
      if (attempt === undefined) continue
      row.requests++
      if (attempt.cost !== undefined) row.cost += BigInt(attempt.cost)
      else if (attempt.usage === undefined) row.unmetered++
      else row.unpriced++
      if (attempt.costEstimated === true) row.estimated++
      if (attempt.usage !== undefined) row.tokens += Usage.input(attempt.usage) + Usage.output(attempt.usage)
    }
  }
  return Object.fromEntries([...rows].map(([key, { cost, operations, ...row }]) => [key, {
    ...row,
    cost: Number(cost),
    outcomes: Object.fromEntries(Object.entries(operations).map(([outcome, of]) => [outcome, of.size]))
  }]))
}

const groupings: ReadonlyArray<ReadonlyArray<Ledger.Dimension>> = [
  [],
  ["tenant"],
  ["provider", "model"],
  ["user", "promptVersion", "tag:team", "model"]
]

for (const home of homes) {
  home.describe(`Ledger in ${home.name}, whatever is written`, () => {
    it.effect.prop(
      "sums and percentiles are those of the receipts",
      [Arbitrary.schema(Recipe)],
      ([recipe]) =>
        Effect.gen(function*() {
          const entries = entriesOf(recipe)
          const store = yield* Effect.flatMap(home.place, open)
          const half = Math.floor(entries.length / 2)
          yield* store.write(entries.slice(0, half + 2))
          yield* store.write(entries.slice(half))
          yield* Effect.gen(function*() {
            for (const by of groupings) {
              const rows = yield* Ledger.spend({ from: 0, to: 11 * hour, bucket: "hour", by })
              assert.deepStrictEqual(
                Object.fromEntries(rows.map((row) => [
                  JSON.stringify([row.start, ...by.map((dimension) => row.by[dimension] ?? null)]),
                  {
                    cost: row.cost as number,
                    estimated: row.estimated,
                    unpriced: row.unpriced,
                    unmetered: row.unmetered,
                    requests: row.requests,
                    tokens: Usage.input(row.usage) + Usage.output(row.usage),
                    outcomes: row.outcomes
                  }
                ])),
                byHand(entries, by)
              )
              const sum = rows.reduce((sum, { cost }) => Money.add(sum, cost), Money.zero)
              const all = entries.flatMap(({ receipt }) => receipt.attempts.map(({ cost }) => cost ?? Money.zero))
              assert.strictEqual(sum, all.reduce(Money.add, Money.zero))
            }
            for (const percentile of [50, 95, 99.9]) {
              const [row] = yield* Ledger.requestLatency({ from: 0, to: 11 * hour, percentiles: [percentile] })
              const values = entries.flatMap(({ receipt }) => receipt.attempts.map((attempt) => attempt.durationMillis))
              // The smallest that at least so many are not above.
              const least = values.toSorted((a, b) => a - b).find((value) =>
                values.filter((other) => other <= value).length * 100 >= percentile * values.length
              )
              assert.strictEqual(row?.total[`p${percentile}`], least)
            }
            const { entries: found } = yield* Ledger.find()
            const newest = (a: Ledger.Entry, b: Ledger.Entry) =>
              b.receipt.startedAt - a.receipt.startedAt || (a.receipt.operationId < b.receipt.operationId ? 1 : -1)
            assert.deepStrictEqual(found, entries.toSorted(newest))
          }).pipe(Effect.provideService(Ledger.LedgerStore, store))
        }).pipe(Effect.scoped),
      { arbitrary: { runs: home.name === "Postgres" ? 8 : 30 }, timeout: 60_000 }
    )
  })
}
