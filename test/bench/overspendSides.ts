/**
 * The same limit in three libraries: `Budget.enforce`, and the check before a call and the addition after it that one writes with
 * LangChain's callbacks and with the AI SDK's middleware.
 */
import type { LanguageModelV4Middleware, LanguageModelV4Usage } from "@ai-sdk/provider"
import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager"
import { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, AIMessageChunk, type BaseMessage, type UsageMetadata } from "@langchain/core/messages"
import { ChatGenerationChunk, type ChatResult, type LLMResult } from "@langchain/core/outputs"
import { generateText, streamText, wrapLanguageModel } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import { Llm } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Provider } from "effect-bulwark/providers"
import { Sqlite } from "effect-bulwark/sqlite"
import { ScriptedProvider } from "effect-bulwark/testing"
import type { Prompt } from "effect/ai"
import { DatabaseSync } from "node:sqlite"

// ---- what all of them call ----

/** Every answer is as long as this. A letter is a token, for everybody. */
export const answerTokens = 100

/** A token of the prompt costs a micro-dollar, and one of the answer two. */
export const costOf = (input: number, output: number = answerTokens): number => input + 2 * output

/** The words of an answer. */
const pieces: ReadonlyArray<string> = Array.from({ length: 10 }, () => "0123456789")

/** Stands for the provider, and keeps the bill. */
export class Upstream {
  sent = 0
  billed = 0
  readonly breaksOff: boolean
  private readonly onSent: (sent: number) => void
  private left = 0
  private gathered = Promise.withResolvers<void>()

  constructor(options?: { readonly breaksOff?: boolean; readonly onSent?: (sent: number) => void }) {
    this.breaksOff = options?.breaksOff ?? false
    this.onSent = options?.onSent ?? (() => {})
  }

  /** So many begin at once: nobody is answered before each of them was sent or refused. */
  expect(callers: number): void {
    this.left = callers
    this.gathered = Promise.withResolvers()
  }

  /** One of them was refused, or sent. */
  decided(): void {
    this.left--
    if (this.left <= 0) this.gathered.resolve()
  }

  /** A request: it is on the bill, whatever becomes of its answer. */
  accept(prompt: string): Promise<void> {
    this.sent++
    this.billed += costOf(prompt.length)
    this.onSent(this.sent)
    this.decided()
    return this.gathered.promise
  }
}

/** How a library keeps to a limit. */
export interface Side {
  /** Asks, and says whether it was allowed to. */
  readonly ask: (prompt: string) => Promise<boolean>
  /** Asks for a stream and reads it as far as it goes. */
  readonly stream: (prompt: string) => Promise<boolean>
  /** What it believes to have spent, and what it holds besides. */
  readonly books: () => Promise<{ readonly used: number; readonly held: number }>
  readonly close: () => Promise<void>
}

export interface SideOptions {
  readonly upstream: Upstream
  /** In micro-dollars. */
  readonly limit: number
  /** The longest answer that is asked for. */
  readonly maxOutputTokens: number
  /** Where what was spent is written; else it is kept in the process. */
  readonly filename?: string | undefined
}

// ---- Bulwark ----

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const prices = Pricing.layerOf([
  Pricing.model({ provider: "openai", model: () => true, price: { input: 1, output: 2 } })
])

const lettersOf = ({ content }: Prompt.Message): number =>
  typeof content === "string"
    ? content.length
    : content.reduce((letters, part) => letters + (part.type === "text" ? part.text.length : 0), 0)

const exactly = (tokens: number) => Effect.succeed({ tokens, exact: true, margin: 0 })

const counts = Layer.succeed(TokenCount.TokenCount, {
  [TokenCount.TypeId]: TokenCount.TypeId,
  count: ({ prompt }) => exactly(prompt.content.reduce((letters, message) => letters + lettersOf(message), 0)),
  countText: (_, text) => exactly(text.length),
  tokenizer: () => {
    throw new Error("nobody asks for it")
  }
})

const promptOf = ({ prompt }: Provider.Request): string =>
  prompt.content.map((message) => "x".repeat(lettersOf(message))).join("")

const providerOf = (upstream: Upstream): Layer.Layer<OpenAi> => {
  const scripted = ScriptedProvider.layer(OpenAi, (request) => {
    const usage = { inputTokens: { total: promptOf(request).length }, outputTokens: { total: answerTokens } }
    return upstream.breaksOff ? ScriptedProvider.breakOff(pieces) : ScriptedProvider.text(pieces, { usage })
  })
  const accepted = (request: Provider.Request) => Effect.promise(() => upstream.accept(promptOf(request)))
  return Layer.effect(
    OpenAi,
    Effect.map(OpenAi, (provider): Provider.Provider => ({
      ...provider,
      whole: (request) => Effect.andThen(accepted(request), provider.whole(request)),
      stream: (request) => Stream.unwrap(Effect.as(accepted(request), provider.stream(request)))
    }))
  ).pipe(Layer.provide(scripted))
}

