/**
 * A prompt store that processes share, some of which are killed.
 */
import { afterAll, assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { draft, open, shared } from "./support/homes.ts"
import type { Place } from "./support/places.ts"
import type { Job, Task } from "./support/worker.ts"

/** How often a process is killed: each has to begin first, which takes most of the time. */
const rounds = Number(process.env["BULWARK_TEST_ROUNDS"] ?? 1)

class Worker {
  readonly child: ChildProcess
  output = ""

  constructor() {
    const script = fileURLToPath(new URL("./support/worker.ts", import.meta.url))
    this.child = spawn(process.execPath, ["--conditions=effect-bulwark/source", script], { stdio: "pipe" })
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        this.output += chunk
      })
    }
    // Whoever is killed does not read.
    this.child.stdin!.on("error", () => {})
  }

  begin(place: Place, job: Job): void {
    this.output = ""
    const task: Task = { place, job }
    this.child.stdin!.write(`${JSON.stringify(task)}\n`)
  }

  /** What a job that ends has come to. */
  run(place: Place, job: Job): Effect.Effect<ReadonlyArray<number>> {
    return Effect.gen({ self: this }, function*() {
      this.begin(place, job)
      for (;;) {
        const done = /^done (.*)\n/m.exec(this.output)
        if (done !== null) return JSON.parse(done[1]!)
        assert.isNull(this.child.exitCode, this.output)
        yield* Effect.sleep("2 millis")
      }
    })
  }

  readonly kill = Effect.callback<void>((resume) => {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return resume(Effect.void)
    this.child.once("close", () => resume(Effect.void))
    this.child.kill("SIGKILL")
  })
}

/** Processes that have nothing to do. */
const idle: Array<Worker> = []
const take = Effect.acquireRelease(
  Effect.sync(() => idle.pop() ?? new Worker()),
  (worker) => Effect.sync(() => void (worker.child.killed || idle.push(worker)))
)
afterAll(() => Effect.runPromise(Effect.forEach(idle, ({ kill }) => kill)))

const both = (place: Place, job: (who: string) => Job): Effect.Effect<ReadonlyArray<ReadonlyArray<number>>> =>
  Effect.scoped(Effect.gen(function*() {
    const workers = [yield* take, yield* take]
    return yield* Effect.forEach(["ada", "bob"], (who, n) => workers[n]!.run(place, job(who)), { concurrency: 2 })
  }))

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => n + from)

const ascending = (numbers: ReadonlyArray<number>) => numbers.toSorted((one, other) => one - other)

for (const home of shared) {
  home.describe(`processes that share a prompt store: ${home.name}`, () => {
    it.live("publish versions with numbers of their own, without a gap", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const store = yield* open(place)
        const numbers = yield* both(place, (who) => ({ job: "publish", who, count: 15 }))
        assert.deepStrictEqual(ascending(numbers.flat()), range(1, 30))
        const versions = yield* store.versions("a")
        assert.deepStrictEqual(versions.map(({ version }) => version), range(1, 30))
        assert.strictEqual(new Set(versions.map(({ hash }) => hash)).size, 30)
      }), 120_000)

    it.live("hear of what others do", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const [one, other] = [
          yield* open(place, { pollEvery: "10 millis" }),
          yield* open(place, { pollEvery: "10 millis" })
        ]
        yield* one.publish(draft("a", "one"))
        const seen: Array<number | undefined> = []
        yield* Effect.forkScoped(Stream.runForEach(other.changes, () =>
          Effect.map(other.snapshot, ({ prompts }) => {
            seen.push(prompts.get("a")?.labels.get("production"))
          })))
        const until = (version: number | undefined) =>
          Effect.repeat(Effect.sleep("5 millis"), { until: () => seen.length > 0 && seen.at(-1) === version })
        yield* until(undefined)
        yield* one.label({ name: "a", label: "production", version: 1 })
        yield* until(1)
      }), 60_000)

    it.live("of two that move a label from one place, one does", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const store = yield* open(place)
        for (const n of range(1, 31)) yield* store.publish(draft("a", `text ${n}`))
        yield* store.label({ name: "a", label: "production", version: 1 })
        const made = yield* both(place, (who) => ({ job: "move", who, last: 31 }))
        assert.deepStrictEqual(ascending(made.flat()), range(2, 31))
        const history = yield* store.history("a")
        assert.deepStrictEqual(
          history.map(({ sequence, version }) => [sequence, version]),
          range(1, 31).map((n) => [n, n])
        )
        assert.deepStrictEqual(history.slice(1).map(({ from }) => from), range(1, 30))
        for (const [n, who] of ["ada", "bob"].entries()) {
          assert.deepStrictEqual(
            history.filter(({ by }) => by === who).map(({ version }) => version),
            [...made[n]!]
          )
        }
      }), 120_000)
  })
}

// At the end, when the processes are not needed any more. A store over another is killed as its upper one is.
for (const home of shared) {
  if (home.name === "SQLite over files" && process.env["BULWARK_TEST_ROUNDS"] === undefined) continue
  home.describe(`processes that share a prompt store: ${home.name}`, () => {
    it.live("that are killed leave nothing half done", () =>
      Effect.gen(function*() {
        const place = yield* home.place
        const store = yield* open(place)
        const said: Array<string> = []
        for (let round = 0; round < rounds; round++) {
          const worker = yield* take
          worker.begin(place, { job: "rollout", who: `${round}` })
          // At some step after so many: behind a version, or behind a label, or in the midst of either.
          while ((worker.output.match(/published/g)?.length ?? 0) < 3 + round * 5) {
            assert.isNull(worker.child.exitCode, worker.output)
            yield* Effect.sleep("1 millis")
          }
          yield* Effect.sleep(round)
          yield* worker.kill
          // The last line may be cut.
          said.push(...worker.output.split("\n").slice(0, -1))
        }
        const { problems, prompts } = yield* store.snapshot
        assert.deepStrictEqual(problems, [])
        const { labels, versions } = prompts.get("a")!
        assert.deepStrictEqual([...versions.keys()], range(1, versions.size))
        const history = yield* store.history("a")
        assert.deepStrictEqual(history.map(({ sequence }) => sequence), range(1, history.length))
        for (const [n, { from, version }] of history.entries()) {
          assert.strictEqual(from, history[n - 1]?.version)
          assert.isTrue(versions.has(version!))
        }
        assert.strictEqual(labels.get("production"), history.at(-1)!.version)
        // What was acknowledged is there; and at most one more of each a round.
        const published = said.filter((line) => line.startsWith("published"))
        const labelled = said.filter((line) => line.startsWith("labelled"))
        for (const line of published) assert.isTrue(versions.has(Number(line.split(" ")[1])), line)
        for (const line of labelled) {
          const [, sequence, version] = line.split(" ").map(Number)
          assert.strictEqual(history[sequence! - 1]?.version, version)
        }
        assert.isAtMost(versions.size - published.length, rounds)
        assert.isAtMost(history.length - labelled.length, rounds)
        // And it goes on.
        const { version } = yield* store.publish(draft("a", "afterwards"))
        assert.strictEqual(version, versions.size + 1)
        assert.strictEqual(
          (yield* store.label({ name: "a", label: "production", version })).sequence,
          history.length + 1
        )
      }), 120_000)
  })
}
