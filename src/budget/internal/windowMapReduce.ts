/**
 * Reads a text that fits no window: in parts, and then what was made of them.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Settings, Target } from "../../core/Call.ts"
import { type Answer, generateText, whole } from "../../core/Generate.ts"
import { targetOf } from "../../core/internal/target.ts"
import type { Llm } from "../../core/Llm.ts"
import { ContextLengthExceeded, type OutputTruncated } from "../../core/LlmError.ts"
import * as Plan from "../../core/Plan.ts"
import type { Receipt } from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import { TokenCount } from "../TokenCount.ts"
import { cutText } from "./windowChunks.ts"
import { Windows } from "./windowTable.ts"

/**
 * What {@link mapReduce} is going to send, at most.
 *
 * @category models
 * @since 0.1.0
 */
export interface MapReducePlan {
  /** In how many parts the text is read. */
  readonly chunks: number
  /** How many questions are asked, at most: one for each part, and those that put answers together. Retries come on top. */
  readonly calls: number
  /** How many tokens they have together, at most. */
  readonly inputTokens: number
  /** How many tokens their answers may have together. */
  readonly outputTokens: number
}

/**
 * Settings of {@link mapReduce}.
 *
 * @category options
 * @since 0.1.0
 */
export interface MapReduceOptions<E2 = never, R2 = never> {
  /** The text. */
  readonly input: string
  /** What is asked about a part of it; `index` counts from 0. */
  readonly map: (part: string, index: number, parts: number) => Prompt.RawInput
  /** What is asked about the answers: to make one of several, whether they are about parts or about several of them. */
  readonly reduce: (answers: ReadonlyArray<string>) => Prompt.RawInput
  /** The most tokens of a part. Default: as many as fit. */
  readonly chunkTokens?: number | undefined
  /** How many tokens of a part's end are said again at the beginning of the next, at most half of it. Default: none. */
  readonly overlapTokens?: number | undefined
  /** The most tokens of each answer. Default: 1,024. */
  readonly maxOutputTokens?: number | undefined
  /** Other request parameters. */
  readonly settings?: Omit<Settings, "maxOutputTokens"> | undefined
  /** The window, in tokens. Default: what `Windows` says, of several models the smallest; 8,192 where that is not known. */
  readonly window?: number | undefined
  /** How many questions are asked at a time. Default: 4. */
  readonly concurrency?: number | undefined
  /** The most that may be sent: more calls, or more tokens of questions and answers together, are refused. Default: no limit. */
  readonly maximum?: { readonly calls?: number | undefined; readonly tokens?: number | undefined } | undefined
  /** Asked before anything is sent. Default: yes. */
  readonly approve?: ((plan: MapReducePlan) => Effect.Effect<boolean, E2, R2>) | undefined
}

/**
 * What came of {@link mapReduce}.
 *
 * @category models
 * @since 0.1.0
 */
export interface MapReduced {
  /** The text of the last answer. */
  readonly text: string
  /** The last answer. */
  readonly answer: Answer<{}>
  /** What was announced. */
  readonly plan: MapReducePlan
  /** The receipts of all questions: first those about the parts, in their order. */
  readonly receipts: ReadonlyArray<Receipt>
  /** Tokens of all of them together. */
  readonly usage: Usage.Usage
}

/**
 * A text was not read, since that would have cost more than it may, or was not approved, and nothing was sent; or the answers about
 * its parts were longer than `maxOutputTokens`, so that more would have been sent than was announced.
 *
 * @category errors
 * @since 0.1.0
 */
export class MapReduceRefused extends Schema.TaggedError<MapReduceRefused>(
  "effect-bulwark/budget/ContextWindow/MapReduceRefused"
)("MapReduceRefused", {
  /** Whether the plan was more than the `maximum`, was `notApproved`, or would have been `exceeded`. */
  reason: Schema.Literals(["maximum", "notApproved", "exceeded"]),
  /** What was planned. */
  calls: Schema.Int,
  inputTokens: Schema.Int,
  outputTokens: Schema.Int
}) {
  override get message(): string {
    const why = {
      maximum: "is more than it may, so nothing was sent",
      notApproved: "was not approved, so nothing was sent",
      exceeded: "would have been exceeded, since answers were longer than `maxOutputTokens`"
    }[this.reason]
    return `reading the text takes up to ${this.calls} calls, ${this.inputTokens} tokens of questions ` +
      `and ${this.outputTokens} of answers, which ${why}`
  }
}

