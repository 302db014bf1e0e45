/**
 * A budget store under many who ask at once: fibers, clients and processes, some of which are killed.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { counted } from "../support/counted.ts"
import { alone, line, open, reservation, shared, type Store } from "./support/homes.ts"
import type { Place } from "./support/places.ts"
import type { Job, Said, Task } from "./support/worker.ts"

interface Worker {
  readonly process: ChildProcess
  /** Since it has its work. */
  output: string
}

/** Processes that wait for work: to begin one takes much longer than what it has to do. */
const idle: Array<Worker> = []

afterAll(() => {
  for (const worker of idle) worker.process.kill("SIGKILL")
})

const start = (): Worker => {
  const script = fileURLToPath(new URL("./support/worker.ts", import.meta.url))
  const process = fork(script, { execArgv: ["--conditions=effect-bulwark/source"], silent: true })
  const worker: Worker = { process, output: "" }
  for (const stream of [process.stdout, process.stderr]) {
    stream?.on("data", (chunk: Buffer) => worker.output += chunk.toString())
  }
  return worker
}

/** A process that has been given its work. It goes on afterwards, unless its work is done. */
const begin = (task: Task): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const worker = idle.pop() ?? start()
      worker.output = ""
      worker.process.send(task)
      return worker
    }),
    (worker) =>
      Effect.sync(() => {
        if (!idle.includes(worker)) worker.process.kill("SIGKILL")
      })
  )

const ended = ({ process }: Worker) =>
  Effect.callback<void>((resume) => {
    const done = () => resume(Effect.void)
    if (process.exitCode !== null || process.signalCode !== null) return done()
    process.once("close", done)
    return Effect.sync(() => void process.off("close", done))
  })

/** What a process says when its work is done. */
const run = (place: Place, job: Job) =>
  Effect.scoped(Effect.gen(function*() {
    const worker = yield* begin({ place, job })
    const said = yield* Effect.raceFirst(
      Effect.callback<Said>((resume) =>
        void worker.process.once("message", (said) => resume(Effect.succeed(said as Said)))
      ),
      Effect.andThen(ended(worker), Effect.sync(() => assert.fail(`the process ended\n${worker.output}`)))
    )
    idle.push(worker)
    return said
  }))

const balance = (store: Store, account: string) => store.balance({ account, since: 0 })

