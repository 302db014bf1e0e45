/**
 * What every home of the ledger does.
 */
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Usage } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { Ledger } from "effect-bulwark/telemetry"
import { TestClock } from "effect/testing"
import { attempt, entry, usage } from "./support/entries.ts"
import { homes, open, shared, test } from "./support/homes.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** An operation of each kind. */
const rich = entry(
  "op_rich",
  5 * hour,
  [
    {
      attempt: attempt({
        outcome: "RateLimited",
        durationMillis: 12.5,
        provider: "anthropic",
        model: "claude-haiku-4-5"
      })
    },
    {
      attempt: attempt({
        startMillis: 1_500,
        durationMillis: 900,
        firstPartMillis: 300.125,
        servedModel: "gpt-5-mini-2025-08-07",
        usage: usage(1_000, 200, { inputCacheRead: 7, inputCacheWrite: 3, inputCacheWrite1h: 9, outputReasoning: 11 })
      }),
      cost: 651
    }
  ],
  {
    attribution: {
      user: "zoë \"the\" user",
      tenant: "acme",
      feature: "search",
      requestId: "req-1",
      tags: { promptVersion: "v7", "a.b $[0] \"c\"": "d'e", team: "core" }
    },
    provider: "openai",
    model: "gpt-5-mini-2025-08-07",
    finishReason: "stop",
    degraded: true,
    events: [{ type: "fallback", atMillis: 12, afterAttempts: 1, reason: "RateLimited" }],
    timings: { firstPartMillis: 1_800.5, totalMillis: 2_400 }
  }
)
const bare = entry("op_bare", 6 * hour, [], { outcome: "CircuitOpen", timings: { totalMillis: 0 } })
const unpriced = entry("op_unpriced", 7 * hour, [{ attempt: attempt({ model: "mine", usage: usage(10, 20) }) }], {
  attribution: { tenant: "acme", tags: {} }
})

