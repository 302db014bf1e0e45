/**
 * Who gets which variant, over many subjects. `BULWARK_TEST_SUBJECTS` says how many (default: 20,000).
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Experiment, type PromptStore } from "effect-bulwark/prompts"
import { Traffic } from "../../src/prompts/internal/experimentTraffic.ts"

const subjects = Number(process.env["BULWARK_TEST_SUBJECTS"] ?? 20_000)

type Weights = { readonly [variant: string]: number }

const experiment = (
  id: string,
  weights: ReadonlyArray<Weights>,
  more: Partial<Experiment.Experiment> = {}
): Experiment.Experiment => {
  const [control, ...others] = Object.keys(weights[0]!).map((name, index) => ({ name, version: index + 1 }))
  const [first, ...steps] = weights.map((weights, at) => ({ at, weights }))
  return {
    prompt: "summarize",
    id,
    label: "production",
    base: 1,
    by: "user",
    variants: [control!, ...others],
    steps: [first!, ...steps],
    guardRails: [],
    startedAt: 0,
    ...more
  }
}

/** What a registry would choose. */
const chooser = (...experiments: ReadonlyArray<Experiment.Experiment>) => {
  const prompts = new Map<string, PromptStore.Entry>()
  for (const document of experiments) {
    const { id, prompt } = document
    const entry = prompts.get(prompt) ??
      { name: prompt, versions: new Map(), labels: new Map([["production", 1]]), experiments: new Map() }
    const record = { name: prompt, id, revision: 1, document: document as unknown as Schema.Json, at: 0 }
    prompts.set(prompt, { ...entry, experiments: new Map([...entry.experiments, [id, record]]) })
  }
  const traffic = new Traffic({ revision: "1", prompts, problems: [], staleSince: undefined })
  assert.deepStrictEqual(traffic.faults, [])
  return (user: string, at = 0, prompt = "summarize") => {
    const moment = { now: () => at, halted: () => false }
    const choice = traffic.choose(prompts.get(prompt)!, "production", { user }, moment)
    return choice === undefined ? undefined : `${choice.experiment.id}/${choice.variant.name}`
  }
}

const users = function*() {
  for (let index = 0; index < subjects; index++) yield `user-${index}`
}

/** A count may be so far from what is expected: five standard deviations, which is one run in two million. */
const near = (count: number, of: number, share: number) =>
  assert.approximately(count, of * share, 5 * Math.sqrt(of * share * (1 - share)) + of * 1e-6)

describe("variants", () => {
  it("have the shares that they should, and each subject the same one always", () => {
    const weights = { control: 60, a: 29.5, b: 10, c: 0.5 }
    const [one, other] = [chooser(experiment("shares", [weights])), chooser(experiment("shares", [weights]))]
    const counts: Record<string, number> = {}
    for (const user of users()) {
      const variant = one(user)!
      counts[variant] = (counts[variant] ?? 0) + 1
      if (variant !== other(user)) assert.fail(user)
    }
    for (const [variant, weight] of Object.entries(weights)) {
      near(counts[`shares/${variant}`]!, subjects, weight / 100)
    }
  })

  it("of some subjects are these, in all versions of the library", () => {
    const variantOf = Experiment.assign(experiment("pinned", [{ control: 50, a: 30, b: 20 }]))
    assert.deepStrictEqual(
      ["ada", "grace", "alan", "edsger", "barbara", "日本", ""].map((user) => variantOf({ user }, 0)),
      ["control", "b", "a", "a", "b", "control", "control"]
    )
  })

  it("of two experiments are independent", () => {
    const [one, other] = [
      chooser(experiment("one", [{ control: 80, a: 20 }])),
      chooser(experiment("other", [{ control: 70, a: 30 }]))
    ]
    const counts = { neither: 0, one: 0, other: 0, both: 0 }
    for (const user of users()) {
      const [first, second] = [one(user) === "one/a", other(user) === "other/a"]
      counts[first ? second ? "both" : "one" : second ? "other" : "neither"]++
    }
    near(counts.both, subjects, 0.06)
    near(counts.one, subjects, 0.14)
    near(counts.other, subjects, 0.24)
    near(counts.neither, subjects, 0.56)
  })

  it("are those of who the call is for, and of nobody else", () => {
    const by = (by: Experiment.Subject) => Experiment.assign(experiment("by", [{ control: 0, a: 100 }], { by }))
    assert.strictEqual(by("user")({ tenant: "acme" }, 0), undefined)
    assert.strictEqual(by("tenant")({ tenant: "acme" }, 0), "a")
    assert.strictEqual(by({ tag: "session" })({ tags: { session: "s" } }, 0), "a")
    assert.strictEqual(by({ tag: "session" })({ user: "ada" }, 0), undefined)
    assert.strictEqual(by({ tag: "toString" })({ tags: {} }, 0), undefined)
  })
})