const atLeast = (name: string, value: number | undefined, least: number): void => {
  if (value !== undefined && !(value >= least)) {
    throw new RangeError(`ContextWindow.mapReduce: ${name} must be at least ${least}, got ${value}`)
  }
}

const fewestChunkTokens = 32

// For one that is not known: what models of one's own have at least.
const smallWindow = 8192

// The tokens of a text are not exactly those of its pieces.
const seam = 8

interface Prepared {
  readonly plan: MapReducePlan
  /** What is asked about the parts, and how many tokens that is. */
  readonly questions: ReadonlyArray<Prompt.Prompt>
  readonly questionTokens: number
  /** The most tokens of a question. */
  readonly limit: number
  readonly measure: Measure
  /** A failure of a question that does not fit. */
  readonly tooLong: (questionTokens: number) => ContextLengthExceeded
}

/** Counts for the models that may be asked; of several the most. */
interface Measure {
  readonly text: (text: string) => Effect.Effect<number>
  readonly prompt: (prompt: Prompt.RawInput) => Effect.Effect<number>
}

const prepare = (
  plan: Plan.Plan,
  options: MapReduceOptions<unknown, unknown>
): Effect.Effect<Prepared, ContextLengthExceeded, TokenCount> => {
  const { input, map, maxOutputTokens = 1024, overlapTokens = 0, reduce } = options
  atLeast("chunkTokens", options.chunkTokens, fewestChunkTokens)
  atLeast("maxOutputTokens", maxOutputTokens, 1)
  atLeast("window", options.window, 1)
  atLeast("concurrency", options.concurrency, 1)
  atLeast("overlapTokens", overlapTokens, 0)
  const models = [...new Set(Plan.models(plan))].flatMap((model) => targetOf(model) ?? [])
  const targets: ReadonlyArray<Target> = models.length === 0 ? [{ provider: "", model: "" }] : models
  return Effect.gen(function*() {
    const counter = yield* TokenCount
    const windows = yield* Windows
    const limits = targets.map((target) => {
      const window = options.window ?? windows(target) ?? smallWindow
      const { input, total } = typeof window === "number" ? { input: window, total: window } : window
      return { target, total, question: Math.min(input, total - maxOutputTokens) }
    })
    const tightest = limits.reduce((least, limit) => limit.question < least.question ? limit : least)
    const limit = tightest.question
    const tooLong = (tokens: number) =>
      new ContextLengthExceeded({
        ...(models.length === 0 ? undefined : tightest.target),
        limit: Math.floor(tightest.total),
        requested: Math.ceil(tokens + maxOutputTokens),
        unsent: true
      })
    const most = (count: (target: Target) => Effect.Effect<{ readonly tokens: number }>) =>
      Effect.map(Effect.forEach(targets, count), (counts) => Math.max(...counts.map(({ tokens }) => tokens)))
    const measure: Measure = {
      text: (text) => most((target) => counter.countText(target, text)),
      prompt: (prompt) => most((target) => counter.count({ ...target, prompt: Prompt.make(prompt) }))
    }

    const frame = yield* measure.prompt(map("", 0, 1))
    const chunkTokens = Math.min(options.chunkTokens ?? Infinity, limit - frame - seam)
    if (chunkTokens < fewestChunkTokens) return yield* tooLong(frame + seam + fewestChunkTokens)
    const chunks = yield* cutText(input, measure.text, chunkTokens, Math.min(overlapTokens, chunkTokens / 2))
    // Of a text without a word there is one part all the same.
    const parts = chunks.length === 0 ? [""] : chunks.map(({ text }) => text)
    const questions = parts.map((part, index) => Prompt.make(map(part, index, parts.length)))
    let inputTokens = 0
    for (const question of questions) {
      const tokens = yield* measure.prompt(question)
      if (tokens > limit) return yield* tooLong(tokens)
      inputTokens += tokens
    }

    const questionTokens = inputTokens
    let calls = questions.length
    if (questions.length > 1) {
      const one = yield* measure.prompt(reduce([""]))
      const between = Math.max(0, (yield* measure.prompt(reduce(["", ""]))) - one)
      // An estimate of an answer may be up to twice what the model has counted itself.
      const exact = (yield* Effect.forEach(targets, (target) => counter.countText(target, "a"))).every(({ exact }) =>
        exact
      )
      const answer = maxOutputTokens * (exact ? 1 : 2) + seam
      const together = Math.floor((limit - one + between) / (answer + between))
      if (together < 2) return yield* tooLong(one + between + 2 * answer)
      for (let left = questions.length; left > 1; left = Math.ceil(left / together)) {
        const asked = Math.floor(left / together) + (left % together > 1 ? 1 : 0)
        calls += asked
        inputTokens += asked * one + left * (answer + between)
      }
    }
    return {
      plan: { chunks: questions.length, calls, inputTokens, outputTokens: calls * maxOutputTokens },
      questions,
      questionTokens,
      limit,
      measure,
      tooLong
    }
  })
}

