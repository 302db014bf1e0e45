/**
 * What telemetry says of a call: of each way in which one can go, the whole tree of spans, and all that is counted.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { Breaker, Llm, RetryBudget } from "effect-bulwark"
import { Budget, BudgetStore, Pricing, TokenCount } from "effect-bulwark/budget"
import { Cache } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { type Anthropic, anthropic, type OpenAi, openai, question } from "../core/support/stack.ts"
import type { Numbers, Tree } from "./support/recorded.ts"
import { watched } from "./support/watched.ts"

const usage = { inputTokens: { total: 100, cacheRead: 40 }, outputTokens: { total: 20, reasoning: 5 } }
const answer = ScriptedProvider.text("330 m", { delay: 200, usage })

const ask = <E, R>(llm: Llm.Llm<E, R>) => Llm.generateText(llm, question)
const read = <E, R>(llm: Llm.Llm<E, R>) => Stream.runDrain(Llm.streamText(llm, question))

// ---------------------------------------------------------------------------------------------------------------------
// what is expected
// ---------------------------------------------------------------------------------------------------------------------

interface Expected {
  readonly from?: number
  readonly to: number
  readonly status?: string
  readonly attributes?: Readonly<Record<string, unknown>>
}

const operation = (
  expected: Expected & { readonly events?: Tree["events"]; readonly stream?: boolean; readonly links?: number },
  below: ReadonlyArray<Tree>
): Tree => ({
  span: "chat gpt-5-mini",
  kind: "internal",
  from: expected.from ?? 0,
  to: expected.to,
  status: expected.status ?? "ok",
  attributes: {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-5-mini",
    "gen_ai.request.stream": expected.stream ?? false,
    "gen_ai.output.type": "text",
    "bulwark.operation.id": "op",
    "bulwark.attempts": below.length,
    ...expected.attributes
  },
  events: expected.events ?? [],
  links: expected.links ?? 0,
  below
})

const attempt = (
  number: number,
  expected: Expected & { readonly provider?: "openai" | "anthropic" }
): Tree => {
  const { provider = "openai" } = expected
  const model = provider === "openai" ? "gpt-5-mini" : "claude-haiku-4-5"
  return {
    span: `attempt ${provider}/${model}`,
    kind: "client",
    from: expected.from ?? 0,
    to: expected.to,
    status: expected.status ?? "ok",
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": provider,
      "gen_ai.request.model": model,
      "bulwark.attempt": number,
      ...expected.attributes
    },
    events: [],
    links: 0,
    below: []
  }
}

const served = (model = "gpt-5-mini", provider = "openai") => ({
  "bulwark.outcome": "success",
  "gen_ai.provider.name": provider,
  "gen_ai.response.model": model,
  "gen_ai.response.finish_reasons": ["stop"]
})

const answered = {
  "bulwark.outcome": "success",
  "gen_ai.response.finish_reasons": ["stop"],
  "gen_ai.usage.input_tokens": 100,
  "gen_ai.usage.output_tokens": 20,
  "gen_ai.usage.cache_read.input_tokens": 40,
  "gen_ai.usage.reasoning.output_tokens": 5
}

const failedWith = (tag: string) => ({ "bulwark.outcome": tag, "error.type": tag })

const overloaded = "Overloaded: the provider is overloaded; try again later or ask another model"

/** The tokens of one answer. */
const tokens = (model = "gpt-5-mini", provider = "openai"): Numbers => {
  const labels = `gen_ai.operation.name=chat,gen_ai.provider.name=${provider},gen_ai.request.model=${model}`
  return {
    [`gen_ai.client.token.usage{${labels},gen_ai.token.type=input}`]: [1, 100],
    [`gen_ai.client.token.usage{${labels},gen_ai.token.type=output}`]: [1, 20],
    [`llm_tokens_used_total{model=${model},type=input}`]: 60,
    [`llm_tokens_used_total{model=${model},type=cache_read}`]: 40,
    [`llm_tokens_used_total{model=${model},type=output}`]: 15,
    [`llm_tokens_used_total{model=${model},type=reasoning}`]: 5
  }
}

/** One operation, in seconds. */
const operated = (seconds: number, outcome = "success", model = "gpt-5-mini", endpoint = "openai"): Numbers => ({
  [`llm_request_duration_seconds{model=${model},endpoint=${endpoint},outcome=${outcome}}`]: [1, seconds]
})

