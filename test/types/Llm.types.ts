/**
 * What every combinator does to `E` and `R`, pinned. This file is compiled, never run.
 */
import { type Effect, type Layer, Schedule, Schema, type Stream } from "effect"
import { Attribution, Llm, type LlmError, Receipt, Retry } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { type AiError, type LanguageModel, Tool, Toolkit } from "effect/ai"
import { expectTypeOf } from "vitest"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}
class Anthropic extends Provider.Service<Anthropic>()("anthropic") {}

type ErrorTag<L extends Llm.Any> = Llm.Error<L> extends infer E ? E extends { readonly _tag: infer T } ? T : never
  : never

// ---- a provider and a model ----
expectTypeOf(OpenAi.providerName).toEqualTypeOf<"openai">()
const openai = Llm.model(OpenAi, "gpt-5-mini")
const anthropic = Llm.model(Anthropic, "claude-haiku-4-5")
expectTypeOf(openai).toEqualTypeOf<Llm.Llm<LlmError.ProviderError, OpenAi>>()
expectTypeOf<ErrorTag<typeof openai>>().toEqualTypeOf<
  | "RateLimited"
  | "QuotaExhausted"
  | "Overloaded"
  | "ServerError"
  | "RequestTimeout"
  | "ConnectionFailed"
  | "AuthenticationFailed"
  | "PermissionDenied"
  | "ModelNotFound"
  | "InvalidRequest"
  | "ContextLengthExceeded"
  | "ContentFiltered"
  | "MalformedResponse"
  | "StreamInterrupted"
>()
// @ts-expect-error two providers are two types
expectTypeOf(openai).toEqualTypeOf<Llm.Llm<LlmError.ProviderError, Anthropic>>()

// ---- the table, as types ----
expectTypeOf<LlmError.ExcludeFailsOver<LlmError.LlmError>["_tag"]>().toEqualTypeOf<
  "InvalidRequest" | "ContentFiltered" | "ToolFailed" | "StoreUnavailable" | "PromptInvalid" | "PromptNotFound"
>()

const limited = openai.pipe(Llm.timeout({ total: "1 minute" }))

// ---- retry: nothing, but what its schedule fails with and needs ----
const retried = openai.pipe(Llm.retry(Retry.transient))
expectTypeOf(retried).toEqualTypeOf<typeof openai>()
expectTypeOf(Llm.retry(openai, Retry.transient)).toEqualTypeOf<typeof openai>()
declare const failing: Schedule.Schedule<number, unknown, "gave up", Anthropic>
expectTypeOf(openai.pipe(Llm.retry(failing))).toEqualTypeOf<
  Llm.Llm<LlmError.ProviderError | "gave up", OpenAi | Anthropic>
>()
Llm.retry(openai, Retry.transient, {
  while: (error) => {
    expectTypeOf(error).toEqualTypeOf<LlmError.ProviderError>()
    return true
  }
})
const picky = { while: (error: LlmError.ProviderError) => error._tag === "Overloaded" }
expectTypeOf(openai.pipe(Llm.retry(Retry.transient, picky))).toEqualTypeOf<typeof openai>()
// @ts-expect-error the predicate does not know all the failures
limited.pipe(Llm.retry(Retry.transient, picky))

// ---- timeout: adds TimedOut ----
expectTypeOf(limited).toEqualTypeOf<Llm.Llm<LlmError.ProviderError | LlmError.TimedOut, OpenAi>>()
openai.pipe(Llm.timeout({ firstPart: Schedule.exponential("1 second"), idle: 5_000 }))
// @ts-expect-error there is no such limit
openai.pipe(Llm.timeout({ first: "1 second" }))

// ---- orElse: removes what fails over, adds the other's ----
const either = limited.pipe(Llm.orElse(anthropic))
expectTypeOf(either).toEqualTypeOf<Llm.Llm<LlmError.ProviderError, OpenAi | Anthropic>>()
declare const infallible: Llm.Llm<never, Anthropic>
expectTypeOf(limited.pipe(Llm.orElse(infallible))).toEqualTypeOf<
  Llm.Llm<LlmError.InvalidRequest | LlmError.ContentFiltered, OpenAi | Anthropic>
>()
declare const own: Llm.Llm<{ readonly _tag: "Mine" } | LlmError.Overloaded, OpenAi>
expectTypeOf(own.pipe(Llm.orElse(infallible))).toEqualTypeOf<
  Llm.Llm<{ readonly _tag: "Mine" }, OpenAi | Anthropic>
>()

// ---- orElseSucceed: removes everything ----
expectTypeOf(limited.pipe(Llm.orElseSucceed((error) => error._tag))).toEqualTypeOf<Llm.Llm<never, OpenAi>>()
limited.pipe(Llm.orElseSucceed((error) => {
  expectTypeOf(error).toEqualTypeOf<LlmError.ProviderError | LlmError.TimedOut>()
  return ""
}))