const bulwark = async ({ filename, limit, maxOutputTokens, upstream }: SideOptions): Promise<Side> => {
  const llm = Llm.model(OpenAi, "gpt-5-mini").pipe(Budget.enforce({ maxOutputTokens }))
  const store = filename === undefined
    ? Layer.fresh(BudgetStore.layerMemory)
    : Layer.fresh(BudgetStore.layerSql()).pipe(Layer.provide(Sqlite.layer({ filename })))
  const budget = Budget.layer({
    limits: [{ resource: "usd", limit: String(limit / 1e6), window: Budget.total }]
  }).pipe(Layer.provide([store, prices, counts]))
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(Layer.merge(budget, providerOf(upstream)), scope))
  const run = <A, E>(effect: Effect.Effect<A, E, Budget.Budget | OpenAi>) =>
    Effect.runPromise(Effect.provideContext(effect, context))
  return {
    ask: (prompt) =>
      run(
        Llm.generateText(llm, { prompt }).pipe(
          Effect.as(true),
          Effect.catchTag("BudgetExceeded", () => Effect.succeed(false))
        )
      ),
    stream: (prompt) =>
      run(
        Stream.runDrain(Llm.streamText(llm, { prompt })).pipe(
          Effect.as(true),
          Effect.catchTag("StreamInterrupted", () => Effect.succeed(true)),
          Effect.catchTag("BudgetExceeded", () => Effect.succeed(false))
        )
      ),
    books: async () => {
      const [status] = await run(Context.get(context, Budget.Budget).status({}))
      return { used: status?.used ?? 0, held: status?.reserved ?? 0 }
    },
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

// ---- check, then add ----

class OverBudget extends Error {}

/** What was spent, where one keeps it. */
interface Counter {
  readonly spent: () => number
  readonly add: (amount: number) => void
  readonly close: () => void
}

const counterOf = (filename: string | undefined): Counter => {
  if (filename === undefined) {
    let spent = 0
    return { spent: () => spent, add: (amount) => void (spent += amount), close: () => {} }
  }
  const database = new DatabaseSync(filename)
  database.exec("CREATE TABLE IF NOT EXISTS spend (amount INTEGER NOT NULL)")
  const insert = database.prepare("INSERT INTO spend (amount) VALUES (?)")
  const sum = database.prepare("SELECT coalesce(sum(amount), 0) AS spent FROM spend")
  return {
    spent: () => Number(sum.get()?.["spent"]),
    add: (amount) => void insert.run(amount),
    close: () => database.close()
  }
}

const refusable = async (asking: () => Promise<unknown>): Promise<boolean> => {
  try {
    await asking()
    return true
  } catch (error) {
    if (error instanceof OverBudget) return false
    throw error
  }
}

class Broken extends Error {}

const cut = async (reading: Promise<unknown>): Promise<void> => {
  try {
    await reading
  } catch (error) {
    if (!(error instanceof Broken)) throw error
  }
}

// ---- LangChain ----

/** A model of one's own, as LangChain's guide has it. */
class LangChainModel extends BaseChatModel {
  private readonly upstream: Upstream

  constructor(upstream: Upstream) {
    super({})
    this.upstream = upstream
  }

  override _llmType(): string {
    return "scripted"
  }

  override async _generate(messages: Array<BaseMessage>): Promise<ChatResult> {
    const prompt = messages.map(({ text }) => text).join("")
    await this.upstream.accept(prompt)
    const text = pieces.join("")
    return { generations: [{ text, message: reporting(new AIMessage(text), prompt) }] }
  }

  override async *_streamResponseChunks(
    messages: Array<BaseMessage>,
    _options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun
  ): AsyncGenerator<ChatGenerationChunk> {
    const prompt = messages.map(({ text }) => text).join("")
    await this.upstream.accept(prompt)
    for (const text of pieces) {
      yield new ChatGenerationChunk({ text, message: new AIMessageChunk(text) })
      await runManager?.handleLLMNewToken(text)
    }
    if (this.upstream.breaksOff) throw new Broken()
    yield new ChatGenerationChunk({
      text: "",
      message: reporting(new AIMessageChunk(""), prompt)
    })
  }
}

/** Reports usage. Its own types have no room for it in the constructor. */
const reporting = <Message extends AIMessage | AIMessageChunk>(message: Message, prompt: string): Message => {
  const usage: UsageMetadata = {
    input_tokens: prompt.length,
    output_tokens: answerTokens,
    total_tokens: prompt.length + answerTokens
  }
  return Object.assign(message, { usage_metadata: usage })
}

/** Adds what a call has cost when it has ended. */
class SpendHandler extends BaseCallbackHandler {
  readonly name = "spend"
  private readonly counter: Counter

  constructor(counter: Counter) {
    super({ _awaitHandler: true })
    this.counter = counter
  }

  override handleLLMEnd(output: LLMResult): void {
    for (const generation of output.generations.flat()) {
      // Its own types have no room for it.
      const message = (generation as { readonly message?: { readonly usage_metadata?: UsageMetadata } }).message
      const usage = message?.usage_metadata
      if (usage !== undefined) this.counter.add(costOf(usage.input_tokens, usage.output_tokens))
    }
  }
}

const langChain = ({ filename, limit, upstream }: SideOptions): Promise<Side> => {
  const counter = counterOf(filename)
  const model = new LangChainModel(upstream)
  const callbacks = [new SpendHandler(counter)]
  const check = () => {
    if (counter.spent() >= limit) throw new OverBudget()
  }
  return Promise.resolve({
    ask: (prompt) =>
      refusable(async () => {
        check()
        await model.invoke(prompt, { callbacks })
      }),
    stream: (prompt) =>
      refusable(async () => {
        check()
        await cut(readAll(await model.stream(prompt, { callbacks })))
      }),
    books: () => Promise.resolve({ used: counter.spent(), held: 0 }),
    close: () => Promise.resolve(counter.close())
  })
}

const readAll = async (items: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of items) {
    // Only the end matters.
  }
}

