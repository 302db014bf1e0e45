/**
 * The providers' list prices, against the package that carries them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Package from "@pydantic/genai-prices"
import { BigDecimal, Cause, Effect, Exit, Layer, Option } from "effect"
import { Money, type Usage } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { TestClock } from "effect/testing"
import * as models from "gpt-tokenizer/models.gen"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { load, published, readPrice } from "../../src/budget/internal/pricingCatalogue.ts"
import { facts } from "../../src/budget/internal/pricingFacts.ts"
import { AnyUsage, usage } from "./support/money.ts"

const main = [
  "openai",
  "anthropic",
  "google",
  "azure",
  "aws",
  "deepseek",
  "mistral",
  "groq",
  "x-ai",
  "perplexity",
  "together"
]
const now = Date.parse("2026-11-21T12:00:00Z")
const usd = (rate: BigDecimal.BigDecimal | undefined) => rate === undefined ? undefined : BigDecimal.format(rate)

const provider = (id: string): Package.Provider => {
  const found = Package.findProvider({ providerId: id })
  assert.strictEqual(found?.id, id)
  return found!
}

/** A name that the package takes for this very model. */
const nameOf = (id: string, model: Package.ModelInfo): string | undefined => {
  const matched = JSON.stringify(model.match).matchAll(/"(?:equals|starts_with)":"([^"]+)"/g)
  return [model.id, ...Array.from(matched, ([, name = ""]) => name)].find((name) =>
    Package.calcPrice({}, name, { providerId: id })?.model.id === model.id
  )
}

const priced = main.flatMap((id) =>
  provider(id).models.flatMap((model) => {
    const name = nameOf(id, model)
    const prices = Array.isArray(model.prices) ? model.prices.map((one) => one.prices) : [model.prices]
    const hasTokens = prices.every((one) => one["input_mtok"] !== undefined)
    return name === undefined || !hasTokens
      ? []
      : [{ provider: id, model: name, writes: prices.every((one) => one["output_mtok"] !== undefined) }]
  })
)

/** Our buckets in the package's words, where totals include their parts. */
const packageUsage = (used: Usage.Usage) => ({
  input_tokens: used.inputUncached + used.inputCacheRead + used.inputCacheWrite + (used.inputCacheWrite1h ?? 0),
  cache_read_tokens: used.inputCacheRead,
  cache_write_tokens: used.inputCacheWrite + (used.inputCacheWrite1h ?? 0),
  cache_write_1h_tokens: used.inputCacheWrite1h ?? 0,
  output_tokens: used.outputText + used.outputReasoning,
  output_reasoning_tokens: used.outputReasoning
})

const catalogue = Effect.provide(Pricing.layer())

interface ListedModel {
  readonly name?: string
  readonly max_output_tokens?: number
  readonly supported_endpoints?: ReadonlyArray<string>
}