describe("groups", () => {
  it("never have a subject in two experiments", () => {
    const group = (from: number, to: number) => ({ group: { name: "checkout", from, to } })
    const half = [{ control: 50, a: 50 }]
    const choose = chooser(
      experiment("first", half, group(0, 30)),
      experiment("second", half, group(30, 50)),
      experiment("third", half, { ...group(50, 100), prompt: "translate" })
    )
    const counts: Record<string, number> = {}
    for (const user of users()) {
      const parts = [choose(user), choose(user, 0, "translate")].filter((part) => part !== undefined)
      if (parts.length !== 1) assert.fail(`${user} is in ${parts.length}`)
      counts[parts[0]!] = (counts[parts[0]!] ?? 0) + 1
    }
    for (const [name, share] of [["first", 0.3], ["second", 0.2], ["third", 0.5]] as const) {
      near(counts[`${name}/control`]!, subjects, share / 2)
      near(counts[`${name}/a`]!, subjects, share / 2)
    }
  })

  it("give what two want to the one that began earlier", () => {
    const whole = { group: { name: "checkout", from: 0, to: 60 } }
    const rest = { group: { name: "checkout", from: 40, to: 100 } }
    const half = [{ control: 50, a: 50 }]
    const choose = chooser(
      experiment("late", half, { ...whole, startedAt: 2 }),
      experiment("early", half, { ...rest, prompt: "translate", startedAt: 1 })
    )
    let both = 0
    let late = 0
    for (const user of users()) {
      const mine = choose(user)
      if (mine !== undefined) late++
      if (mine !== undefined && choose(user, 0, "translate") !== undefined) both++
    }
    assert.strictEqual(both, 0)
    near(late, subjects, 0.4)
  })
})

const Shares = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))).check(
  Schema.isMinLength(4),
  Schema.isMaxLength(4)
)

/** Weights that are 100 together, from any four numbers. */
const weightsOf = ([a = 0, b = 0, c = 0, d = 0]: ReadonlyArray<number>): Weights => {
  const sum = a + b + c + d + 1
  const [first, second, third] = [a, b, c].map((share) => Math.floor(share / sum * 10_000) / 100)
  const control = Math.round((100 - first! - second! - third!) * 100) / 100
  return { control, a: first!, b: second!, c: third! }
}

describe("ramps", () => {
  it.prop(
    "move nobody out of a variant that does not shrink, nor into one that does not grow",
    { shares: Schema.Array(Shares).check(Schema.isMinLength(2), Schema.isMaxLength(6)) },
    ({ shares }) => {
      const weights = shares.map(weightsOf)
      const variantOf = Experiment.assign(experiment("ramp", weights))
      for (let subject = 0; subject < 100; subject++) {
        const user = `user-${subject}`
        for (let step = 1; step < weights.length; step++) {
          const [before, after] = [variantOf({ user }, step - 1)!, variantOf({ user }, step)!]
          if (before === after) continue
          assert.isBelow(weights[step]![before]!, weights[step - 1]![before]!, `${user} left ${before}`)
          assert.isAbove(weights[step]![after]!, weights[step - 1]![after]!, `${user} came to ${after}`)
        }
      }
    },
    { arbitrary: { runs: 20 } }
  )

  it("move as many as they must", () => {
    const choose = chooser(experiment("ramp", [{ control: 90, a: 5, b: 5 }, { control: 60, a: 30, b: 10 }]))
    let moved = 0
    for (const user of users()) if (choose(user, 0) !== choose(user, 1)) moved++
    near(moved, subjects, 0.3)
  })

  it("go by the clock, there and back", () => {
    const variantOf = Experiment.assign(experiment("ramp", [{ control: 100, a: 0 }, { control: 0, a: 100 }]))
    assert.deepStrictEqual([-5, 0, 1, 9, 0].map((at) => variantOf({ user: "ada" }, at)), [
      "control",
      "control",
      "a",
      "a",
      "control"
    ])
  })
})