/** Requests that took so many seconds together. */
const asked = (
  seconds: number,
  outcome = "success",
  model = "gpt-5-mini",
  endpoint = "openai",
  error = outcome === "success" || outcome === "interrupted" ? "" : `,error.type=${outcome}`
): Numbers => ({
  [`llm_attempts_total{model=${model},endpoint=${endpoint},outcome=${outcome}}`]: 1,
  [
    `gen_ai.client.operation.duration{gen_ai.operation.name=chat,gen_ai.provider.name=${endpoint},gen_ai.request.model=${model}${error}}`
  ]: [1, seconds]
})

/** One case: what is run, and all of what is to be seen of it. */
const says = <A, E>(
  name: string,
  options: {
    readonly run: Effect.Effect<A, E, OpenAi | Anthropic>
    readonly openai?: ScriptedProvider.Script
    readonly anthropic?: ScriptedProvider.Script
    readonly trees: ReadonlyArray<Tree>
    readonly counted: Numbers
  }
) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      const { counted, trees } = yield* watched(options.run, options)
      assert.deepStrictEqual(trees, options.trees)
      assert.deepStrictEqual(counted, options.counted)
    }))

// ---------------------------------------------------------------------------------------------------------------------
// the ways of a call
// ---------------------------------------------------------------------------------------------------------------------