describe("the catalogue", () => {
  it("is worth comparing with", () => {
    for (const id of main) assert.isAbove(priced.filter((one) => one.provider === id).length, 3, id)
    assert.isAbove(priced.length, 300)
  })

  it("of the main providers can be read as a whole", () => {
    let read = 0
    for (const id of ["openai", "anthropic", "google"]) {
      for (const model of provider(id).models) {
        for (const { prices } of Array.isArray(model.prices) ? model.prices : [{ prices: model.prices }]) {
          const tokens = prices["input_mtok"] !== undefined
          assert.strictEqual(Option.isSome(readPrice(prices)), tokens, `${id}/${model.id}`)
          if (tokens) read++
        }
      }
    }
    assert.isAbove(read, 150)
  })

  it.effect.prop(
    "charges what the package charges, of every model and for any usage",
    [AnyUsage],
    ([used]) =>
      Effect.gen(function*() {
        for (const { model, provider, writes } of priced) {
          const asked = writes ? used : { ...used, outputText: 0, outputReasoning: 0 }
          const theirs = Package.calcPrice(packageUsage(asked), model, {
            providerId: provider,
            timestamp: new Date(now)
          })
          const ours = yield* Pricing.cost({ provider, model, at: now }, asked)
          // Half a micro-dollar is the rounding, the rest their floats.
          const dollars = theirs?.total_price ?? Number.NaN
          assert.isAtMost(
            Math.abs(ours - dollars * 1e6),
            0.5 + dollars * 1e-6,
            `${provider}/${model} ${JSON.stringify(asked)}`
          )
        }
      }).pipe(catalogue),
    { arbitrary: { runs: 40 }, timeout: 60_000 }
  )

  it.effect("charges reasoning and thoughts as output, and cached input as what it is", () =>
    Effect.gen(function*() {
      const cost = (provider: string, model: string, buckets: Partial<Usage.Usage>) =>
        Pricing.cost({ provider, model, at: now }, usage(buckets))
      const million = 1_000_000
      assert.strictEqual(yield* cost("openai", "gpt-5-mini", { outputReasoning: million }), Money.usd(2))
      assert.strictEqual(yield* cost("openai", "gpt-5-mini", { inputCacheRead: million }), Money.usd("0.025"))
      assert.strictEqual(yield* cost("google", "gemini-3.5-flash", { outputReasoning: million }), Money.usd(9))
      assert.strictEqual(yield* cost("anthropic", "claude-haiku-4-5", { inputCacheWrite: million }), Money.usd("1.25"))
      assert.strictEqual(yield* cost("anthropic", "claude-haiku-4-5", { inputCacheWrite1h: million }), Money.usd(2))
      assert.strictEqual(yield* cost("anthropic", "claude-haiku-4-5", { inputCacheRead: million }), Money.usd("0.1"))
      // Of 272,000 tokens and more, the whole request costs more.
      assert.strictEqual(yield* cost("openai", "gpt-5.5", { inputCacheRead: 271_999 }), 136_000)
      assert.strictEqual(yield* cost("openai", "gpt-5.5", { inputCacheRead: 272_000, outputText: 1_000 }), 317_000)
      assert.strictEqual(yield* cost("perplexity", "sonar", {}), Money.usd("0.012"))
    }).pipe(catalogue))

  it.effect("says how large a model is, and how old that is", () =>
    Effect.gen(function*() {
      const entry = yield* Pricing.lookup({ provider: "anthropic", model: "claude-haiku-4-5-20251001" })
      assert.deepStrictEqual({ ...entry, price: undefined, batch: undefined }, {
        provider: "anthropic",
        model: "claude-haiku-4-5-20251001",
        id: "claude-haiku-4-5",
        contextWindow: 200_000,
        maxOutput: 64_000,
        price: undefined,
        batch: undefined,
        sources: [
          { name: "@pydantic/genai-prices", version: "0.1.8", asOf: "2026-09-23" },
          { name: "https://platform.claude.com/docs/en/models", asOf: "2026-11-21" },
          { name: "https://platform.claude.com/docs/en/build-with-claude/batch-processing", asOf: "2026-11-21" }
        ]
      })
      assert.deepStrictEqual(
        [entry.price.rates, entry.batch?.rates].map((rates) =>
          rates && [rates.input, rates.cacheRead, rates.cacheWrite, rates.cacheWrite1h, rates.output].map(usd)
        ),
        [["1", "0.1", "1.25", "2", "5"], ["0.5", "0.05", "0.625", "1", "2.5"]]
      )
      const other = yield* Pricing.lookup({ provider: "openai", model: "gpt-4o" })
      assert.deepStrictEqual([other.maxOutput, other.batch, other.sources.length], [undefined, undefined, 1])
    }).pipe(catalogue))

  it.effect("knows that a batch at Google has no discount for what is cached", () =>
    Effect.gen(function*() {
      const { batch } = yield* Pricing.lookup({ provider: "gemini", model: "gemini-3.5-flash" })
      assert.deepStrictEqual([batch?.rates.input, batch?.rates.cacheRead, batch?.rates.output].map(usd), [
        "0.75",
        "0.15",
        "4.5"
      ])
    }).pipe(catalogue))

  it.effect("changes prices at their time, to the millisecond", () =>
    Effect.gen(function*() {
      const input = (provider: string, model: string, at?: string | number) =>
        Effect.map(
          Pricing.lookup({ provider, model, at: at === undefined ? undefined : new Date(at).getTime() }),
          ({ price }) => usd(price.rates.input)
        )
      const newYear = Date.parse("2027-01-01T00:00:00Z")
      assert.strictEqual(yield* input("google", "gemini-3.8-flash", newYear - 1), "0.75")
      assert.strictEqual(yield* input("google", "gemini-3.8-flash", newYear), "1.5")
      yield* TestClock.setTime(newYear - 1)
      assert.strictEqual(yield* input("google", "gemini-3.8-flash"), "0.75")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* input("google", "gemini-3.8-flash"), "1.5")
      // By day and by night, too.
      assert.strictEqual(yield* input("deepseek", "deepseek-v4-pro", "2026-11-21T00:59:59.999Z"), "0.66")
      assert.strictEqual(yield* input("deepseek", "deepseek-v4-pro", "2026-11-21T01:00:00.000Z"), "1.32")
      assert.strictEqual(yield* input("deepseek", "deepseek-v4-pro", "2026-11-21T03:59:59.999Z"), "1.32")
      assert.strictEqual(yield* input("deepseek", "deepseek-v4-pro", "2026-11-21T04:00:00.000Z"), "0.66")
    }).pipe(catalogue))

  it.effect("knows providers by their names, and by names you give it", () =>
    Effect.gen(function*() {
      const of = (provider: string, model = "gpt-5-mini") =>
        Effect.map(Pricing.lookup({ provider, model }), (entry) => [entry.provider, usd(entry.price.rates.input)])
      assert.deepStrictEqual(yield* of("azure"), ["azure", "0.25"])
      assert.deepStrictEqual(yield* of("OpenAI"), ["OpenAI", "0.25"])
      assert.deepStrictEqual(yield* of("my-azure"), ["my-azure", "0.25"])
      assert.deepStrictEqual(yield* of("vertex", "gemini-3.5-flash"), ["vertex", "1.5"])
      assert.deepStrictEqual(yield* of("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0"), ["bedrock", "1.1"])
      assert.deepStrictEqual(
        yield* of("xai", "grok-4"),
        yield* Effect.map(of("x-ai", "grok-4"), ([, input]) => ["xai", input])
      )
    }).pipe(Effect.provide(Pricing.layer({ providers: { "my-azure": "azure" } }))))

  it.effect("does not guess", () =>
    Effect.gen(function*() {
      const queries = [
        { provider: "openai", model: "gpt-7" },
        { provider: "openai", model: "" },
        { provider: "my-openai-proxy", model: "gpt-5-mini" },
        { provider: "", model: "gpt-5-mini" },
        { provider: "constructor", model: "gpt-5-mini" },
        // It has no price, or none for tokens.
        { provider: "google", model: "gemma-4-31b-it" },
        { provider: "openai", model: "omni-moderation-latest" },
        { provider: "openai", model: "whisper-1" },
        { provider: "google", model: "gemini-3.8-flash", at: Number.NaN }
      ]
      for (const { at, model, provider } of queries) {
        // Twice: what is remembered is as unknown.
        for (let time = 0; time < 2; time++) {
          const error = yield* Effect.flip(Pricing.lookup({ provider, model, at }))
          assert.deepStrictEqual([error._tag, error.provider, error.model], ["UnknownPrice", provider, model])
        }
      }
      // Embeddings write nothing, and so there is no price for it.
      const embedding = yield* Pricing.lookup({ provider: "openai", model: "text-embedding-3-small" })
      assert.strictEqual(yield* Pricing.costOf(embedding, usage({ inputUncached: 1_000_000 })), Money.usd("0.02"))
      assert.strictEqual((yield* Effect.flip(Pricing.costOf(embedding, usage({ outputText: 1 })))).missing, "output")
    }).pipe(catalogue))

  it.effect("gives way to what an application says", () =>
    Effect.gen(function*() {
      const input = (provider: string, model: string) =>
        Effect.map(Pricing.lookup({ provider, model }), (entry) => usd(entry.price.rates.input))
      assert.strictEqual(yield* input("openai", "gpt-5.5"), "4")
      assert.strictEqual(yield* input("openai", "gpt-5-mini"), "9")
      assert.strictEqual(yield* input("anthropic", "claude-haiku-4-5"), "1")
      assert.strictEqual(yield* input("my-azure", "prod"), "5")
      assert.strictEqual(yield* input("ollama", "llama3.3"), "0")
      const { sources } = yield* Pricing.lookup({ provider: "openai", model: "gpt-5.5" })
      assert.deepStrictEqual([sources[0]?.name, sources.at(-1)?.name], ["@pydantic/genai-prices", "application"])
    }).pipe(Effect.provide(Pricing.layer({
      overrides: [
        Pricing.model({ provider: "ollama", model: () => true, price: Pricing.free }),
        Pricing.discount({ provider: "openai", discount: "0.2" }),
        Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 9 } }),
        Pricing.alias({ provider: "my-azure", model: "prod", of: { provider: "azure", model: "gpt-5.5" } })
      ]
    }))))

  it.effect("remembers, but not for ever, and not what others have asked", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 1_100; n++) {
        yield* Effect.flip(Pricing.lookup({ provider: "groq", model: `nobody-${n}` }))
      }
      assert.strictEqual((yield* Pricing.lookup({ provider: "openai", model: "gpt-5-mini" })).provider, "openai")
      assert.strictEqual((yield* Pricing.lookup({ provider: "azure", model: "gpt-5-mini" })).provider, "azure")
    }).pipe(catalogue))
})

