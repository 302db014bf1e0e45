/**
 * What is told of a call, and to whom, as the options of telemetry have it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Metric, Option, Schedule, Schema, Stream, Tracer } from "effect"
import { Attribution, Llm, LlmError, Receipt } from "effect-bulwark"
import { Pricing } from "effect-bulwark/budget"
import { Cache, SingleFlight } from "effect-bulwark/cache"
import { Embedding } from "effect-bulwark/providers"
import { Telemetry } from "effect-bulwark/telemetry"
import { ScriptedProvider } from "effect-bulwark/testing"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { OpenAi, openai, question } from "../core/support/stack.ts"
import { makeTracer, numbers, type Tree } from "./support/recorded.ts"
import { watched } from "./support/watched.ts"

const usage = { inputTokens: { total: 100 }, outputTokens: { total: 20 } }
const answer = ScriptedProvider.text("330 m", { delay: 200, usage })

const ask = <E, R>(llm: Llm.Llm<E, R>) => Llm.generateText(llm, question)

describe("options", () => {
  it("must make sense", () => {
    for (const maxLabelValues of [0, 1.5, -1, NaN]) {
      assert.throws(() => Telemetry.layer({ maxLabelValues }), RangeError, "maxLabelValues")
    }
    for (const maxLength of [0, 2.5]) {
      assert.throws(() => Telemetry.layer({ content: { maxLength } }), RangeError, "content.maxLength")
    }
  })

  it.effect("turn spans off, or metrics", () =>
    Effect.gen(function*() {
      const counts = yield* watched(ask(openai), { openai: [answer] }, { spans: false })
      assert.deepStrictEqual(counts.trees, [])
      assert.isNotEmpty(Object.keys(counts.counted))
      const traces = yield* watched(ask(openai), { openai: [answer] }, { metrics: false })
      assert.strictEqual(traces.trees.length, 1)
      assert.deepStrictEqual(traces.counted, {})
    }))

  it.effect("say which parties stand on spans", () =>
    Effect.gen(function*() {
      const run = ask(openai).pipe(
        Attribution.annotate({ user: "u", tenant: "t", feature: "f", requestId: "r", tags: { plan: "gold" } })
      )
      const parties = (attributes: Readonly<Record<string, unknown>>) => [
        attributes["user.id"],
        attributes["bulwark.tenant"],
        attributes["bulwark.feature"],
        attributes["bulwark.request.id"]
      ]
      const byDefault = yield* watched(run, { openai: [answer] })
      assert.deepStrictEqual(parties(byDefault.trees[0]!.attributes), [undefined, undefined, "f", "r"])
      const all = yield* watched(run, { openai: [answer] }, { attribution: ["user", "tenant", "feature", "requestId"] })
      assert.deepStrictEqual(parties(all.trees[0]!.attributes), ["u", "t", "f", "r"])
      const none = yield* watched(run, { openai: [answer] }, { attribution: [] })
      assert.deepStrictEqual(parties(none.trees[0]!.attributes), [undefined, undefined, undefined, undefined])
    }))
})

describe("features", () => {
  const calls = (features: ReadonlyArray<string | undefined>) =>
    Effect.forEach(
      features,
      (feature) => ask(openai).pipe(feature === undefined ? (self) => self : Attribution.annotate({ feature }))
    )
  const operations = (counted: Readonly<Record<string, unknown>>) =>
    Object.entries(counted)
      .filter(([name]) => name.startsWith("llm_request_duration_seconds"))
      .map(([name, value]) => [/feature=([^},]*)/.exec(name)?.[1], (value as ReadonlyArray<number>)[0]])

  it.effect("are no labels, unless somebody asks for them", () =>
    Effect.gen(function*() {
      const { counted } = yield* watched(calls(["a", "b", undefined]), { openai: () => answer })
      assert.deepStrictEqual(operations(counted), [[undefined, 3]])
    }))

  it.effect("are those that are named, and the others", () =>
    Effect.gen(function*() {
      const { counted } = yield* watched(calls(["a", "b", "c", undefined, "a"]), { openai: () => answer }, {
        features: ["a", "b"]
      })
      assert.deepStrictEqual(operations(counted), [["a", 2], ["b", 1], ["_OTHER", 1], ["none", 1]])
    }))

  it.effect("are the first fifty that come, and the others", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 200 }, (_, n) => `feature ${n}`)
      const { counted } = yield* watched(calls(names), { openai: () => answer }, { features: true })
      const series = operations(counted)
      assert.strictEqual(series.length, 51)
      assert.deepStrictEqual(series.at(-1), ["_OTHER", 150])
    }))

  it.effect("are on what was spent and used too", () =>
    Effect.gen(function*() {
      const { counted } = yield* watched(calls(["a"]), { openai: () => answer }, { features: true })
      assert.strictEqual(counted["llm_tokens_used_total{model=gpt-5-mini,type=input,feature=a}"], 100)
    }))
})

describe("labels", () => {
  it.effect("have so many values and no more, whatever comes in", () =>
    Effect.gen(function*() {
      const models = Array.from({ length: 300 }, (_, n) => Llm.model(OpenAi, `model ${n} ${"x".repeat(n)}`))
      const { counted } = yield* watched(Effect.forEach(models, ask), { openai: () => answer }, { maxLabelValues: 20 })
      const values = new Set(
        Object.keys(counted).flatMap((name) => /[{,](?:gen_ai\.request\.)?model=([^},]*)/.exec(name)?.[1] ?? [])
      )
      assert.strictEqual(values.size, 21)
      assert.isTrue(values.has("_OTHER"))
      assert.strictEqual(counted["llm_attempts_total{model=_OTHER,endpoint=openai,outcome=success}"], 280)
    }))
})

describe("content", () => {
  const llm = openai
  const prompt = [
    { role: "system", content: "You are a guide. Key: sk-123." },
    { role: "user", content: "My card is 4111-1111. How high?" }
  ] as const

  const recorded = (options: Telemetry.Options["content"], stream = false) =>
    Effect.map(
      watched(
        stream
          ? Stream.runDrain(Llm.streamText(llm, { prompt: [...prompt] }))
          : Llm.generateText(llm, { prompt: [...prompt] }),
        { openai: [ScriptedProvider.text(["330 m,", " and 4111-1111 is your card"], { usage })] },
        { content: options }
      ),
      ({ trees: [tree] }) => {
        assert.isUndefined(tree!.below[0]!.attributes["gen_ai.input.messages"])
        const { attributes } = tree!
        return [
          attributes["gen_ai.system_instructions"],
          attributes["gen_ai.input.messages"],
          attributes["gen_ai.output.messages"]
        ].map((text) => typeof text === "string" ? JSON.parse(text) as unknown : text)
      }
    )

  it.effect("is not recorded, unless somebody asks for it", () =>
    Effect.gen(function*() {
      for (const options of [undefined, false]) {
        assert.deepStrictEqual(yield* recorded(options), [undefined, undefined, undefined])
      }
      const { trees } = yield* watched(Llm.generateText(llm, { prompt: [...prompt] }), { openai: [answer] })
      assert.notInclude(JSON.stringify(trees), "4111")
    }))

  it.effect("has the form of the conventions", () =>
    Effect.gen(function*() {
      for (const stream of [false, true]) {
        assert.deepStrictEqual(yield* recorded(true, stream), [
          [{ type: "text", content: "You are a guide. Key: sk-123." }],
          [{ role: "user", parts: [{ type: "text", content: "My card is 4111-1111. How high?" }] }],
          [{
            role: "assistant",
            parts: [{ type: "text", content: "330 m, and 4111-1111 is your card" }],
            finish_reason: "stop"
          }]
        ])
      }
    }))

  it.effect("is cut, and passes a function first", () =>
    Effect.gen(function*() {
      const places: Array<string> = []
      const redact = (text: string, place: Telemetry.Place) => {
        places.push(place)
        return text.replaceAll(/\d{4}-\d{4}|sk-\d+/g, "…")
      }
      assert.deepStrictEqual(yield* recorded({ redact, maxLength: 12 }), [
        [{ type: "text", content: "You are a gu… (12 more characters)" }],
        [{ role: "user", parts: [{ type: "text", content: "My card is …… (11 more characters)" }] }],
        [{
          role: "assistant",
          parts: [{ type: "text", content: "330 m, and …… (13 more characters)" }],
          finish_reason: "stop"
        }]
      ])
      assert.deepStrictEqual(places, ["system", "input", "output"])
    }))

  it.effect("is left out where the function throws, and the call goes on", () =>
    Effect.gen(function*() {
      const redact = () => {
        throw new Error("no")
      }
      assert.include(JSON.stringify(yield* recorded({ redact })), "(could not be redacted)")
      assert.notInclude(JSON.stringify(yield* recorded({ redact })), "card")
    }))

  it.effect("has the calls of tools and what they gave, and no files", () =>
    Effect.gen(function*() {
      const { trees } = yield* watched(
        Llm.generateText(llm, {
          prompt: [
            {
              role: "user",
              content: [
                { type: "text", text: "What is this?" },
                { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) }
              ]
            },
            { role: "assistant", content: [{ type: "tool-call", id: "c1", name: "look", params: { at: "left" } }] },
            {
              role: "tool",
              content: [{ type: "tool-result", id: "c1", name: "look", result: "a dog", isFailure: false }]
            }
          ]
        }),
        { openai: [answer] },
        { content: true }
      )
      assert.deepStrictEqual(JSON.parse(trees[0]!.attributes["gen_ai.input.messages"] as string), [
        { role: "user", parts: [{ type: "text", content: "What is this?" }, { type: "blob", mime_type: "image/png" }] },
        { role: "assistant", parts: [{ type: "tool_call", id: "c1", name: "look", arguments: "{\"at\":\"left\"}" }] },
        { role: "tool", parts: [{ type: "tool_call_response", id: "c1", response: "\"a dog\"" }] }
      ])
    }))
})

describe("spans", () => {
  it.effect("go on where nobody can say whether a provider may know of them", () =>
    Effect.gen(function*() {
      const { exit, trees } = yield* watched(ask(openai), { openai: [answer] }, {
        propagate: () => {
          throw new Error("no")
        }
      })
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(trees[0]!.below.length, 1)
    }))

  it.effect("hang below those of the application, and have what it puts on all of them", () =>
    Effect.gen(function*() {
      const { trees } = yield* watched(
        ask(openai).pipe(Effect.annotateSpans("team", "towers"), Effect.withSpan("GET /towers")),
        { openai: [answer] }
      )
      assert.deepStrictEqual(trees.map(({ span }) => span), ["GET /towers"])
      const [operation] = trees[0]!.below
      assert.strictEqual(operation!.span, "chat gpt-5-mini")
      assert.strictEqual(operation!.attributes["team"], "towers")
    }))

  it.effect("are above those of whatever runs within the call", () =>
    Effect.gen(function*() {
      const looked = Llm.make({
        plan: openai.plan,
        open: (call) => Effect.withSpan(openai.open(call), "a policy of one's own")
      })
      const { trees } = yield* watched(ask(looked), { openai: [answer] })
      assert.deepStrictEqual(trees[0]!.below.map(({ span }) => span), [
        "a policy of one's own",
        "attempt openai/gpt-5-mini"
      ])
    }))

  it.effect("are not begun where nobody would see them", () =>
    Effect.gen(function*() {
      const untraced = yield* watched(Effect.withTracerEnabled(ask(openai), false), { openai: [answer] })
      assert.deepStrictEqual(untraced.trees, [])
      const { seen } = yield* Effect.gen(function*() {
        const seen: Array<Option.Option<Tracer.AnySpan>> = []
        const looked = Llm.make({
          plan: openai.plan,
          open: (call) =>
            Effect.andThen(
              Effect.map(Effect.serviceOption(Tracer.ParentSpan), (span) => void seen.push(span)),
              openai.open(call)
            )
        })
        yield* ask(looked)
        return { seen }
      }).pipe(
        Effect.provide([Telemetry.layer(), ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("330 m")])]),
        Effect.provideService(Tracer.Tracer, Tracer.nativeTracer)
      )
      assert.deepStrictEqual(seen, [Option.none()])
    }))

  it.effect("are sampled as those above them", () =>
    Effect.gen(function*() {
      const { spans } = yield* watched(
        Effect.withSpan(ask(openai), "not sampled", { sampled: false }),
        { openai: [answer] }
      )
      assert.deepStrictEqual(spans.map(({ sampled }) => sampled), [false, false, false])
      const below = yield* watched(
        ask(openai).pipe(Effect.provideService(Tracer.MinimumTraceLevel, "Error")),
        { openai: [answer] }
      )
      assert.deepStrictEqual(below.spans.map(({ sampled }) => sampled), [false, false])
    }))

  it.effect("skip those that the application hides", () =>
    Effect.gen(function*() {
      const { tracer, trees } = makeTracer()
      const annotations = Context.make(Tracer.DisablePropagation, true)
      yield* ask(openai).pipe(
        Effect.withSpan("hidden", { annotations }),
        Effect.withSpan("seen"),
        Effect.provide([Telemetry.layer(), ScriptedProvider.layer(OpenAi, [ScriptedProvider.text("330 m")])]),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      assert.deepStrictEqual(trees().map(({ below, span }) => [span, below.map(({ span }) => span)]), [
        ["seen", ["chat gpt-5-mini"]]
      ])
    }))

  it.effect("of calls that share an answer point to the one that asks for it, on which its request is", () =>
    Effect.gen(function*() {
      const shared = SingleFlight.share(openai, { key: () => "one" })
      const { counted, spans, trees } = yield* watched(
        Effect.all([ask(shared), ask(shared), ask(shared)], { concurrency: "unbounded" }).pipe(
          Effect.provide(SingleFlight.layer())
        ),
        { openai: [answer] }
      )
      assert.deepStrictEqual(trees.map(({ below, links }) => [below.length, links]), [[1, 0], [0, 1], [0, 1]])
      assert.strictEqual(spans.find(({ links }) => links.length > 0)?.links[0]?.span, spans[0])
      assert.deepStrictEqual(trees[1]!.events, [["bulwark.cache", 0, { "bulwark.cache.result": "coalesced" }]])
      assert.strictEqual(counted["llm_attempts_total{model=gpt-5-mini,endpoint=openai,outcome=success}"], 1)
      assert.strictEqual(counted["llm_cache_results_total{result=coalesced}"], 2)
      assert.strictEqual(counted["llm_cache_saved_tokens_total{model=gpt-5-mini}"], 240)
      assert.strictEqual(counted["llm_tokens_used_total{model=gpt-5-mini,type=input}"], 100)
    }))

  it.effect("of what a cache renews behind its readers say so, and are no requests of theirs", () =>
    Effect.gen(function*() {
      const cached = openai.pipe(
        Cache.through({ timeToLive: "1 second", staleWhileRevalidate: "1 minute" })
      )
      const { counted, trees } = yield* watched(
        Effect.gen(function*() {
          yield* ask(cached)
          yield* Effect.sleep("10 seconds")
          yield* ask(cached)
          yield* Effect.sleep("10 seconds")
        }).pipe(Effect.provide(Cache.layerMemory())),
        { openai: () => answer }
      )
      const [asked, read] = trees
      // It hangs below the one that was the occasion for it.
      assert.deepStrictEqual(
        [asked!, read!, read!.below[0]!].map(({ attributes, below }) => [
          attributes["bulwark.cache.result"],
          attributes["bulwark.cache.refresh"],
          attributes["bulwark.attempts"],
          below.map(({ span }) => span)
        ]),
        [
          ["miss", undefined, 1, ["attempt openai/gpt-5-mini"]],
          ["stale", undefined, 0, ["chat gpt-5-mini"]],
          ["miss", true, 1, ["attempt openai/gpt-5-mini"]]
        ]
      )
      assert.strictEqual(counted["llm_attempts_total{model=gpt-5-mini,endpoint=openai,outcome=success}"], 2)
      const durations = "llm_request_duration_seconds{model=gpt-5-mini,endpoint=openai,outcome=success}"
      assert.deepStrictEqual(counted[durations], [2, 0.2])
      assert.strictEqual(counted["llm_cache_results_total{result=miss}"], 1)
      assert.strictEqual(counted["llm_cache_results_total{result=stale}"], 1)
    }))
})

describe("other ways to call", () => {
  it.effect("are watched by the telemetry of the caller: a language model of effect/ai", () =>
    Effect.gen(function*() {
      const model = Llm.layerLanguageModel(openai)
      const { counted, trees } = yield* watched(
        Effect.provide(LanguageModel.generateText({ prompt: "How high?" }), model),
        { openai: [answer] }
      )
      assert.deepStrictEqual(trees.map(({ below, span }) => [span, below.map(({ span }) => span)]), [
        ["LanguageModel.generateText", ["chat gpt-5-mini"]]
      ])
      assert.strictEqual(counted["llm_attempts_total{model=gpt-5-mini,endpoint=openai,outcome=success}"], 1)
    }))

  it.effect("have a span for each execution of a tool", () =>
    Effect.gen(function*() {
      const secret = "Atlant1s"
      const find = Tool.make("find", {
        parameters: Schema.Struct({ of: Schema.String }),
        success: Schema.String,
        failure: Schema.String
      })
      const toolkit = Toolkit.make(find)
      const called = ScriptedProvider.toolCall("find", { of: secret }, { id: "call_1", usage })
      const runs: Record<string, Effect.Effect<unknown, unknown, OpenAi | Tool.HandlersFor<typeof toolkit.tools>>> = {
        text: Llm.generateText(openai, { ...question, toolkit }),
        stream: Stream.runDrain(Llm.streamText(openai, { ...question, toolkit }))
      }
      const ends = {
        ok: Effect.succeed("found"),
        failed: Effect.fail(secret),
        died: Effect.die(secret),
        ended: Effect.interrupt
      }
      for (const [name, run] of Object.entries(runs)) {
        const seen: Record<string, unknown> = {}
        for (const [end, handled] of Object.entries(ends)) {
          const { trees } = yield* watched(
            Effect.provide(
              Effect.exit(run),
              toolkit.toLayer({ find: () => Effect.withSpan(handled, "looking") })
            ),
            { openai: [called] }
          )
          const tool = trees.find(({ span }) => span.startsWith("execute_tool"))!
          // (What the handler's own spans say is its own affair.)
          assert.notInclude(JSON.stringify({ ...tool, below: [] }), secret, name)
          assert.deepStrictEqual(tool.below.map(({ span }) => span), ["looking"])
          assert.isNumber(tool.to)
          seen[end] = [tool.span, tool.kind, tool.status, tool.attributes]
        }
        const of = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find" }
        const as = (outcome: string) => ({ ...of, "bulwark.outcome": outcome, "error.type": outcome })
        assert.deepStrictEqual(seen, {
          ok: ["execute_tool find", "internal", "ok", { ...of, "bulwark.outcome": "success" }],
          failed: ["execute_tool find", "internal", "_OTHER: _OTHER", as("_OTHER")],
          died: ["execute_tool find", "internal", "defect: defect", as("defect")],
          ended: ["execute_tool find", "internal", "interrupted", { ...of, "bulwark.outcome": "interrupted" }]
        }, name)
      }
    }))

  it.effect("name no tool that the model has made up", () =>
    Effect.gen(function*() {
      const toolkit = Toolkit.make(Tool.make("find", { success: Schema.String }))
      const { trees } = yield* watched(
        Effect.provide(
          Effect.exit(Llm.generateText(openai, { ...question, toolkit })),
          toolkit.toLayer({ find: () => Effect.succeed("found") })
        ),
        { openai: [ScriptedProvider.toolCall("Atlant1s", {}, { usage })] }
      )
      assert.notInclude(JSON.stringify(trees), "Atlant1s")
    }))

  it.effect("have a span for each request of an operation with tools", () =>
    Effect.gen(function*() {
      const height = Tool.make("height", { parameters: Schema.Struct({ of: Schema.String }), success: Schema.Finite })
      const toolkit = Toolkit.make(height)
      const { trees } = yield* watched(
        Effect.provide(
          Llm.generateText(openai, { prompt: "How high?", toolkit }),
          toolkit.toLayer({ height: () => Effect.withSpan(Effect.succeed(330), "measuring") })
        ),
        { openai: [ScriptedProvider.toolCall("height", { of: "tower" }, { usage })] },
        { content: true }
      )
      assert.deepStrictEqual(trees.map(({ below, span }) => [span, below.map(({ span }) => span)]), [
        ["chat gpt-5-mini", ["attempt openai/gpt-5-mini"]],
        ["execute_tool height", ["measuring"]]
      ])
      assert.include(trees[0]!.attributes["gen_ai.output.messages"] as string, "tool_call")
    }))

  it.effect("say that the answer comes from no model", () =>
    Effect.gen(function*() {
      const { counted, trees } = yield* watched(
        ask(openai.pipe(Llm.orElseSucceed(() => "High."))),
        { openai: [ScriptedProvider.fail("Overloaded")] }
      )
      const [tree] = trees
      assert.strictEqual(tree!.attributes["bulwark.degraded"], true)
      assert.strictEqual(tree!.attributes["bulwark.outcome"], "success")
      assert.deepStrictEqual(tree!.events, [["bulwark.degraded", 0, { "bulwark.reason": "Overloaded" }]])
      assert.strictEqual(counted["llm_policy_events_total{type=degraded,reason=Overloaded}"], 1)
    }))
})

describe("embeddings", () => {
  const model = Embedding.model(OpenAi, "text-embedding-3-small")

  it.effect("are operations with one request each, and no words come out of them", () =>
    Effect.gen(function*() {
      const { counted, trees } = yield* watched(Embedding.embedMany(model, ["a", "b"]))
      const shown = ({ attributes, below, kind, span, status }: Tree): unknown => [
        span,
        kind,
        status,
        attributes,
        below.map(shown)
      ]
      assert.deepStrictEqual(trees.map(shown), [[
        "embeddings text-embedding-3-small",
        "internal",
        "ok",
        {
          "gen_ai.operation.name": "embeddings",
          "gen_ai.request.model": "text-embedding-3-small",
          "gen_ai.provider.name": "openai",
          "gen_ai.response.model": "text-embedding-3-small",
          "bulwark.outcome": "success",
          "bulwark.attempts": 1
        },
        [["attempt openai/text-embedding-3-small", "client", "ok", {
          "gen_ai.operation.name": "embeddings",
          "gen_ai.provider.name": "openai",
          "gen_ai.request.model": "text-embedding-3-small",
          "bulwark.attempt": 1,
          "bulwark.outcome": "success",
          "gen_ai.usage.input_tokens": 2
        }, []]]
      ]])
      const labels =
        "gen_ai.operation.name=embeddings,gen_ai.provider.name=openai,gen_ai.request.model=text-embedding-3-small"
      assert.deepStrictEqual(counted, {
        "llm_request_duration_seconds{model=text-embedding-3-small,endpoint=openai,outcome=success}": [1, 0],
        "llm_attempts_total{model=text-embedding-3-small,endpoint=openai,outcome=success}": 1,
        [`gen_ai.client.operation.duration{${labels}}`]: [1, 0],
        [`gen_ai.client.token.usage{${labels},gen_ai.token.type=input}`]: [1, 2],
        "llm_tokens_used_total{model=text-embedding-3-small,type=input}": 2
      })
    }))

  it.effect("that fail say how, and those that are given up say so", () =>
    Effect.gen(function*() {
      const outcomes: Array<unknown> = []
      for (const embed of [() => Effect.fail(new LlmError.Overloaded({})), () => Effect.never]) {
        const { tracer, trees } = makeTracer()
        const fiber = yield* Embedding.embed(model, "a").pipe(
          Effect.provideService(OpenAi, {
            whole: () => Effect.never,
            stream: () => Stream.never,
            embedder: { embed, maxInputs: 10 }
          }),
          Effect.provide(Telemetry.layer()),
          Effect.provideService(Tracer.Tracer, tracer),
          Effect.forkChild({ startImmediately: true })
        )
        yield* Fiber.interrupt(fiber)
        outcomes.push(
          trees().map(({ attributes, below }) => [
            attributes["bulwark.outcome"],
            below.map(({ attributes }) => attributes["bulwark.outcome"])
          ])
        )
      }
      assert.deepStrictEqual(outcomes, [[["Overloaded", ["Overloaded"]]], [["interrupted", ["interrupted"]]]])
      const counted = yield* numbers
      assert.isUndefined(counted["llm_requests_in_flight"])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("prices", () => {
  const prices = Pricing.layerOf([
    Pricing.model({ provider: "openai", model: "gpt-5-mini", price: { input: 1, output: 10 } })
  ])

  it.effect("are those of the models, where nobody keeps account", () =>
    Effect.gen(function*() {
      const { tracer, trees } = makeTracer()
      const receipts: Array<Receipt.Receipt> = []
      yield* Effect.all([ask(openai), Effect.exit(ask(Llm.model(OpenAi, "unheard-of")))]).pipe(
        Receipt.observe((receipt) => Effect.sync(() => receipts.push(receipt))),
        Effect.provide([
          Layer.provide(Telemetry.layerPriced(), prices),
          ScriptedProvider.layer(OpenAi, () => ScriptedProvider.text("330 m", { usage }))
        ]),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      const counted = yield* numbers
      assert.deepStrictEqual(trees().map(({ attributes }) => attributes["bulwark.cost.micro_usd"]), [300, undefined])
      assert.deepStrictEqual(counted["llm_request_cost_dollars{model=gpt-5-mini}"], [1, 0.0003])
      assert.strictEqual(counted["llm_unpriced_requests_total{model=unheard-of}"], 1)
      // What is told to others stays as it was.
      assert.isUndefined(receipts[0]!.cost)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("what is true of a moment", () => {
  it.effect("is so at that moment", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const look = Effect.map(numbers, (now) => {
        seen.push([
          now["llm_requests_in_flight"] ?? 0,
          now["llm_attempts_in_flight{model=gpt-5-mini,endpoint=openai}"] ?? 0
        ])
      })
      const llm = openai.pipe(Llm.retry(Schedule.spaced(1_000).pipe(Schedule.upTo({ times: 1 }))))
      yield* watched(
        Effect.all([ask(llm), Effect.repeat(look, Schedule.spaced(150).pipe(Schedule.upTo({ times: 12 })))], {
          concurrency: "unbounded"
        }),
        { openai: [ScriptedProvider.fail("Overloaded", { delay: 200 }), answer] }
      )
      // Asked until 200, waiting until 1,200, asked again until 1,400.
      assert.deepStrictEqual(seen, [
        [1, 1],
        [1, 1],
        ...Array.from({ length: 6 }, () => [1, 0]),
        [1, 1],
        [1, 1],
        [0, 0],
        [0, 0],
        [0, 0]
      ])
    }))
})
