/**
 * What sharing a request does to `E` and `R`, pinned. This file is compiled, never run.
 */
import type { Effect, Layer, Scope } from "effect"
import { type Call, Llm, type LlmError, type Opened } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import { expectTypeOf } from "vitest"
import * as SingleFlight from "../../src/cache/SingleFlight.ts"

class OpenAi extends Provider.Service<OpenAi>()("openai") {}

const openai = Llm.model(OpenAi, "gpt-5-mini")

declare const mine: Llm.Llm<{ readonly _tag: "Mine" }, OpenAi>
declare const infallible: Llm.Llm<never, never>
declare const call: Call.Call
declare const flights: SingleFlight.SingleFlight["Service"]

// ---- share: adds the service, and no failure ----
expectTypeOf(openai.pipe(SingleFlight.share({ key: ({ attribution }) => attribution.tenant }))).toEqualTypeOf<
  Llm.Llm<LlmError.ProviderError, OpenAi | SingleFlight.SingleFlight>
>()
expectTypeOf(SingleFlight.share(infallible, { key: () => "" })).toEqualTypeOf<
  Llm.Llm<never, SingleFlight.SingleFlight>
>()
// @ts-expect-error what makes calls the same must be said
openai.pipe(SingleFlight.share({}))

// ---- open: the failures and services of what is opened ----
expectTypeOf(flights.open("", call, mine.open)).toEqualTypeOf<
  Effect.Effect<SingleFlight.Shared, { readonly _tag: "Mine" }, OpenAi | Scope.Scope>
>()
declare const begin: (call: Call.Call) => Effect.Effect<Opened.Opened, never>
expectTypeOf(flights.open("", call, begin)).toEqualTypeOf<Effect.Effect<SingleFlight.Shared, never, Scope.Scope>>()
declare const failing: (answer: SingleFlight.Answer) => Effect.Effect<void, "no">
// @ts-expect-error nobody hears of a failure
flights.open("", call, begin, { whole: failing })

expectTypeOf(SingleFlight.make()).toEqualTypeOf<
  Effect.Effect<SingleFlight.SingleFlight["Service"], never, Scope.Scope>
>()
expectTypeOf(SingleFlight.layer()).toEqualTypeOf<Layer.Layer<SingleFlight.SingleFlight>>()