for (const home of homes) {
  home.describe(`Ledger in ${home.name}`, () => {
    const it = test(home)

    it("gives back what was written, newest first", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, unpriced, bare])
        assert.deepStrictEqual(yield* Ledger.find(), { entries: [unpriced, bare, rich], next: undefined })
      }))

    it("knows the version of a prompt by the receipt, and else by the tag", (store) =>
      Effect.gen(function*() {
        const prompt = {
          name: "summarize",
          version: 3,
          hash: "ab12",
          label: "production",
          experiment: "e",
          variant: "b"
        }
        const tags = { promptVersion: "v7" }
        const served = entry("op_served", hour, [], { prompt, attribution: { tags } })
        const tagged = entry("op_tagged", 2 * hour, [], { attribution: { tags } })
        yield* store.write([served, tagged, bare])
        assert.deepStrictEqual((yield* Ledger.find()).entries, [bare, tagged, served])
        const rows = yield* Ledger.spend({ from: 0, to: day, by: ["promptVersion"] })
        assert.sameDeepMembers(rows.map(({ by, operations }) => [by.promptVersion, operations]), [
          ["summarize@3", 1],
          ["v7", 1],
          [undefined, 1]
        ])
        const versions = yield* Ledger.find({ where: { promptVersion: ["summarize@3", "summarize@4"] } })
        assert.deepStrictEqual(versions.entries, [served])
        const byTag = yield* Ledger.find({ where: { tags } })
        assert.deepStrictEqual(byTag.entries, [tagged, served])
      }))

    it("has an operation once, however often it is written", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich])
        yield* store.write([rich, bare, rich])
        yield* store.write([rich, bare])
        assert.deepStrictEqual((yield* Ledger.find()).entries, [bare, rich])
        const [row] = yield* Ledger.spend({ from: 0, to: day })
        assert.deepStrictEqual([row?.operations, row?.requests, row?.cost], [2, 2, 651])
      }))

    it("tells operations apart that have one id at different times", (store) =>
      Effect.gen(function*() {
        yield* store.write([entry("op_same", 1, []), entry("op_same", 2, [{ attempt: attempt() }])])
        assert.deepStrictEqual((yield* Ledger.find()).entries.map(({ receipt }) => receipt.startedAt), [2, 1])
      }))

    it("an empty batch is written", (store) => store.write([]))

    it("an empty ledger has no rows", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* Ledger.spend({ from: 0, to: day, by: ["tenant"], bucket: "hour" }), [])
        assert.deepStrictEqual(yield* Ledger.latency({ from: 0, to: day }), [])
        assert.deepStrictEqual(yield* Ledger.find(), { entries: [], next: undefined })
        assert.strictEqual(yield* Ledger.prune({ before: day }), 0)
      }))

    it("adds up what was spent", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare, unpriced])
        assert.deepStrictEqual(yield* Ledger.spend({ from: 0, to: day }), [{
          by: {},
          start: 0,
          cost: 651 as never,
          estimated: 0,
          unpriced: 1,
          unmetered: 1,
          requests: 3,
          operations: 3,
          usage: {
            inputUncached: 1_010,
            inputCacheRead: 7,
            inputCacheWrite: 3,
            inputCacheWrite1h: 9,
            outputText: 220,
            outputReasoning: 11
          },
          outcomes: { success: 2, CircuitOpen: 1 }
        }])
      }))

    it("by every dimension", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare, unpriced])
        const by = <const D extends Ledger.Dimension>(dimension: D) =>
          Effect.map(
            Ledger.spend({ from: 0, to: day, by: [dimension] }),
            (rows) =>
              rows.map((row): ReadonlyArray<unknown> => [row.by[dimension], row.operations, row.requests, row.cost])
          )
        assert.deepStrictEqual(yield* by("tenant"), [["acme", 2, 3, 651], [undefined, 1, 0, 0]])
        assert.deepStrictEqual(yield* by("user"), [["zoë \"the\" user", 1, 2, 651], [undefined, 2, 1, 0]])
        assert.deepStrictEqual(yield* by("feature"), [["search", 1, 2, 651], [undefined, 2, 1, 0]])
        assert.deepStrictEqual(yield* by("promptVersion"), [["v7", 1, 2, 651], [undefined, 2, 1, 0]])
        assert.deepStrictEqual(yield* by("tag:promptVersion"), [["v7", 1, 2, 651], [undefined, 2, 1, 0]])
        assert.deepStrictEqual(yield* by("tag:a.b $[0] \"c\""), [["d'e", 1, 2, 651], [undefined, 2, 1, 0]])
        assert.deepStrictEqual(yield* by("tag:toString"), [[undefined, 3, 3, 651]])
        assert.deepStrictEqual(yield* by("provider"), [
          ["openai", 2, 2, 651],
          ["anthropic", 1, 1, 0],
          [undefined, 1, 0, 0]
        ])
        assert.deepStrictEqual(yield* by("model"), [
          ["gpt-5-mini", 1, 1, 651],
          ["claude-haiku-4-5", 1, 1, 0],
          ["mine", 1, 1, 0],
          [undefined, 1, 0, 0]
        ])
      }))

    it("by several dimensions and by time", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare, unpriced])
        const rows = yield* Ledger.spend({
          from: 5 * hour + 1,
          to: 7 * hour + 1,
          by: ["tenant", "tag:team"],
          bucket: "hour"
        })
        assert.deepStrictEqual(rows.map(({ by, operations, start }) => [start, by, operations]), [
          [6 * hour, { tenant: undefined, "tag:team": undefined }, 1],
          [7 * hour, { tenant: "acme", "tag:team": undefined }, 1]
        ])
      }))

    it("days and months begin where a time zone has them", (store) =>
      Effect.gen(function*() {
        const at = (iso: string) => entry(iso, Date.parse(iso), [{ attempt: attempt({ usage: usage(1, 1) }), cost: 1 }])
        // Clocks go forward on 29 March.
        yield* store.write([
          at("2026-03-28T22:59:59.999Z"),
          at("2026-03-28T23:00:00.000Z"),
          at("2026-03-29T21:59:59.999Z"),
          at("2026-03-29T22:00:00.000Z"),
          at("2026-03-31T22:00:00.000Z")
        ])
        const counts = (bucket: Ledger.Bucket) =>
          Effect.map(
            Ledger.spend({
              from: "2026-03-01T00:00:00Z",
              to: "2026-05-01T00:00:00Z",
              bucket,
              timeZone: "Europe/Berlin"
            }),
            (rows) => rows.map(({ operations, start }) => [new Date(start).toISOString(), operations])
          )
        assert.deepStrictEqual(yield* counts("day"), [
          ["2026-03-27T23:00:00.000Z", 1],
          ["2026-03-28T23:00:00.000Z", 2],
          ["2026-03-29T22:00:00.000Z", 1],
          ["2026-03-31T22:00:00.000Z", 1]
        ])
        assert.deepStrictEqual(yield* counts("month"), [
          ["2026-02-28T23:00:00.000Z", 4],
          ["2026-03-31T22:00:00.000Z", 1]
        ])
        assert.deepStrictEqual(yield* counts("week"), [
          ["2026-03-22T23:00:00.000Z", 3],
          ["2026-03-29T22:00:00.000Z", 2]
        ])
      }))

    it("of some operations only", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare, unpriced])
        const cost = (where: Ledger.Where) =>
          Effect.map(
            Ledger.spend({ from: 0, to: day, where }),
            (rows) => rows.map(({ operations, requests }) => [operations, requests])
          )
        assert.deepStrictEqual(yield* cost({ tenant: "acme" }), [[2, 3]])
        assert.deepStrictEqual(yield* cost({ tenant: ["acme", "other"], outcome: "success" }), [[2, 3]])
        assert.deepStrictEqual(yield* cost({ tenant: [] }), [])
        assert.deepStrictEqual(yield* cost({ model: ["gpt-5-mini", "mine"] }), [[2, 2]])
        assert.deepStrictEqual(yield* cost({ provider: "anthropic", model: "gpt-5-mini" }), [])
        assert.deepStrictEqual(yield* cost({ tags: { team: "core", "a.b $[0] \"c\"": "d'e" } }), [[1, 2]])
        assert.deepStrictEqual(yield* cost({ promptVersion: "v8" }), [])
        assert.deepStrictEqual(yield* cost({ outcome: "CircuitOpen" }), [[1, 0]])
        assert.deepStrictEqual(yield* cost({ user: "' OR 1 = 1 --" }), [])
      }))

    it("finds single operations", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare, unpriced])
        const ids = (where: Ledger.Where) =>
          Effect.map(Ledger.find({ where }), ({ entries }) => entries.map(({ receipt }) => receipt.operationId))
        assert.deepStrictEqual(yield* ids({ requestId: "req-1" }), ["op_rich"])
        assert.deepStrictEqual(yield* ids({ operationId: ["op_bare", "op_rich"] }), ["op_bare", "op_rich"])
        assert.deepStrictEqual(yield* ids({ provider: "anthropic" }), ["op_rich"])
        // One request must be of both.
        assert.deepStrictEqual(yield* ids({ provider: "anthropic", model: "gpt-5-mini" }), [])
        assert.deepStrictEqual(yield* ids({ tags: { team: "core" } }), ["op_rich"])
      }))

    it("pages through, whatever is written meanwhile", (store) =>
      Effect.gen(function*() {
        // Some at one time.
        const at = (n: number) => entry(`op_${String(n).padStart(3, "0")}`, Math.floor(n / 3), [{ attempt: attempt() }])
        yield* store.write(Array.from({ length: 20 }, (_, n) => at(n)))
        const seen: Array<string> = []
        let after: Ledger.Cursor | undefined
        do {
          const page = yield* Ledger.find({ limit: 7, after })
          assert.isAtMost(page.entries.length, 7)
          seen.push(...page.entries.map(({ receipt }) => receipt.operationId))
          after = page.next
          yield* store.write([at(100 + seen.length)])
        } while (after !== undefined)
        assert.deepStrictEqual(seen, Array.from({ length: 20 }, (_, n) => at(19 - n).receipt.operationId))
      }))

    it("a full last page has no next one", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare])
        assert.isDefined((yield* Ledger.find({ limit: 1 })).next)
        assert.isUndefined((yield* Ledger.find({ limit: 2 })).next)
      }))

    it("percentiles are values that were measured", (store) =>
      Effect.gen(function*() {
        // 1 to 100, in no order, of which every tenth has no first part.
        yield* store.write(Array.from({ length: 100 }, (_, n) => {
          const millis = (n * 37) % 100 + 1
          return entry(`op_${n}`, n, [{ attempt: attempt({ durationMillis: millis * 2 }) }], {
            timings: { totalMillis: millis, ...(millis % 10 === 0 ? undefined : { firstPartMillis: millis / 2 }) }
          })
        }))
        assert.deepStrictEqual(
          yield* Ledger.latency({ from: 0, to: day, percentiles: [0.001, 1, 7, 50, 95, 99, 99.9, 100] }),
          [{
            by: {},
            start: 0,
            count: 100,
            total: { "p0.001": 1, p1: 1, p7: 7, p50: 50, p95: 95, p99: 99, "p99.9": 100, p100: 100 },
            firstPart: {
              "p0.001": 0.5,
              p1: 0.5,
              p7: 3.5,
              p50: 24.5,
              p95: 47.5,
              p99: 49.5,
              "p99.9": 49.5,
              p100: 49.5
            }
          }]
        )
        assert.deepStrictEqual(
          (yield* Ledger.requestLatency({ from: 0, to: day, by: ["model"] })).map(({ by, firstPart, total }) => [
            by.model,
            total.p95,
            firstPart
          ]),
          [["gpt-5-mini", 190, undefined]]
        )
      }))

    it("latency of operations and of requests, by group and time", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare, unpriced])
        assert.deepStrictEqual(
          (yield* Ledger.latency({ from: 0, to: day, by: ["tenant"], bucket: "hour", percentiles: [50] })).map(
            ({ by, count, firstPart, start, total }) => [start / hour, by.tenant, count, total.p50, firstPart?.p50]
          ),
          [
            [5, "acme", 1, 2_400, 1_800.5],
            [6, undefined, 1, 0, undefined],
            [7, "acme", 1, 100, undefined]
          ]
        )
        assert.deepStrictEqual(
          (yield* Ledger.requestLatency({ from: 0, to: day, by: ["provider"], where: { outcome: "success" } })).map(
            ({ by, count, firstPart, total }) => [by.provider, count, total.p50, firstPart?.p50]
          ),
          [["openai", 2, 100, 300.125]]
        )
        const asked = yield* Ledger.latency({ from: 0, to: day, where: { model: "claude-haiku-4-5" } })
        assert.deepStrictEqual(asked.map(({ count, total }) => [count, total.p99]), [[1, 2_400]])
      }))

    it("forgets what is old, with its requests", (store) =>
      Effect.gen(function*() {
        yield* store.write([rich, bare, unpriced])
        yield* store.write(Array.from({ length: 1_200 }, (_, n) => entry(`op_${n}`, n, [{ attempt: attempt() }])))
        // It makes way for others from time to time.
        assert.strictEqual(yield* TestClock.withLive(Ledger.prune({ before: 1_000 })), 1_000)
        assert.strictEqual(yield* Ledger.prune({ before: 6 * hour }), 201)
        assert.deepStrictEqual((yield* Ledger.find()).entries, [unpriced, bare])
        // It can be written anew: nothing of it was left.
        yield* store.write([rich])
        assert.deepStrictEqual((yield* Ledger.find({ to: 6 * hour })).entries, [rich])
      }))

    it("what no database takes is mended, and holds up nothing", () =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        const long = Array.from({ length: 5_000 }, (_, n) => String.fromCharCode(0x4e00 + (n * 7_919) % 20_000)).join(
          ""
        )
        const broken = [usage(1.5, 0), usage(-1, 0), usage(1e300, 0), usage(Number.NaN, 0), usage(Infinity, 0)]
        yield* ledger.record(
          entry("op_1", 1.5, broken.map((usage) => ({ attempt: attempt({ usage, durationMillis: 1 / 3 }) })), {
            attribution: { user: "a\0b", tenant: long, requestId: long, tags: { "c\0": "d\uD800e", long } }
          }).receipt
        )
        yield* ledger.record(
          entry("op_2", 2, [{ attempt: attempt({ usage: usage(Number.MAX_SAFE_INTEGER, 1) }) }]).receipt
        )
        yield* ledger.flush
        const [, first] = (yield* Ledger.find()).entries
        const cut = long.slice(0, 512)
        assert.deepStrictEqual(first?.receipt.attribution, {
          user: "a\uFFFDb",
          tenant: cut,
          requestId: cut,
          tags: { "c\uFFFD": "d\uFFFDe", long: cut }
        })
        assert.strictEqual(first?.receipt.startedAt, 1)
        assert.deepStrictEqual(
          first?.receipt.attempts,
          broken.map(() => attempt({ durationMillis: 0.333 }))
        )
        assert.deepStrictEqual(first?.receipt.usage, Usage.zero)
      }).pipe(Effect.provide(Ledger.layer().pipe(Layer.provide(Pricing.layerOf([]))))))

    it("what is not legal is a defect that names the option", () =>
      Effect.gen(function*() {
        const defect = <A, E>(effect: Effect.Effect<A, E, Ledger.LedgerStore>) =>
          Effect.map(Effect.exit(effect), (exit) => String(exit))
        assert.include(yield* defect(Ledger.spend({ from: "yesterday" })), "`from`")
        assert.include(yield* defect(Ledger.spend({ from: 0, to: Number.NaN })), "`to`")
        assert.include(yield* defect(Ledger.spend({ from: 0, to: 366 * day, bucket: "minute" })), "10000")
        assert.include(yield* defect(Ledger.spend({ from: 0, to: 1, bucket: "day", timeZone: "Mars" })), "`timeZone`")
        assert.include(yield* defect(Ledger.latency({ from: 0, percentiles: [0] })), "`percentiles`")
        assert.include(yield* defect(Ledger.latency({ from: 0, percentiles: [100.5] })), "`percentiles`")
        assert.include(yield* defect(Ledger.latency({ from: 0, percentiles: [99.9999] })), "`percentiles`")
        assert.include(yield* defect(Ledger.find({ limit: 0 })), "`limit`")
      }))
  })
}

for (const home of shared) {
  home.describe(`Ledger in ${home.name}, of several clients`, () => {
    test(home)("opened twice, it is one", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const stores = yield* Effect.all([open(place), open(place), open(place)], { concurrency: "unbounded" })
        yield* Effect.forEach(
          stores,
          (store, n) => store.write([rich, entry(`op_${n}`, n, [{ attempt: attempt() }])]),
          {
            concurrency: "unbounded"
          }
        )
        const pages = yield* Effect.forEach(
          stores,
          (store) => Effect.provideService(Ledger.find(), Ledger.LedgerStore, store)
        )
        for (const { entries } of pages) {
          assert.deepStrictEqual(entries.map(({ receipt }) => receipt.operationId), ["op_rich", "op_2", "op_1", "op_0"])
        }
      }))
  })
}
