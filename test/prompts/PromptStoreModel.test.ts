/**
 * Any sequence of steps, in every home, against a naive account of what should come of it.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { PromptStore } from "effect-bulwark/prompts"
import { alone, draft, type Home, open, shared, type Store } from "./support/homes.ts"

const sequences = Number(process.env["BULWARK_TEST_SEQUENCES"] ?? 10)

const Prompt = Schema.Literals(["a", "b"])
const Label = Schema.Literals(["production", "staging"])
const Number_ = Schema.Literals([1, 2, 3, 4])

const Step = Schema.Union([
  Schema.TaggedStruct("Publish", {
    name: Prompt,
    text: Schema.Literals(["x", "y", "z"]),
    version: Schema.UndefinedOr(Number_)
  }),
  Schema.TaggedStruct("Move", {
    name: Prompt,
    label: Label,
    version: Schema.UndefinedOr(Number_),
    from: Schema.Union([Schema.Undefined, Number_, Schema.Literal("nothing")])
  }),
  Schema.TaggedStruct("Rollback", { name: Prompt, label: Label }),
  Schema.TaggedStruct("Save", { name: Prompt, from: Schema.Literals([0, 1, 2]), document: Schema.Literals(["p", "q"]) })
])

type Move = { readonly name: string; readonly label: string } & Pick<PromptStore.LabelMove, "version" | "from">

type Step = typeof Step.Type | { readonly _tag: "Move" } & Move

/** What a prompt is: texts by number, labels, and all that ever happened to them. */
interface Model {
  readonly texts: Array<string>
  readonly labels: Map<string, number>
  readonly events: Array<readonly [string, number | undefined, number | undefined]>
  readonly documents: Array<string>
}

const apply = (model: Model, step: Step): string => {
  switch (step._tag) {
    case "Publish": {
      const { texts } = model
      if (step.version === undefined) {
        if (texts.at(-1) === step.text) return `version ${texts.length}`
        return `version ${texts.push(step.text)}`
      }
      if (step.version <= texts.length) {
        return texts[step.version - 1] === step.text ? `version ${step.version}` : "PromptConflict"
      }
      return step.version === texts.length + 1 ? `version ${texts.push(step.text)}` : "PromptConflict"
    }
    case "Move": {
      const current = model.labels.get(step.label)
      if (current === step.version) return `at ${current}`
      if (step.from !== undefined && (step.from === "nothing" ? undefined : step.from) !== current) {
        return "PromptConflict"
      }
      if (step.version !== undefined && step.version > model.texts.length) return "PromptRefused"
      model.events.push([step.label, current, step.version])
      if (step.version === undefined) model.labels.delete(step.label)
      else model.labels.set(step.label, step.version)
      return `at ${step.version}`
    }
    case "Rollback": {
      const last = model.events.findLast(([label]) => label === step.label)
      return last === undefined
        ? "nothing"
        : apply(model, {
          _tag: "Move",
          name: step.name,
          label: step.label,
          version: last[1],
          from: last[2] ?? "nothing"
        })
    }
    case "Save":
      if (model.documents.length !== step.from) return "PromptConflict"
      return `revision ${model.documents.push(step.document)}`
  }
}

const run = (store: Store, step: Step): Effect.Effect<string> => {
  const said = <A>(effect: Effect.Effect<A, { readonly _tag: string }>, show: (answer: A) => string) =>
    Effect.match(effect, { onSuccess: show, onFailure: ({ _tag }) => _tag })
  switch (step._tag) {
    case "Publish":
      return said(
        store.publish(draft(step.name, step.text, step.version === undefined ? {} : { version: step.version })),
        ({ version }) => `version ${version}`
      )
    case "Move":
      return said(store.label(step), ({ version }) => `at ${version}`)
    case "Rollback":
      return said(
        Effect.flatMap(store.history(step.name), (events) => {
          const last = events.findLast(({ label }) => label === step.label)
          return last === undefined
            ? Effect.succeed("nothing")
            : run(store, {
              _tag: "Move",
              name: step.name,
              label: step.label,
              version: last.from,
              from: last.version ?? "nothing"
            })
        }),
        (answer) => answer
      )
    case "Save":
      return said(store.saveExperiment({ ...step, id: "x" }), ({ revision }) => `revision ${revision}`)
  }
}

const isEmpty = ({ documents, texts }: Model) => documents.length === 0 && texts.length === 0

const property = (home: Home) => {
  const share = home.name === "memory" ? 4 : 1
  it.effect.prop(
    `does what it should, whatever is asked: ${home.name}`,
    { steps: Schema.Array(Step).check(Schema.isMaxLength(24)) },
    ({ steps }) =>
      Effect.gen(function*() {
        const store = yield* Effect.flatMap(home.place, open)
        const models = new Map<string, Model>()
        for (const step of steps) {
          const model = models.get(step.name) ?? { texts: [], labels: new Map(), events: [], documents: [] }
          models.set(step.name, model)
          const before = (yield* store.snapshot).revision
          const state = JSON.stringify([model.texts, model.events, model.documents])
          assert.strictEqual(yield* run(store, step), apply(model, step), JSON.stringify(step))
          const changed = state !== JSON.stringify([model.texts, model.events, model.documents])
          assert.strictEqual((yield* store.snapshot).revision !== before, changed, JSON.stringify(step))
        }
        const { problems, prompts } = yield* store.snapshot
        assert.deepStrictEqual(problems, [])
        const there = [...models].filter(([, model]) => !isEmpty(model)).map(([name]) => name)
        assert.deepStrictEqual([...prompts.keys()], there.toSorted())
        for (const [name, model] of models) {
          const texts = (yield* store.versions(name)).map(({ content }) => content.messages[0].template)
          assert.deepStrictEqual(texts, model.texts)
          const events = yield* store.history(name)
          assert.deepStrictEqual(
            events.map(({ from, label, version }) => [label, from, version] as const),
            model.events
          )
          assert.deepStrictEqual(events.map(({ sequence }) => sequence), model.events.map((_, n) => n + 1))
          const records = yield* store.experimentHistory(name, "x")
          assert.deepStrictEqual(records.map(({ document }) => document), model.documents)
          const entry = prompts.get(name)
          assert.deepStrictEqual([...entry?.versions.keys() ?? []], model.texts.map((_, n) => n + 1))
          assert.deepStrictEqual(Object.fromEntries(entry?.labels ?? []), Object.fromEntries(model.labels))
          assert.strictEqual(entry?.experiments.get("x")?.revision ?? 0, model.documents.length)
        }
      }),
    { arbitrary: { runs: sequences * share }, timeout: 600_000 }
  )
}

for (const home of [...alone, ...shared]) home.describe(`a prompt store as a model: ${home.name}`, () => property(home))