describe("fibers of one process", () => {
  for (const home of alone) {
    it.effect(`hold what there is, and no more: ${home.name}`, () =>
      Effect.gen(function*() {
        const store = yield* Effect.flatMap(home.place, open)
        const verdicts = yield* Effect.forEach(
          Array.from({ length: 10_000 }, (_, n) => n),
          (n) =>
            Effect.andThen(Effect.yieldNow, store.reserve(reservation(`${n}`, line("a", 1, 3_000, { slot: n % 7 })))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(verdicts.filter(({ _tag }) => _tag === "Reserved").length, 3_000)
        assert.deepStrictEqual(yield* balance(store, "a"), { used: 0, reserved: 3_000, unsettled: 0 })
      }), 60_000)
  }
})

for (const home of shared) {
  home.describe(`clients and processes that share a budget store: ${home.name}`, () => {
    it.live("clients hold what there is, and no more", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        // Some of them make the tables at the same time.
        const clients = yield* Effect.all([open(place), open(place), open(place), open(place)], {
          concurrency: "unbounded"
        })
        const verdicts = yield* Effect.forEach(
          Array.from({ length: 3_000 }, (_, n) => n),
          (n) => clients[n % 4]!.reserve(reservation(`${n}`, line("a", 1, 900, { slot: n % 7 }))),
          { concurrency: 60 }
        )
        assert.strictEqual(verdicts.filter(({ _tag }) => _tag === "Reserved").length, 900)
        assert.strictEqual((yield* balance(clients[0], "a")).reserved, 900)
      }), 120_000)

    it.live("lines in any order wait for each other in none", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const clients = yield* Effect.all([open(place), open(place), open(place)])
        const accounts = ["a", "b", "c", "d", "e"]
        yield* Effect.forEach(
          Array.from({ length: 300 }, (_, n) => n),
          (n) =>
            Effect.gen(function*() {
              const names = accounts.map((_, at) => accounts[(at * (1 + n % 4) + n) % 5]!)
              const store = clients[n % 3]!
              const verdict = yield* store.reserve(reservation(`${n}`, ...names.map((name) => line(name, 1, 1_000))))
              assert.strictEqual(verdict._tag, "Reserved")
              assert.strictEqual(
                yield* n % 3 === 0 ? store.void(`${n}`) : store.settle(`${n}`, names.map(() => 2)),
                "applied"
              )
            }),
          { concurrency: 30 }
        )
        for (const account of accounts) {
          assert.deepStrictEqual(yield* balance(clients[0], account), { used: 400, reserved: 0, unsettled: 0 })
        }
      }), 120_000)

    it.live("a reservation that is made twice at once is one", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const clients = yield* Effect.all([open(place), open(place), open(place)])
        for (let n = 0; n < 20; n++) {
          // Their lines are not even the same.
          const verdicts = yield* Effect.forEach(
            clients,
            (store, client) => store.reserve(reservation(`${n}`, line(client === 0 ? "b" : "a", 1, 100))),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(verdicts.map(({ _tag }) => _tag).toSorted(), ["Repeated", "Repeated", "Reserved"])
        }
        assert.strictEqual(
          (yield* balance(clients[0], "a")).reserved + (yield* balance(clients[0], "b")).reserved,
          20
        )
      }), 60_000)

    for (const count of [1, 3, 5]) {
      it.live(
        `${count} ${count === 1 ? "process holds" : "processes hold"} what there is, and no more`,
        () =>
          Effect.gen(function*() {
            const place = yield* home.place
            const store = yield* open(place)
            const said = yield* Effect.forEach(
              Array.from({ length: count }, (_, n) => n),
              (n) =>
                run(place, {
                  job: "reserve",
                  name: `process ${n}`,
                  account: "a",
                  limit: 700,
                  tries: Math.ceil(1_500 / count)
                }),
              { concurrency: "unbounded" }
            )
            assert.strictEqual(said.reduce((sum, n) => sum + n, 0), 700, said.join())
            assert.strictEqual((yield* balance(store, "a")).reserved, 700)
          }),
        120_000
      )
    }

    it.live("of two processes that settle the same, one does", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const store = yield* open(place)
        const ids = Array.from({ length: 100 }, (_, n) => `${n}`)
        for (const id of ids) yield* store.reserve(reservation(id, line("a", 5, 500)))
        const said = yield* Effect.forEach([1, 2], () => run(place, { job: "settle", ids }), {
          concurrency: "unbounded"
        })
        assert.strictEqual(said.reduce((sum, n) => sum + n, 0), 100, said.join())
        assert.deepStrictEqual(yield* balance(store, "a"), { used: 300, reserved: 0, unsettled: 0 })
      }), 120_000)

    it.live(
      "a process that is killed leaves each reservation whole: done, or pending and there to be settled",
      () =>
        Effect.gen(function*() {
          const place = yield* home.place
          const store = yield* open(place)
          const begun: Array<string> = []
          const done = new Map<string, string>()
          for (let round = 0; round < counted(3, 15); round++) {
            const worker = yield* begin({ place, job: { job: "churn", name: `${round}`, accounts: ["a", "b"] } })
            // At some step after so many.
            while ((worker.output.match(/begin/g)?.length ?? 0) < 10 + round % 5 * 17) {
              assert.isNull(worker.process.exitCode, worker.output)
              yield* Effect.sleep("1 millis")
            }
            yield* Effect.sleep(round)
            worker.process.kill("SIGKILL")
            yield* ended(worker)
            for (const said of worker.output.split("\n")) {
              const [what, id, outcome] = said.split(" ")
              if (what === "begin") begun.push(id!)
              // The last line may be cut.
              else if (outcome === "applied") done.set(id!, what!)
            }
          }
          const before = yield* Effect.all([balance(store, "a"), balance(store, "b")])
          assert.deepStrictEqual(before[0], before[1])
          const unsettled = yield* store.unsettled({ limit: 1_000 })
          assert.isAtMost(unsettled.length, 3 * counted(3, 15))
          // What is held is what somebody holds.
          assert.strictEqual(before[0].reserved, unsettled.length)
          assert.strictEqual(before[0].unsettled, unsettled.length)
          for (const { holds } of unsettled) assert.sameMembers(holds.map(({ account }) => account), ["a", "b"])

          // Whoever asks again gets the same answer, or the one that was due.
          let used = 0
          for (const id of begun) {
            const outcome = yield* store.settle(id, [1, 1])
            if (done.has(id)) assert.strictEqual(outcome, done.get(id) === "settled" ? "repeated" : "refused")
            if (unsettled.some((one) => one.id === id)) assert.strictEqual(outcome, "applied")
            if (outcome === "repeated" || outcome === "applied") used++
          }
          assert.deepStrictEqual(yield* Effect.all([balance(store, "a"), balance(store, "b")]), [
            { used, reserved: 0, unsettled: 0 },
            { used, reserved: 0, unsettled: 0 }
          ])
          assert.deepStrictEqual(yield* store.unsettled({ limit: 1 }), [])
        }),
      120_000
    )
  })
}