describe("a call that", () => {
  says("succeeds", {
    run: ask(openai),
    openai: [answer],
    trees: [operation({ to: 200, attributes: served() }, [attempt(1, { to: 200, attributes: answered })])],
    counted: { ...operated(0.2), ...asked(0.2), ...tokens() }
  })

  const cached = openai.pipe(Cache.through({ timeToLive: "1 hour" }))

  says("is answered from a cache", {
    run: Effect.provide(Effect.andThen(ask(cached), ask(cached)), Cache.layerMemory()),
    openai: [answer],
    trees: [
      operation({
        to: 200,
        attributes: { ...served(), "bulwark.cache.result": "miss" },
        events: [["bulwark.cache", 0, { "bulwark.cache.result": "miss" }]]
      }, [attempt(1, { to: 200, attributes: answered })]),
      operation({
        from: 200,
        to: 200,
        attributes: { ...served(), "bulwark.cache.result": "hit" },
        events: [["bulwark.cache", 200, { "bulwark.cache.result": "hit" }]]
      }, [])
    ],
    counted: {
      "llm_request_duration_seconds{model=gpt-5-mini,endpoint=openai,outcome=success}": [2, 0.2],
      ...asked(0.2),
      ...tokens(),
      "llm_cache_results_total{result=miss}": 1,
      "llm_cache_results_total{result=hit}": 1,
      "llm_cache_saved_tokens_total{model=gpt-5-mini}": 120
    }
  })

  says("is retried twice", {
    run: ask(openai.pipe(Llm.retry(Schedule.exponential(100).pipe(Schedule.upTo({ times: 2 }))))),
    openai: [
      ScriptedProvider.fail("Overloaded", { delay: 50 }),
      ScriptedProvider.fail("ServerError", { delay: 50 }),
      answer
    ],
    trees: [operation({
      to: 600,
      attributes: served(),
      events: [
        ["bulwark.retry", 50, {
          "bulwark.reason": "Overloaded",
          "bulwark.delay_ms": 100,
          "bulwark.from": "openai/gpt-5-mini"
        }],
        ["bulwark.retry", 200, {
          "bulwark.reason": "ServerError",
          "bulwark.delay_ms": 200,
          "bulwark.from": "openai/gpt-5-mini"
        }]
      ]
    }, [
      attempt(1, { to: 50, status: overloaded, attributes: failedWith("Overloaded") }),
      attempt(2, {
        from: 150,
        to: 200,
        status: "ServerError: the provider failed; try again or ask another model",
        attributes: failedWith("ServerError")
      }),
      attempt(3, { from: 400, to: 600, attributes: answered })
    ])],
    counted: {
      ...operated(0.6),
      ...asked(0.05, "Overloaded"),
      ...asked(0.05, "ServerError"),
      ...asked(0.2),
      ...tokens(),
      "llm_retries_total{model=gpt-5-mini,reason=Overloaded}": 1,
      "llm_retries_total{model=gpt-5-mini,reason=ServerError}": 1,
      "llm_policy_events_total{type=retry,reason=Overloaded}": 1,
      "llm_policy_events_total{type=retry,reason=ServerError}": 1
    }
  })

  says("is hedged", {
    run: Effect.provide(ask(openai.pipe(Llm.hedge({ after: 1_000, maxExtra: 1 }))), RetryBudget.layerMemory()),
    openai: [ScriptedProvider.silence, answer],
    trees: [operation({
      to: 1_200,
      attributes: served(),
      events: [
        ["bulwark.hedge", 1_000, { "bulwark.reason": "slow", "bulwark.delay_ms": 1_000 }],
        ["bulwark.hedge.won", 1_200, { "bulwark.hedge.winner": "second" }]
      ]
    }, [
      attempt(1, { to: 1_200, status: "interrupted", attributes: { "bulwark.outcome": "interrupted" } }),
      attempt(2, { from: 1_000, to: 1_200, attributes: answered })
    ])],
    counted: {
      ...operated(1.2),
      ...asked(1.2, "interrupted"),
      ...asked(0.2),
      // Neither has failed, so both are in one series.
      "gen_ai.client.operation.duration{gen_ai.operation.name=chat,gen_ai.provider.name=openai,gen_ai.request.model=gpt-5-mini}":
        [
          2,
          1.4
        ],
      ...tokens(),
      "llm_hedges_total{winner=second}": 1,
      "llm_policy_events_total{type=hedge,reason=slow}": 1
    }
  })

  says("falls back", {
    run: ask(openai.pipe(Llm.orElse(anthropic))),
    openai: [ScriptedProvider.fail("Overloaded", { delay: 50 })],
    anthropic: [answer],
    trees: [operation({
      to: 250,
      attributes: served("claude-haiku-4-5", "anthropic"),
      events: [["bulwark.fallback", 50, {
        "bulwark.reason": "Overloaded",
        "bulwark.from": "openai/gpt-5-mini",
        "bulwark.to": "anthropic/claude-haiku-4-5"
      }]]
    }, [
      attempt(1, { to: 50, status: overloaded, attributes: failedWith("Overloaded") }),
      attempt(2, { provider: "anthropic", from: 50, to: 250, attributes: answered })
    ])],
    counted: {
      ...operated(0.25, "success", "claude-haiku-4-5", "anthropic"),
      ...asked(0.05, "Overloaded"),
      ...asked(0.2, "success", "claude-haiku-4-5", "anthropic"),
      ...tokens("claude-haiku-4-5", "anthropic"),
      "llm_fallbacks_total{from=openai/gpt-5-mini,to=anthropic/claude-haiku-4-5,reason=Overloaded}": 1,
      "llm_policy_events_total{type=fallback,reason=Overloaded}": 1
    }
  })

  const genAi = "gen_ai.operation.name=chat,gen_ai.provider.name=openai,gen_ai.request.model=gpt-5-mini"
  const firstPart: Tree["events"][number] = ["bulwark.first_part", 350, { "bulwark.target": "openai/gpt-5-mini" }]

  // A marker at 300, words at 350, 400 and 450, a marker at 500, the end at 550.
  says("is streamed", {
    run: read(openai),
    openai: [ScriptedProvider.text(["33", "0", " m"], { delay: 300, between: 50, usage })],
    trees: [operation({
      stream: true,
      to: 550,
      attributes: { ...served(), "gen_ai.response.time_to_first_chunk": 0.35 },
      events: [firstPart]
    }, [attempt(1, { to: 550, attributes: { ...answered, "gen_ai.response.time_to_first_chunk": 0.35 } })])],
    counted: {
      ...operated(0.55),
      ...asked(0.55),
      ...tokens(),
      "llm_first_part_seconds{model=gpt-5-mini,endpoint=openai}": [1, 0.35],
      [`gen_ai.client.operation.time_to_first_chunk{${genAi}}`]: [1, 0.35],
      [`gen_ai.client.operation.time_per_output_chunk{${genAi}}`]: [4, 0.2]
    }
  })

  const brokeOff =
    "StreamInterrupted: openai/gpt-5-mini: the answer broke off after 3 characters: the connection closed; " +
    "no connection to the provider; check the base URL and the network"

  says("is cut", {
    run: Effect.exit(read(openai)),
    openai: [ScriptedProvider.breakOff(["33", "0"], "ConnectionFailed", { delay: 300, between: 50 })],
    trees: [operation({
      stream: true,
      to: 400,
      status: brokeOff,
      attributes: {
        ...failedWith("StreamInterrupted"),
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "gpt-5-mini",
        "gen_ai.response.time_to_first_chunk": 0.35
      },
      events: [firstPart]
    }, [
      attempt(1, {
        to: 400,
        status: brokeOff,
        attributes: { ...failedWith("StreamInterrupted"), "gen_ai.response.time_to_first_chunk": 0.35 }
      })
    ])],
    counted: {
      ...operated(0.4, "StreamInterrupted"),
      ...asked(0.4, "StreamInterrupted"),
      "llm_first_part_seconds{model=gpt-5-mini,endpoint=openai}": [1, 0.35],
      [`gen_ai.client.operation.time_to_first_chunk{${genAi}}`]: [1, 0.35],
      [`gen_ai.client.operation.time_per_output_chunk{${genAi}}`]: [1, 0.05]
    }
  })

  says("is cancelled", {
    run: Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(ask(openai), { startImmediately: true })
      yield* Effect.sleep(100)
      yield* Fiber.interrupt(fiber)
    }),
    openai: [ScriptedProvider.silence],
    trees: [operation({
      to: 100,
      status: "interrupted",
      attributes: { "bulwark.outcome": "interrupted" }
    }, [attempt(1, { to: 100, status: "interrupted", attributes: { "bulwark.outcome": "interrupted" } })])],
    counted: { ...operated(0.1, "interrupted"), ...asked(0.1, "interrupted") }
  })

  says("is no longer read", {
    run: Llm.streamText(openai, question).pipe(Llm.textDeltas, Stream.take(1), Stream.runDrain),
    openai: [ScriptedProvider.text(["33", "0", " m"], { delay: 300, between: 50, usage })],
    trees: [operation({
      stream: true,
      to: 350,
      status: "interrupted",
      attributes: {
        "bulwark.outcome": "interrupted",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.model": "gpt-5-mini",
        "gen_ai.response.time_to_first_chunk": 0.35
      },
      events: [firstPart]
    }, [
      attempt(1, {
        to: 350,
        status: "interrupted",
        attributes: { "bulwark.outcome": "interrupted", "gen_ai.response.time_to_first_chunk": 0.35 }
      })
    ])],
    counted: {
      ...operated(0.35, "interrupted"),
      ...asked(0.35, "interrupted"),
      "llm_first_part_seconds{model=gpt-5-mini,endpoint=openai}": [1, 0.35],
      [`gen_ai.client.operation.time_to_first_chunk{${genAi}}`]: [1, 0.35]
    }
  })

  says("fails", {
    run: Effect.exit(ask(openai)),
    openai: [ScriptedProvider.fail("InvalidRequest", { delay: 20 })],
    trees: [operation({
      to: 20,
      status: "InvalidRequest: the request is not valid",
      attributes: failedWith("InvalidRequest")
    }, [
      attempt(1, {
        to: 20,
        status: "InvalidRequest: the request is not valid",
        attributes: failedWith("InvalidRequest")
      })
    ])],
    counted: { ...operated(0.02, "InvalidRequest"), ...asked(0.02, "InvalidRequest") }
  })

  const circuit = { "bulwark.circuit": "openai/gpt-5-mini" }

  says("finds its circuit open, and goes elsewhere", {
    run: Effect.gen(function*() {
      const llm = openai.pipe(Breaker.guard(), Llm.orElse(anthropic))
      yield* ask(llm)
      yield* ask(llm)
      yield* Effect.sleep("15 seconds")
      yield* ask(llm)
    }).pipe(Effect.provide(Breaker.layerMemory({ trip: Breaker.consecutive(1) }))),
    openai: [ScriptedProvider.fail("Overloaded", { delay: 50 }), answer],
    anthropic: [answer, answer],
    trees: [
      operation({
        to: 250,
        attributes: served("claude-haiku-4-5", "anthropic"),
        events: [
          ["bulwark.circuit", 50, { ...circuit, "bulwark.from": "Closed", "bulwark.to": "Open" }],
          ["bulwark.fallback", 50, {
            "bulwark.reason": "Overloaded",
            "bulwark.from": "openai/gpt-5-mini",
            "bulwark.to": "anthropic/claude-haiku-4-5"
          }]
        ]
      }, [
        attempt(1, { to: 50, status: overloaded, attributes: failedWith("Overloaded") }),
        attempt(2, { provider: "anthropic", from: 50, to: 250, attributes: answered })
      ]),
      operation({
        from: 250,
        to: 450,
        attributes: served("claude-haiku-4-5", "anthropic"),
        events: [
          ["bulwark.rejected", 250, { "bulwark.reason": "CircuitOpen" }],
          ["bulwark.fallback", 250, {
            "bulwark.reason": "CircuitOpen",
            "bulwark.from": "openai/gpt-5-mini",
            "bulwark.to": "anthropic/claude-haiku-4-5"
          }]
        ]
      }, [attempt(1, { provider: "anthropic", from: 250, to: 450, attributes: answered })]),
      operation({
        from: 15_450,
        to: 15_650,
        attributes: served(),
        events: [
          ["bulwark.circuit", 15_450, { ...circuit, "bulwark.from": "Open", "bulwark.to": "HalfOpen" }],
          ["bulwark.circuit", 15_650, { ...circuit, "bulwark.from": "HalfOpen", "bulwark.to": "Closed" }]
        ]
      }, [attempt(1, { from: 15_450, to: 15_650, attributes: answered })])
    ],
    counted: {
      "llm_request_duration_seconds{model=claude-haiku-4-5,endpoint=anthropic,outcome=success}": [2, 0.45],
      ...operated(0.2),
      ...asked(0.05, "Overloaded"),
      ...asked(0.2),
      ...tokens(),
      "llm_attempts_total{model=claude-haiku-4-5,endpoint=anthropic,outcome=success}": 2,
      "gen_ai.client.operation.duration{gen_ai.operation.name=chat,gen_ai.provider.name=anthropic,gen_ai.request.model=claude-haiku-4-5}":
        [2, 0.4],
      "gen_ai.client.token.usage{gen_ai.operation.name=chat,gen_ai.provider.name=anthropic,gen_ai.request.model=claude-haiku-4-5,gen_ai.token.type=input}":
        [2, 200],
      "gen_ai.client.token.usage{gen_ai.operation.name=chat,gen_ai.provider.name=anthropic,gen_ai.request.model=claude-haiku-4-5,gen_ai.token.type=output}":
        [2, 40],
      "llm_tokens_used_total{model=claude-haiku-4-5,type=input}": 120,
      "llm_tokens_used_total{model=claude-haiku-4-5,type=cache_read}": 80,
      "llm_tokens_used_total{model=claude-haiku-4-5,type=output}": 30,
      "llm_tokens_used_total{model=claude-haiku-4-5,type=reasoning}": 10,
      "llm_circuit_transitions_total{circuit=openai/gpt-5-mini,to=Open}": 1,
      "llm_circuit_transitions_total{circuit=openai/gpt-5-mini,to=HalfOpen}": 1,
      "llm_circuit_transitions_total{circuit=openai/gpt-5-mini,to=Closed}": 1,
      "llm_policy_events_total{type=fallback,reason=Overloaded}": 1,
      "llm_policy_events_total{type=fallback,reason=CircuitOpen}": 1,
      "llm_policy_events_total{type=rejected,reason=CircuitOpen}": 1,
      "llm_fallbacks_total{from=openai/gpt-5-mini,to=anthropic/claude-haiku-4-5,reason=Overloaded}": 1,
      "llm_fallbacks_total{from=openai/gpt-5-mini,to=anthropic/claude-haiku-4-5,reason=CircuitOpen}": 1
    }
  })

  const budget = Budget.layer({ limits: [{ resource: "usd", limit: "1", window: Budget.total }] }).pipe(Layer.provide([
    BudgetStore.layerMemory,
    TokenCount.layerEstimate(),
    Pricing.layerOf([Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1, output: 10 } })])
  ]))

  // A dollar for a million of tokens of the prompt, ten for those of the answer: 100 + 200 micro-dollars. The prompt is taken for 17.
  says("is paid for", {
    run: Effect.provide(ask(openai.pipe(Budget.enforce({ maxOutputTokens: 500 }))), budget),
    openai: [answer],
    trees: [operation({
      to: 200,
      attributes: { ...served(), "bulwark.cost.micro_usd": 300 },
      events: [
        ["bulwark.budget.reserved", 0, {
          "bulwark.target": "openai/gpt-5-mini",
          "bulwark.amount.micro_usd": 5_017,
          "bulwark.amount.tokens": 517
        }],
        ["bulwark.budget.settled", 200, {
          "bulwark.target": "openai/gpt-5-mini",
          "bulwark.amount.micro_usd": 300,
          "bulwark.amount.tokens": 120,
          "bulwark.amount.estimated": false
        }]
      ]
    }, [attempt(1, { to: 200, attributes: { ...answered, "gen_ai.request.max_tokens": 500 } })])],
    counted: {
      ...operated(0.2),
      ...asked(0.2),
      ...tokens(),
      "llm_request_cost_dollars{model=gpt-5-mini}": [1, 0.0003],
      "llm_budget_used_ratio{scope=global,resource=usd,window=total}": 0.0003,
      "llm_budget_remaining{scope=global,resource=usd,window=total}": 0.9997
    }
  })
})