/**
 * What {@link mapReduce} would send, without sending it.
 *
 * **Details**
 *
 * Fails with `ContextLengthExceeded` where the window is too small: for the question about one part, or for two answers of
 * `maxOutputTokens`.
 *
 * @category splitting
 * @since 0.1.0
 */
export const planMapReduce = <E, R>(
  llm: Llm<E, R>,
  options: MapReduceOptions<unknown, unknown>
): Effect.Effect<MapReducePlan, ContextLengthExceeded, TokenCount> =>
  Effect.map(prepare(llm.plan, options), ({ plan }) => plan)

/**
 * Reads a text that is too long for one question: asks about each part, then about the answers, and so on until there is one.
 *
 * **Details**
 *
 * Nothing is sent before the plan is known, which is what will be sent at most: `maximum` bounds it, `approve` is asked with it, and
 * {@link planMapReduce} gives it without more. What is refused fails with `MapReduceRefused`.
 *
 * It always ends, and never sends more than it announced. Each round makes fewer answers of several, and `maxOutputTokens` bounds
 * each. Where a model does not keep to that, it fails: with `ContextLengthExceeded` where no two answers fit into one question, with
 * `MapReduceRefused` where more would be sent than was announced. An answer that its limit cuts is `OutputTruncated`: half a summary
 * is none.
 *
 * A text that fits into one part is asked about once, and its answer is the result.
 *
 * **Gotchas**
 *
 * - When one question fails, the others are interrupted, and what they cost is in their receipts alone (`Receipt.observe`).
 * - The plan counts questions. Retries and fallbacks inside the `Llm` come on top: `Plan.worstCase` says how many at most.
 *
 * **Example** (Summarising a book)
 *
 * ```ts
 * import { Llm } from "effect-bulwark"
 * import { ContextWindow, TokenCount } from "effect-bulwark/budget"
 * import { Provider } from "effect-bulwark/providers"
 * import { ScriptedProvider } from "effect-bulwark/testing"
 * import { Effect, Layer } from "effect"
 *
 * class Ollama extends Provider.Service<Ollama>()("ollama") {}
 *
 * const llm = Llm.model(Ollama, "llama3.3")
 *
 * const program = ContextWindow.mapReduce(llm, {
 *   input: "It was the best of times, it was the worst of times.\n\n".repeat(500),
 *   map: (part, index, parts) => `Summarise part ${index + 1} of ${parts}:\n\n${part}`,
 *   reduce: (summaries) => `Make one summary of these:\n\n${summaries.join("\n\n")}`,
 *   maxOutputTokens: 500,
 *   window: 8_192,
 *   maximum: { calls: 10 }
 * })
 *
 * const layer = Layer.merge(
 *   TokenCount.layer(),
 *   ScriptedProvider.layer(Ollama, () => ScriptedProvider.text("Times were mixed."))
 * )
 *
 * const { plan, text } = await Effect.runPromise(Effect.provide(program, layer))
 *
 * text // => "Times were mixed."
 * plan.chunks // => 2
 * plan.calls // => 3
 * ```
 *
 * @category splitting
 * @since 0.1.0
 */
