/**
 * What a prompt costs a call: finding its version among many and rendering it, beside what applications do without a registry (a template
 * string) and with a client that caches what it fetches for a while (a Map with a time to live, and a replacement of `{{name}}` in the
 * manner of mustache).
 */
import { Effect, Fiber, Layer, Result, Schema } from "effect"
import { PromptRegistry, PromptStore, PromptTemplate } from "effect-bulwark/prompts"
import { Serving } from "../../src/prompts/internal/registrySnapshot.ts"
import { micros as figure, processorMicros, table, times, whole } from "./measure.ts"

const many = times(10_000)
const rounds = 9

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

let sink = 0

const rows: Array<ReadonlyArray<string>> = []

/** Microseconds of processor time that one run takes, the median of rounds. */
const measure = (name: string, runs: number, run: (n: number) => number): void => {
  const perRound = Math.ceil(times(runs) / rounds)
  for (let n = 0; n < perRound; n++) sink += run(n)
  const micros = median(Array.from({ length: rounds }, () => {
    const began = processorMicros()
    for (let n = 0; n < perRound; n++) sink += run(n)
    return (processorMicros() - began) / perRound
  }))
  rows.push([name, figure(micros)])
}

const variables = Schema.Struct({
  document: Schema.String,
  language: Schema.String,
  words: Schema.optionalKey(Schema.Int)
})
const system = "You summarize documents in {{ language }}{% if words %}, in at most {{ words }} words{% endif %}."
const user = "<document>\n{{ document }}\n</document>\nSummarize it."

const prompts = Array.from({ length: many }, (_, n) => PromptRegistry.define(`prompt-${n}`, { variables }))
const documents = Array.from({ length: 64 }, (_, n) => `${n} ${"Lorem ipsum dolor sit amet. ".repeat(80)}`)
const given = (n: number) => ({ document: documents[n % 64]!, language: "German", words: 100 })

const filled = Layer.effect(
  PromptStore.PromptStore,
  Effect.tap(PromptStore.PromptStore, (store) =>
    Effect.forEach(prompts, ({ name }) =>
      Effect.gen(function*() {
        const messages = [{ role: "system", template: `${name}: ${system}` }, { role: "user", template: user }] as const
        const { version } = yield* store.publish({ name, content: { messages } })
        yield* store.label({ name, label: "production", version })
      }), { discard: true }))
).pipe(Layer.provide(PromptStore.layerMemory))

const layer = PromptRegistry.layer().pipe(Layer.provideMerge(filled))

/** A client as many have: prompts by name, each for a minute, and texts in the place of names. */
const cached = new Map<
  string,
  { readonly until: number; readonly messages: ReadonlyArray<{ role: string; template: string }> }
>()
for (const { name } of prompts) {
  const messages = [
    { role: "system", template: "You summarize documents in {{language}}, in at most {{words}} words." },
    { role: "user", template: "<document>\n{{document}}\n</document>\nSummarize it." }
  ]
  cached.set(name, { until: Date.now() + 3_600_000, messages })
}
const replaced = (name: string, variables: { readonly [name: string]: unknown }) => {
  const found = cached.get(name)
  if (found === undefined || found.until < Date.now()) throw new Error("it would be fetched")
  return found.messages.map(({ role, template }) => ({
    role,
    content: template.replaceAll(/\{\{\s*(\w+)\s*\}\}/g, (_, key: string) => String(variables[key] ?? ""))
  }))
}

const main = Effect.gen(function*() {
  const store = yield* PromptStore.PromptStore
  const { prompts: registry } = yield* PromptRegistry.PromptRegistry
  const snapshot = yield* store.snapshot
  const timed = (name: string, effect: Effect.Effect<unknown, unknown>) =>
    Effect.gen(function*() {
      const began = processorMicros()
      yield* effect
      rows.push([name, whole(processorMicros() - began)])
    })
  const serving = yield* Effect.sync(() => registry.serving)
  yield* timed(`${whole(many)} prompts are parsed`, Serving.build(snapshot, undefined, 0, serving.bounds))
  yield* timed(
    "a label has moved: a new snapshot takes over the rest",
    Serving.build(snapshot, serving, 0, serving.bounds)
  )

  const fiber = Fiber.getCurrent()!
  const context = yield* Effect.context<PromptRegistry.PromptRegistry>()
  const run = Effect.runSyncWith(context)
  const template = Result.getOrThrow(PromptTemplate.parse(user))
  const pick = (n: number) => prompts[(n * 7_919) % many]!

  measure("a template string", 500_000, (n) => {
    const { document, language, words } = given(n)
    return `You summarize documents in ${language}, in at most ${words} words.`.length +
      `<document>\n${document}\n</document>\nSummarize it.`.length
  })
  measure(
    "a cached fetch: a `Map` by name, and replacement of `{{name}}`",
    200_000,
    (n) => replaced(pick(n).name, given(n))[1]!.content.length
  )
  measure(
    "`PromptRegistry.resolve`: the version of a name",
    200_000,
    (n) => run(PromptRegistry.resolve(pick(n))).version
  )
  measure(
    "one template rendered, as it is",
    100_000,
    (n) => Result.getOrThrow(PromptTemplate.render(template, given(n))).length
  )
  measure("chosen, checked and rendered, without Effect", 100_000, (n) => {
    const rendered = registry.render(pick(n).defined, { labels: ["production"] }, given(n), fiber, false)
    return Result.getOrThrow(rendered).prompt.content.length
  })
  measure(
    "`PromptRegistry.render`, a different prompt each time",
    100_000,
    (n) => run(PromptRegistry.render(pick(n), given(n))).prompt.content.length
  )
  measure(
    "`PromptRegistry.render`, always the same prompt",
    100_000,
    (n) => run(PromptRegistry.render(prompts[0]!, given(n))).prompt.content.length
  )
  if (sink === 0) return yield* Effect.die("nothing was done")
}).pipe(Effect.provide(layer))

/** What a prompt costs, of some thousands. */
export const promptsTable = async (): Promise<string> => {
  await Effect.runPromise(main)
  return table([`One of ${whole(many)} prompts`, "µs of the processor"], rows)
}

if (import.meta.main) process.stdout.write(`${await promptsTable()}\n`)
