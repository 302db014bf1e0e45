/**
 * Many tenants that ask the same of one cache: nobody ever gets the answer of another.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Attribution, Llm } from "effect-bulwark"
import { Cache } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { OpenAi, openai } from "../core/support/stack.ts"
import { seeded } from "./support/requests.ts"

const tenants = 50
const prompts = Number(process.env["BULWARK_TEST_PROMPTS"] ?? 20)
const reads = Number(process.env["BULWARK_TEST_READS"] ?? 8_000)

it.effect(`${tenants} tenants, ${prompts} prompts, ${reads} reads`, () =>
  Effect.gen(function*() {
    // The answer says whose it is. A model does not know that, but this one is told by who asks.
    let asking = ""
    const provider = ScriptedProvider.make(OpenAi, ({ prompt }) =>
      ScriptedProvider.text(`${asking} ${JSON.stringify(prompt.content[0]?.content)}`))
    const told = Llm.make({
      plan: openai.plan,
      open: (call) =>
        Effect.suspend(() => {
          asking = call.attribution.tenant ?? "nobody"
          return openai.open(call)
        })
    })
    const stacks = [
      told.pipe(Cache.through({ timeToLive: "1 hour" })),
      told.pipe(Cache.through({ timeToLive: "1 hour", scope: "user" }))
    ]
    // Names that could be taken for each other.
    const names = Array.from({ length: tenants }, (_, n) =>
      ["", "a", "aa", "a:a", "a\u0301", "\u00e1", "A", "null", "undefined", "0"][n] ?? `tenant ${n}`)
    const random = seeded(11)
    let hits = 0
    yield* Effect.gen(function*() {
      for (let n = 0; n < reads; n++) {
        const tenant = random.pick(names)
        const prompt = `prompt ${random.below(prompts)}`
        const user = random.pick(["", "a", "b"])
        const { receipt, text } = yield* Llm.generateText(random.pick(stacks), { prompt }).pipe(
          Attribution.annotate({ tenant, user })
        )
        if (!text.startsWith(`${tenant} [`) || !text.includes(`"${prompt}"`)) {
          assert.fail(`${tenant}, ${prompt}: ${text}`)
        }
        if (receipt.cache === "hit") {
          hits++
        }
      }
    }).pipe(
      Effect.provide([Cache.layerMemory({ maxEntries: tenants * prompts * 4 + 1, maxBytes: 2 ** 31 }), provider.layer])
    )
    assert.isAbove(hits, 0)
    assert.strictEqual(hits + provider.calls.length, reads)
    // Each pays for itself, once.
    assert.isAtMost(provider.calls.length, tenants * prompts * 4)
  }), 60_000 + reads * 5)