describe("the package", () => {
  const finder = (options: { readonly asOf?: string } = {}, importPackage?: () => Promise<typeof Package>) =>
    load({ asOf: options.asOf }, importPackage)

  it.effect("that is missing is named, with how to mend it", () =>
    Effect.gen(function*() {
      const cause = new Error("ERR_MODULE_NOT_FOUND")
      const exit = yield* Effect.exit(finder({}, () => Promise.reject(cause)))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, Error)
      assert.include(String(defect), "npm install @pydantic/genai-prices")
      assert.strictEqual((defect as Error).cause, cause)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
    }))

  it.effect("is asked for again when its data changes", () =>
    Effect.gen(function*() {
      const data = (input: number): Package.Provider => ({
        id: "openai",
        name: "OpenAI",
        api_pattern: "",
        models: [{ id: "m", match: { equals: "m" }, prices: { input_mtok: input, output_mtok: 1 } }]
      })
      let openai = data(1)
      const found = yield* finder({}, () =>
        Promise.resolve({
          ...Package,
          findProvider: () => openai,
          calcPrice: (used, model, options) => Package.calcPrice(used, model, { ...options, provider: openai })
        }))
      const input = () => usd(found.model("openai", "m", now)?.price.rates.input)
      assert.deepStrictEqual([input(), input()], ["1", "1"])
      openai = data(2)
      assert.strictEqual(input(), "2")
      // A catalogue that says 0 says that it does not know.
      openai = { ...data(0), models: [{ ...data(0).models[0]!, prices: { input_mtok: 0, output_mtok: 0 } }] }
      assert.isUndefined(input())
      // And one that contradicts itself knows nothing.
      openai = { ...data(0), models: [{ ...data(0).models[0]!, prices: { cache_write_1h_mtok: 1, input_mtok: 1 } }] }
      assert.isUndefined(input())
    }))

  it.effect("has a date, or the one that you give other data", () =>
    Effect.gen(function*() {
      const sources = (options?: { readonly asOf?: string }) =>
        Effect.map(finder(options), (found) => found.model("openai", "gpt-5-mini", now)?.sources[0])
      const manifest = JSON.parse(
        readFileSync(new URL("../../node_modules/@pydantic/genai-prices/package.json", import.meta.url), "utf8")
      ) as { readonly version: string }
      assert.property(published, manifest.version, "a new version: write down when it was published")
      assert.deepStrictEqual(yield* sources(), {
        name: "@pydantic/genai-prices",
        version: manifest.version,
        asOf: published[manifest.version]
      })
      assert.deepStrictEqual(yield* sources({ asOf: "2026-12-24" }), {
        name: "@pydantic/genai-prices",
        version: undefined,
        asOf: "2026-12-24"
      })
    }))

  it.effect("has each provider that you name", () =>
    Effect.gen(function*() {
      const layer = Pricing.layer({ providers: { mine: "azur" } })
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, RangeError)
      assert.include(String(defect), "providers.mine: the catalogue has no provider \"azur\"")
    }))

  it("is loaded with the layer, and not before", async () => {
    const script = `
      import { registerHooks } from "node:module"
      const seen = []
      registerHooks({ resolve: (specifier, context, next) => { seen.push(specifier); return next(specifier, context) } })
      const { Pricing } = await import("effect-bulwark/budget")
      const { Effect } = await import("effect")
      const price = (layer) => Effect.runPromise(Effect.provide(Pricing.lookup({ provider: "openai", model: "gpt-5-mini" }), layer))
      await price(Pricing.layerOf([Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1 } })]))
      const before = seen.includes("@pydantic/genai-prices")
      await price(Pricing.layer())
      console.log(JSON.stringify([before, seen.includes("@pydantic/genai-prices")]))
    `
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--conditions=effect-bulwark/source", "--input-type=module", "--eval", script],
      { cwd: fileURLToPath(new URL("../../", import.meta.url)) }
    )
    assert.deepStrictEqual(JSON.parse(stdout), [false, true])
  })
})

