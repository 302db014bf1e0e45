/**
 * Keys, prompts and answers stay where they belong, whatever a provider says and whoever watches.
 *
 * Every adapter, whole and streamed, by itself and in the recommended stack, with tools and with a schema, meets servers that say all
 * that they know in every place where they can say anything. Then everything that can be seen of it is searched: no credential
 * anywhere, and content nowhere but in the answer itself and in what is unwrapped on purpose.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Breaker, Llm, LlmError, Plan, type RetryBudget } from "effect-bulwark"
import type * as Tool from "effect/ai/Tool"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { observe, printed } from "../support/observe.ts"
import * as Canary from "./support/canary.ts"
import { adapters } from "./support/canaryAdapters.ts"

const { P, prompt, Q, schema, toolkit } = Canary

const bare = Llm.model(P, "model-x")

// Retries at once: what is said to wait for is no number.
const standard = (resume: "restart" | "continue") =>
  Llm.standard({
    models: [bare, Llm.model(Q, "model-y")],
    retry: Schedule.recurs(1),
    hedge: { after: "1 minute" },
    resume
  })

type Services = Canary.P | Canary.Q | Breaker.Breaker | RetryBudget.RetryBudget | Tool.HandlersFor<typeof toolkit.tools>

/** Every way of asking. */
const operations = <E, R extends Services>(
  llm: Llm.Llm<E, R>
): { readonly [name: string]: Effect.Effect<unknown, unknown, Services> } => ({
  text: Llm.generateText(llm, { prompt }),
  stream: Stream.runDrain(Llm.streamText(llm, { prompt })),
  object: Llm.generateObject(llm, { prompt, schema }),
  "text with tools": Llm.generateText(llm, { prompt, toolkit }),
  "stream with tools": Stream.runDrain(Llm.streamText(llm, { prompt, toolkit })),
  "object with tools": Llm.generateObject(llm, { prompt, schema, toolkit })
})

const stacks = {
  bare: operations(bare),
  "standard, restarting": operations(standard("restart")),
  "standard, continuing": operations(standard("continue"))
}

const services = Layer.mergeAll(Canary.handlers, Llm.layerStandard())

for (const [adapterName, adapter] of Object.entries(adapters)) {
  describe(adapterName, () => {
    const provided = (plant: Canary.Plant, requests: Array<string>) =>
      Layer.mergeAll(adapter.layer(P, Canary.options), adapter.layer(Q, Canary.options)).pipe(
        Layer.provide(Canary.client(plant, adapter.isStreamed, requests)),
        Layer.merge(services)
      )

    for (const [plantName, plant] of Object.entries({ ...Canary.commonPlants, ...adapter.plants })) {
      it.effect(`keeps to itself what it hears in ${plantName}`, () =>
        Effect.gen(function*() {
          for (const [stackName, runs] of Object.entries(stacks)) {
            for (const [runName, run] of Object.entries(runs)) {
              const requests: Array<string> = []
              const { receipts, seen, spans, unwrapped } = yield* observe(run).pipe(
                Effect.provide(provided(plant, requests), { local: true })
              )
              const where = `${stackName}, ${runName}`
              // There was something to hide, and something to see.
              for (const secret of Object.values(Canary.secrets)) assert.include(requests[0], secret, where)
              assert.include(requests[0], Canary.content.user, where)
              assert.isAbove(spans, 0, where)
              assert.lengthOf(receipts, 1, where)
              assert.deepStrictEqual(Canary.leaks(seen), [], where)
              assert.deepStrictEqual(Canary.secretLeaks(unwrapped), [], where)
            }
          }
        }))
    }

    it.effect("hands content to whom it belongs", () =>
      Effect.gen(function*() {
        const ask = <A, E>(name: string, run: Effect.Effect<A, E, Services>) =>
          observe(run).pipe(Effect.provide(provided(adapter.plants[name]!, []), { local: true }))
        const good = yield* ask("a good answer", Llm.generateText(standard("restart"), { prompt }))
        assert(Exit.isSuccess(good.exit))
        assert.strictEqual(good.exit.value.text, Canary.content.text)
        assert.strictEqual(good.exit.value.reasoningText, Canary.content.reasoning)
        const called = yield* ask("a call of a tool", Llm.generateText(standard("restart"), { prompt, toolkit }))
        assert(Exit.isSuccess(called.exit))
        assert.deepStrictEqual(called.exit.value.toolCalls[0]?.params, { city: Canary.content.params })
        assert.strictEqual(called.exit.value.toolResults[0]?.result, Canary.content.handled)
        // Whoever unwraps an error finds what had been said, and what the server said to it.
        const cut = yield* ask("an answer that breaks off", Stream.runDrain(Llm.streamText(bare, { prompt })))
        assert.include(cut.unwrapped, Canary.content.text)
        const failed = yield* ask("an error before the first word", Llm.generateText(bare, { prompt }))
        assert.include(failed.unwrapped, Canary.content.user)
      }))

    it.effect("is itself, with its options and its plan, nothing that tells", () =>
      Effect.gen(function*() {
        const layer = provided(Canary.both("{}"), [])
        const context = yield* Layer.build(layer)
        assert.deepStrictEqual(
          Canary.leaks({
            layer: printed(layer),
            services: printed(context),
            options: printed(Canary.options) + JSON.stringify(Canary.options),
            llm: printed(standard("restart")),
            plan: Plan.render(standard("restart").plan)
          }),
          []
        )
      }))
  })
}

describe("the search", () => {
  const { content, secrets } = Canary

  const answered = <A, E>(leak: Effect.Effect<A, E>) => Effect.map(observe(leak), ({ seen }) => Canary.leaks(seen))

  it.effect("finds nothing where there is nothing", () =>
    Effect.gen(function*() {
      const { seen } = yield* observe(Effect.withSpan(Effect.logTrace("hello"), "outer"))
      assert.deepStrictEqual(Canary.leaks(seen), [])
      // In the words of five loggers, and as an event of the span.
      assert.lengthOf(seen["logs"]?.match(/hello/g) ?? [], 5)
      assert.include(seen["spans"], "hello")
    }))

  it.effect("finds what a logger, a span or a metric gives away", () =>
    Effect.gen(function*() {
      const leaky: { readonly [where: string]: Effect.Effect<unknown, unknown> } = {
        logs: Effect.logTrace(content.user),
        "logs ": Effect.log("x").pipe(Effect.annotateLogs({ key: secrets.key })),
        "logs  ": Effect.log({ nested: { deeply: [content.params] } }),
        attributes: Effect.withSpan(Effect.annotateCurrentSpan("key", secrets.key), "x"),
        spans: Effect.withSpan(Effect.succeed({ nested: content.text }), "x"),
        "spans ": Effect.withSpan(Effect.fail(content.refusal), "x"),
        "spans  ": Effect.void.pipe(Effect.withSpan(content.user)),
        metrics: Metric.update(Metric.withAttributes(Metric.counter("calls"), { prompt: content.user }), 1),
        cause: Effect.fail({ nested: content.reasoning })
      }
      for (const [where, leak] of Object.entries(leaky)) {
        assert.include((yield* answered(leak)).map((found) => found.split(":")[0]).join(), where.trim(), where)
      }
    }))

  it.effect("finds what an adapter gives away: the model's name in receipts, words in messages", () =>
    Effect.gen(function*() {
      const telltale = new LlmError.MalformedResponse({ provider: "p", model: secrets.key, problem: content.text })
      const found = yield* answered(Effect.fail(telltale))
      assert.include(found, "error: message: text")
      assert.include(found, "error: json: a secret")
      assert.include(found, "logs: text")
    }))
})
