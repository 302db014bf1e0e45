/**
 * How fast tokens are counted, by the processor's time, and how rightly, beside other counters on the same texts.
 *
 * Run alone with `node --conditions=effect-bulwark/source test/bench/tokens.ts`.
 */
import { Context, Effect, Layer, Scope } from "effect"
import { TokenCount } from "effect-bulwark/budget"
import * as GptTokenizer from "gpt-tokenizer/encoding/o200k_base"
import { readdirSync, readFileSync } from "node:fs"
import { processorMicros, table, times, whole } from "./measure.ts"

/** Counts a text. */
type Counter = (text: string) => number

const built = async (layer: Layer.Layer<TokenCount.TokenCount, unknown>): Promise<TokenCount.TokenCount> =>
  Context.get(await Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe())), TokenCount.TokenCount)

/** `js-tiktoken` comes with LangChain and is nobody else's dependency: it may be absent. */
const tiktoken = async (): Promise<Counter | undefined> => {
  const [library, ranks] = ["js-tiktoken/lite", "js-tiktoken/ranks/o200k_base"]
  try {
    const { Tiktoken } = await import(library) as {
      readonly Tiktoken: new(ranks: unknown) => { encode(text: string, allowed: [], disallowed: []): Array<number> }
    }
    const encoding = new Tiktoken((await import(ranks) as { readonly default: unknown }).default)
    return (text) => encoding.encode(text, [], []).length
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return undefined
    throw error
  }
}

const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url), "utf8")) as {
    readonly version: string
  }).version

const counters = async (): Promise<Record<string, Counter | undefined>> => {
  const exact = await built(TokenCount.layer())
  const estimate = await built(TokenCount.layerEstimate())
  const counting = (counter: TokenCount.TokenCount, model: string): Counter => (text) =>
    Effect.runSync(counter.countText({ provider: "any", model }, text)).tokens
  return {
    "Bulwark: `TokenCount.layer`, gpt-5": counting(exact, "gpt-5"),
    "Bulwark: `TokenCount.layer`, claude-opus-5 (an upper bound)": counting(exact, "claude-opus-5"),
    "Bulwark: `TokenCount.layerEstimate`, gpt-5 (an upper bound)": counting(estimate, "gpt-5"),
    [`gpt-tokenizer ${versionOf("gpt-tokenizer")}: \`countTokens\``]: (text) =>
      GptTokenizer.countTokens(text, { disallowedSpecial: new Set() }),
    "js-tiktoken: `encode`": await tiktoken(),
    "a quarter of the characters": (text) => Math.ceil(text.length / 4)
  }
}

/** The pages of these docs, prose with code in it, until there is enough. */
const pages = (length: number): string => {
  const folder = new URL("../../docs/", import.meta.url)
  const all = readdirSync(folder).filter((name) => name.endsWith(".md") && name !== "benchmarks.md").toSorted()
    .map((name) => readFileSync(new URL(name, folder), "utf8")).join("\n")
  return all.repeat(Math.ceil(length / all.length)).slice(0, length)
}

/** One unbroken run of a letter, as somebody may send it on purpose. */
const runsOf = [5_000, 10_000].map(times)

const rounds = 4

interface Counted {
  /** Of the processor. */
  readonly millis: number
  readonly tokens: number
}

const once = (counter: Counter, text: string): Counted => {
  const began = processorMicros()
  const tokens = counter(text)
  return { millis: (processorMicros() - began) / 1_000, tokens }
}

/** The table of all counters. */
export const tokensTable = async (): Promise<string> => {
  const prose = pages(times(1_000_000))
  const all = Object.entries(await counters())
  // They take turns, and what was counted before is remembered: of several rounds counts the best.
  const counted = new Map<string, Counted>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, counter] of all) {
      if (counter === undefined) continue
      const [now, before] = [once(counter, prose), counted.get(name)]
      if (before === undefined || now.millis < before.millis) counted.set(name, now)
    }
  }
  const rows = all.map(([name, counter]): ReadonlyArray<string> => {
    const best = counted.get(name)
    if (counter === undefined || best === undefined) return [name, "**not measured: it is not installed**"]
    const { millis, tokens } = best
    // What does not look at the text takes no time that could be measured.
    const aSecond = (count: number): string => millis < 0.5 ? "" : (count / 1e3 / millis).toFixed(1)
    const row = [name, aSecond(Buffer.byteLength(prose)), aSecond(tokens), whole(tokens)]
    return row.concat(runsOf.map((length) => {
      // Or it would be counted in no time.
      GptTokenizer.clearMergeCache()
      return once(counter, "a".repeat(length)).millis.toFixed(1)
    }))
  })
  return table(
    [
      `${whole(prose.length)} characters of prose and code`,
      "MB/s",
      "million tokens a second",
      "tokens",
      ...runsOf.map((length) => `${whole(length)} × the letter a: ms`)
    ],
    rows
  )
}

if (import.meta.main) process.stdout.write(`${await tokensTable()}\n`)