describe("what the catalogue does not say", () => {
  it("is about models that the catalogue has", () => {
    for (const fact of facts) {
      assert.isTrue(fact.maxOutput !== undefined || fact.batch !== undefined)
      for (const model of fact.models) {
        assert.isDefined(
          Package.calcPrice({}, model, { providerId: fact.provider })?.model,
          `${fact.provider}/${model}`
        )
        for (const field of ["maxOutput", "batch"] as const) {
          const said = facts.filter((one) => one[field] && one.provider === fact.provider && one.models.includes(model))
          assert.isAtMost(said.length, 1, `${fact.provider}/${model}: ${field}`)
        }
      }
    }
  })

  it("of OpenAI is what another list of its models says", () => {
    const list = Object.values(models) as ReadonlyArray<ListedModel>
    let compared = 0
    for (const { batch, maxOutput, models, provider } of facts) {
      if (provider !== "openai") continue
      for (const model of models) {
        const listed = list.filter(({ name = "" }) => name.replace(/-\d{4}-\d{2}-\d{2}$/, "") === model)
        assert.isNotEmpty(listed, model)
        for (const one of listed) {
          if (maxOutput !== undefined) assert.strictEqual(one.max_output_tokens, maxOutput, model)
          if (batch !== undefined) assert.include(one.supported_endpoints ?? [], "batch", model)
          compared++
        }
      }
    }
    assert.isAbove(compared, 20)
  })

  it.effect("is not said of a model with another end to its name", () =>
    Effect.gen(function*() {
      const maxOutput = (model: string) =>
        Effect.map(Pricing.lookup({ provider: "openai", model }), (one) => one.maxOutput)
      assert.strictEqual(yield* maxOutput("gpt-5-2025-08-07"), 128_000)
      assert.strictEqual(yield* maxOutput("GPT-5"), 128_000)
      assert.isUndefined(yield* maxOutput("gpt-5-chat-latest"))
    }).pipe(catalogue))
})