// ---- whole: adds OutputTruncated; withSettings: nothing ----
expectTypeOf(openai.pipe(Llm.whole)).toEqualTypeOf<
  Llm.Llm<LlmError.ProviderError | LlmError.OutputTruncated, OpenAi>
>()
expectTypeOf(openai.pipe(Llm.withSettings({ temperature: 0 }))).toEqualTypeOf<typeof openai>()

// ---- operations ----
const prompt = "Hello?"
expectTypeOf(Llm.generateText(openai, { prompt })).toEqualTypeOf<
  Effect.Effect<Llm.Answer<{}>, LlmError.ProviderError, OpenAi>
>()
expectTypeOf(Llm.generateText(infallible, { prompt })).toEqualTypeOf<Effect.Effect<Llm.Answer<{}>, never, Anthropic>>()
expectTypeOf(Llm.streamText(infallible, { prompt }).pipe(Llm.textDeltas)).toEqualTypeOf<
  Stream.Stream<string, LlmError.StreamInterrupted, Anthropic>
>()
expectTypeOf(Llm.generateText(openai, { prompt }).pipe(Attribution.annotate({ user: "u" }))).toEqualTypeOf<
  Effect.Effect<Llm.Answer<{}>, LlmError.ProviderError, OpenAi>
>()
declare const observer: (receipt: Receipt.Receipt) => Effect.Effect<void, never, Anthropic>
expectTypeOf(Llm.generateText(openai, { prompt }).pipe(Receipt.observe(observer))).toEqualTypeOf<
  Effect.Effect<Llm.Answer<{}>, LlmError.ProviderError, OpenAi | Anthropic>
>()
// @ts-expect-error a receipt observer may not fail
Llm.generateText(openai, { prompt }).pipe(Receipt.observe((): Effect.Effect<void, "no"> => null!))
// @ts-expect-error there is no such option
Llm.generateText(openai, { prompt, temperature: 1 })

const City = Schema.Struct({ name: Schema.String })
const object = Llm.generateObject(infallible, { prompt, schema: City })
expectTypeOf(object).toEqualTypeOf<
  Effect.Effect<
    Llm.ObjectAnswer<{}, { readonly name: string }>,
    LlmError.OutputTruncated | LlmError.InvalidOutput,
    Anthropic
  >
>()

// ---- toolkits: the handlers' failures and services are in the type ----
class Database extends Schema.TaggedError<Database>()("Database", {}) {}
const Lookup = Tool.make("Lookup", {
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Finite,
  failure: Database,
  failureMode: "error"
})
const toolkit = Toolkit.make(Lookup)
const answered = Llm.generateText(infallible, { prompt, toolkit })
expectTypeOf<Effect.Error<typeof answered>>().toEqualTypeOf<Database | LlmError.InvalidOutput | LlmError.ToolFailed>()
expectTypeOf<Effect.Services<typeof answered>>().toEqualTypeOf<Anthropic | Tool.Handler<"Lookup">>()
const streamed = Llm.streamText(infallible, { prompt, toolkit })
expectTypeOf<Stream.Error<typeof streamed>>().toEqualTypeOf<
  Database | LlmError.InvalidOutput | LlmError.ToolFailed | LlmError.StreamInterrupted
>()
const calls = (yielded: Effect.Success<typeof answered>) => yielded.toolCalls[0]?.name
expectTypeOf(calls).returns.toEqualTypeOf<"Lookup" | undefined>()
const objectWithTools = Llm.generateObject(infallible, { prompt, schema: City, toolkit })
expectTypeOf<Effect.Success<typeof objectWithTools>["value"]>().toEqualTypeOf<{ readonly name: string }>()
expectTypeOf<Effect.Error<typeof objectWithTools>>().toEqualTypeOf<
  Database | LlmError.InvalidOutput | LlmError.ToolFailed | LlmError.OutputTruncated
>()

// ---- as effect/ai's model ----
expectTypeOf(Llm.layerLanguageModel(either)).toEqualTypeOf<
  Layer.Layer<LanguageModel.LanguageModel, never, OpenAi | Anthropic>
>()
expectTypeOf<ReturnType<typeof LlmError.toAiError>>().toEqualTypeOf<AiError.AiError>()

// ---- the README's hero example ----
const summarizer = Llm.model(OpenAi, "gpt-5-mini").pipe(
  Llm.timeout({ firstPart: "8 seconds", idle: "15 seconds" }),
  Llm.retry(Retry.transient),
  Llm.orElse(Llm.model(Anthropic, "claude-haiku-4-5")),
  Llm.timeout({ total: "60 seconds" })
)
expectTypeOf(summarizer).toEqualTypeOf<Llm.Llm<LlmError.ProviderError | LlmError.TimedOut, OpenAi | Anthropic>>()