export const mapReduce = <E, R, E2 = never, R2 = never>(
  llm: Llm<E, R>,
  options: MapReduceOptions<E2, R2>
): Effect.Effect<
  MapReduced,
  E | E2 | OutputTruncated | ContextLengthExceeded | MapReduceRefused,
  R | R2 | TokenCount
> => {
  const preparing = prepare(llm.plan, options)
  return Effect.gen(function*() {
    const { limit, measure, plan, questions, questionTokens, tooLong } = yield* preparing
    const refused = (reason: MapReduceRefused["reason"]) => {
      const { calls, inputTokens, outputTokens } = plan
      return new MapReduceRefused({ reason, calls, inputTokens, outputTokens })
    }
    const { calls = Infinity, tokens = Infinity } = options.maximum ?? {}
    if (plan.calls > calls || plan.inputTokens + plan.outputTokens > tokens) {
      return yield* refused("maximum")
    }
    if (options.approve !== undefined && !(yield* options.approve(plan))) {
      return yield* refused("notApproved")
    }

    const demanding = whole(llm)
    const settings: Settings = { ...options.settings, maxOutputTokens: options.maxOutputTokens ?? 1024 }
    const answers: Array<Answer<{}>> = []
    const ask = (prompt: Prompt.Prompt) => generateText(demanding, { prompt, settings })
    const askAll = (prompts: ReadonlyArray<Prompt.Prompt>) =>
      Effect.tap(
        Effect.forEach(prompts, ask, { concurrency: options.concurrency ?? 4 }),
        (all) => Effect.sync(() => answers.push(...all))
      )

    let inputTokens = questionTokens
    let left: ReadonlyArray<string> = (yield* askAll(questions)).map(({ text }) => text)
    while (left.length > 1) {
      const groups = yield* group(left, options.reduce, measure, limit)
      const several = groups.filter(({ texts }) => texts.length > 1)
      if (groups.length === left.length) return yield* tooLong(yield* measure.prompt(options.reduce(left)))
      for (const { tokens } of several) inputTokens += tokens
      if (answers.length + several.length > plan.calls || inputTokens > plan.inputTokens) {
        return yield* refused("exceeded")
      }
      const reduced = yield* askAll(several.map(({ prompt }) => prompt))
      let next = 0
      left = groups.map(({ texts }) => texts.length > 1 ? reduced[next++]!.text : texts[0]!)
    }
    const answer = answers.at(-1)!
    return {
      text: answer.text,
      answer,
      plan,
      receipts: answers.map(({ receipt }) => receipt),
      usage: answers.reduce((sum, { receipt }) => Usage.add(sum, receipt.usage), Usage.zero)
    }
  })
}

interface Group {
  readonly texts: ReadonlyArray<string>
  readonly prompt: Prompt.Prompt
  readonly tokens: number
}

/** Neighbours, as many as fit into one question. */
const group = (
  texts: ReadonlyArray<string>,
  reduce: (texts: ReadonlyArray<string>) => Prompt.RawInput,
  measure: Measure,
  limit: number
): Effect.Effect<ReadonlyArray<Group>> =>
  Effect.gen(function*() {
    const groups: Array<Group> = []
    const one = yield* measure.prompt(reduce([""]))
    const between = Math.max(0, (yield* measure.prompt(reduce(["", ""]))) - one)
    let from = 0
    while (from < texts.length) {
      let to = from
      for (let tokens = one - between; to < texts.length; to++) {
        tokens += between + (yield* measure.text(texts[to]!))
        if (tokens > limit) break
      }
      to = Math.max(to, from + 1)
      let prompt = Prompt.make(reduce(texts.slice(from, to)))
      let tokens = yield* measure.prompt(prompt)
      // What `reduce` makes of them may be longer than they are.
      while (to > from + 1 && tokens > limit) {
        to--
        prompt = Prompt.make(reduce(texts.slice(from, to)))
        tokens = yield* measure.prompt(prompt)
      }
      groups.push({ texts: texts.slice(from, to), prompt, tokens })
      from = to
    }
    return groups
  })
