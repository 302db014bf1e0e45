/**
 * What the catalogue of prices does not say: how much a model writes at most, and what its requests cost in batches. Only what the
 * provider itself publishes, with the page, and the day on which it or a copy of it was read.
 */
import * as Schema from "effect/Schema"

const day = Schema.String.check(Schema.isPattern(/^\d{4}-\d{2}-\d{2}$/))

const Fact = Schema.Struct({
  /** The catalogue's name of the provider. */
  provider: Schema.String,
  /** Model ids. A date at the end of an id makes no difference; other ends do. */
  models: Schema.NonEmptyArray(Schema.String),
  /** The most tokens that an answer may have. */
  maxOutput: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThan(0))),
  /** The part of the standard price that is charged in batches, and what keeps its standard price there. */
  batch: Schema.optionalKey(Schema.Struct({
    share: Schema.String.check(Schema.isPattern(/^0\.\d+$/)),
    except: Schema.optionalKey(Schema.Array(Schema.Literals(["cacheRead"])))
  })),
  source: Schema.String.check(Schema.isStartingWith("https://")),
  asOf: day
})

/** One statement of a provider. */
export type Fact = typeof Fact.Type

const data: ReadonlyArray<typeof Fact.Encoded> = [
  {
    provider: "openai",
    models: [
      "gpt-5",
      "gpt-5-mini",
      "gpt-5-nano",
      "gpt-5.1",
      "gpt-5.2",
      "gpt-5.4",
      "gpt-5.4-mini",
      "gpt-5.4-nano",
      "gpt-5.5",
      "gpt-5.5-pro",
      "gpt-5.6-sol",
      "gpt-5.6-terra",
      "gpt-5.6-luna"
    ],
    maxOutput: 128_000,
    source: "https://developers.openai.com/api/docs/models",
    asOf: "2026-11-21"
  },
  {
    provider: "openai",
    models: ["gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"],
    maxOutput: 32_768,
    source: "https://developers.openai.com/api/docs/models",
    asOf: "2026-11-21"
  },
  {
    provider: "openai",
    models: ["o3", "o3-mini", "o4-mini"],
    maxOutput: 100_000,
    source: "https://developers.openai.com/api/docs/models",
    asOf: "2026-11-21"
  },
  {
    // "50% cost discount compared to synchronous APIs"; the table of prices halves cached input as well.
    provider: "openai",
    models: ["gpt-5-mini", "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5"],
    batch: { share: "0.5" },
    source: "https://developers.openai.com/api/docs/pricing",
    asOf: "2026-06-04"
  },
  {
    provider: "anthropic",
    models: ["claude-fable-5-1", "claude-opus-5-5", "claude-opus-5", "claude-sonnet-5"],
    maxOutput: 128_000,
    source: "https://platform.claude.com/docs/en/models",
    asOf: "2026-11-21"
  },
  {
    provider: "anthropic",
    models: ["claude-haiku-4-5"],
    maxOutput: 64_000,
    source: "https://platform.claude.com/docs/en/models",
    asOf: "2026-11-21"
  },
  {
    // All usage at half the standard price, what is written to the cache and read from it included.
    provider: "anthropic",
    models: [
      "claude-fable-5-1",
      "claude-opus-5-5",
      "claude-opus-5",
      "claude-sonnet-5",
      "claude-haiku-4-5"
    ],
    batch: { share: "0.5" },
    source: "https://platform.claude.com/docs/en/build-with-claude/batch-processing",
    asOf: "2026-11-21"
  },
  {
    provider: "google",
    models: ["gemini-3.5-flash", "gemini-3.8-flash"],
    maxOutput: 65_536,
    source: "https://ai.google.dev/gemini-api/docs/models",
    asOf: "2026-11-21"
  },
  {
    // Input and output at half the standard price. No discount is published for what is read from a cache.
    provider: "google",
    models: ["gemini-3.5-flash", "gemini-3.8-flash"],
    batch: { share: "0.5", except: ["cacheRead"] },
    source: "https://ai.google.dev/gemini-api/docs/optimization",
    asOf: "2026-11-21"
  }
]

/** The statements, checked. */
export const facts: ReadonlyArray<Fact> = Schema.decodeSync(Schema.Array(Fact))(data)

/** What is known of a model beside its price. */
export const factsOf = (provider: string, model: string): ReadonlyArray<Fact> => {
  const id = model.trim().toLowerCase().replace(/-\d{4}-?\d{2}-?\d{2}$/, "")
  return facts.filter((fact) => fact.provider === provider && fact.models.includes(id))
}
