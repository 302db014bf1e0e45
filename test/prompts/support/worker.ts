/**
 * One process of several that share prompt stores. What it is to do comes as lines of JSON, one job after the other; what came of each goes
 * to the standard output.
 */
import { PromptStore } from "effect-bulwark/prompts"
import * as Effect from "effect/Effect"
import { writeSync } from "node:fs"
import { createInterface } from "node:readline"
import { layerOf, type Place } from "./places.ts"

export type Job =
  /** Publishes so many versions, and says their numbers. */
  | { readonly job: "publish"; readonly who: string; readonly count: number }
  /** Takes the label from version to version until the last one, each time only from where it saw it, and says which moves it made. */
  | { readonly job: "move"; readonly who: string; readonly last: number }
  /** Publishes, and moves the label to what it has published, until it is killed; says each when it is done. */
  | { readonly job: "rollout"; readonly who: string }

export interface Task {
  readonly place: Place
  readonly job: Job
}

// Whole, before anything else happens: the process may be killed.
const say = (line: string) => Effect.sync(() => void writeSync(1, `${line}\n`))

const draft = (text: string) => ({ name: "a", content: { messages: [{ role: "user", template: text }] as const } })

const work = (job: Job) =>
  Effect.gen(function*() {
    const store = yield* PromptStore.PromptStore
    switch (job.job) {
      case "publish": {
        const numbers = yield* Effect.forEach(
          Array.from({ length: job.count }, (_, n) => n),
          (n) => Effect.map(store.publish(draft(`${job.who} ${n}`)), ({ version }) => version),
          { concurrency: 3 }
        )
        return yield* say(`done ${JSON.stringify(numbers)}`)
      }
      case "move": {
        const made: Array<number> = []
        for (;;) {
          const from = (yield* store.snapshot).prompts.get("a")!.labels.get("production")!
          if (from === job.last) return yield* say(`done ${JSON.stringify(made)}`)
          const version = from + 1
          const moved = yield* Effect.result(
            store.label({ name: "a", label: "production", version, from, by: job.who })
          )
          // A move that somebody else has made is not ours.
          if (moved._tag === "Success" && moved.success.by === job.who) made.push(version)
          else if (moved._tag === "Failure" && moved.failure._tag !== "PromptConflict") return yield* moved.failure
        }
      }
      case "rollout":
        for (let n = 0;; n++) {
          const { version } = yield* store.publish(draft(`${job.who} ${n}`))
          yield* say(`published ${version}`)
          const { sequence } = yield* store.label({ name: "a", label: "production", version })
          yield* say(`labelled ${sequence} ${version}`)
        }
    }
  })

for await (const line of createInterface({ input: process.stdin })) {
  const { job, place }: Task = JSON.parse(line)
  await Effect.runPromise(Effect.provide(work(job), layerOf(place)))
}