// ---- AI SDK ----

const finishReason = { unified: "stop", raw: "stop" } as const

const aiUsage = (input: number): LanguageModelV4Usage => ({
  inputTokens: { total: input, noCache: input, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: answerTokens, text: answerTokens, reasoning: 0 }
})

const aiPrompt = (
  { prompt }: { readonly prompt: ReadonlyArray<{ readonly content: string | ReadonlyArray<object> }> }
): string =>
  prompt.flatMap(({ content }) =>
    typeof content === "string"
      ? [content]
      : content.map((part) => "text" in part && typeof part.text === "string" ? part.text : "")
  ).join("")

const aiModel = (upstream: Upstream) =>
  new MockLanguageModelV4({
    doGenerate: async (options) => {
      const prompt = aiPrompt(options)
      await upstream.accept(prompt)
      return {
        content: [{ type: "text", text: pieces.join("") }],
        finishReason,
        usage: aiUsage(prompt.length),
        warnings: []
      }
    },
    doStream: async (options) => {
      const prompt = aiPrompt(options)
      await upstream.accept(prompt)
      const parts = [
        { type: "stream-start" as const, warnings: [] },
        { type: "text-start" as const, id: "0" },
        ...pieces.map((delta) => ({ type: "text-delta" as const, id: "0", delta })),
        ...(upstream.breaksOff ? [] : [
          { type: "text-end" as const, id: "0" },
          { type: "finish" as const, finishReason, usage: aiUsage(prompt.length) }
        ])
      ].values()
      return {
        stream: new ReadableStream({
          pull: (controller) => {
            const next = parts.next()
            if (next.done !== true) controller.enqueue(next.value)
            else if (upstream.breaksOff) controller.error(new Broken())
            else controller.close()
          }
        })
      }
    }
  })

const aiSdk = ({ filename, limit, maxOutputTokens, upstream }: SideOptions): Promise<Side> => {
  const counter = counterOf(filename)
  const check = () => {
    if (counter.spent() >= limit) throw new OverBudget()
  }
  const add = ({ inputTokens, outputTokens }: LanguageModelV4Usage) =>
    counter.add(costOf(inputTokens.total ?? 0, outputTokens.total ?? 0))
  const middleware: LanguageModelV4Middleware = {
    specificationVersion: "v4",
    wrapGenerate: async ({ doGenerate }) => {
      check()
      const result = await doGenerate()
      add(result.usage)
      return result
    },
    wrapStream: async ({ doStream }) => {
      check()
      const { stream, ...rest } = await doStream()
      const watch = new TransformStream({
        transform: (part, controller) => {
          if (part.type === "finish") add(part.usage)
          controller.enqueue(part)
        }
      })
      return { stream: stream.pipeThrough(watch), ...rest }
    }
  }
  const model = wrapLanguageModel({ model: aiModel(upstream), middleware })
  return Promise.resolve({
    ask: (prompt) => refusable(() => generateText({ model, prompt, maxOutputTokens })),
    stream: (prompt) =>
      refusable(async () => {
        // It tells failures as parts, and logs them if nobody listens; a model's stream that breaks off breaks its own.
        const { fullStream } = streamText({ model, prompt, maxOutputTokens, onError: () => {} })
        await cut((async () => {
          for await (const part of fullStream) if (part.type === "error") throw part.error
        })())
      }),
    books: () => Promise.resolve({ used: counter.spent(), held: 0 }),
    close: () => Promise.resolve(counter.close())
  })
}

/** By name, ours first. */
export const sides = {
  "Bulwark: `Budget.enforce`": bulwark,
  "LangChain: callback handler": langChain,
  "AI SDK: middleware": aiSdk
} satisfies Record<string, (options: SideOptions) => Promise<Side>>

export type SideName = keyof typeof sides
