/**
 * What an operation with tools leaves in traces: its requests and its handlers' spans, and nothing of what the model wrote.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema, Stream, Tracer } from "effect"
import { Llm } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { inspect } from "node:util"
import { makeSpans } from "../support/observe.ts"
import { OpenAi, openai, question } from "./support/stack.ts"

const secret = "Atlant1s"

const Weather = Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })

const toolkit = Toolkit.make(Weather)

/** A handler that traces itself, and says something of the span that it is called in. */
const handlers = toolkit.toLayer({
  Weather: () =>
    Effect.annotateCurrentSpan("handled", true).pipe(
      Effect.andThen(Effect.withSpan(Effect.succeed("sunny"), "station"))
    )
})

interface Recorded {
  readonly names: ReadonlyArray<string>
  /** Each with the names of those around it. */
  readonly chains: ReadonlyArray<string>
  readonly outer: { readonly [attribute: string]: unknown }
  readonly all: string
}

const recorded = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Recorded, never, R> =>
  Effect.gen(function*() {
    const { spans, tracer } = makeSpans()
    yield* effect.pipe(Effect.ignoreCause, Effect.withSpan("outer"), Effect.provideService(Tracer.Tracer, tracer))
    const chainOf = (span: Tracer.AnySpan): string =>
      span._tag === "ExternalSpan"
        ? "external"
        : Option.match(span.parent, {
          onNone: () => span.name,
          onSome: (parent) => `${span.name} < ${chainOf(parent)}`
        })
    return {
      names: spans.map(({ name }) => name),
      chains: spans.map(chainOf),
      outer: Object.fromEntries(spans[0]?.attributes ?? []),
      all: inspect(spans, { depth: 12 })
    }
  })

const traced = (params: unknown, enabled = true) => {
  const provider = ScriptedProvider.layer(OpenAi, () => ScriptedProvider.toolCall("Weather", params, { id: "call_1" }))
  // The provider's request, as an adapter over HTTP traces it.
  const requesting = Llm.make({
    plan: openai.plan,
    open: (call) => Effect.andThen(Effect.withSpan(Effect.void, "http"), openai.open(call))
  })
  const runs: {
    readonly [name: string]: Effect.Effect<unknown, unknown, OpenAi | Tool.HandlersFor<typeof toolkit.tools>>
  } = {
    text: Llm.generateText(requesting, { ...question, toolkit }),
    object: Llm.generateObject(requesting, { ...question, toolkit, schema: Schema.Struct({ x: Schema.String }) }),
    stream: Stream.runDrain(Llm.streamText(requesting, { ...question, toolkit }))
  }
  return Effect.forEach(
    Object.entries(runs),
    ([name, run]) => Effect.map(recorded(Effect.withTracerEnabled(run, enabled)), (seen) => [name, seen] as const)
  ).pipe(Effect.provide([handlers, provider]))
}

describe("an operation with tools", () => {
  it.effect("leaves no parameters of calls on spans, and traces handlers where they were called", () =>
    Effect.gen(function*() {
      for (const [name, { all, chains, outer }] of yield* traced({ city: secret })) {
        assert.deepStrictEqual(chains, ["outer", "http < outer", "station < outer"], name)
        assert.deepStrictEqual(outer, { tool: "Weather", handled: true }, name)
        assert.notInclude(all, secret, name)
      }
    }))

  it.effect("leaves nothing of a call that does not fit", () =>
    Effect.gen(function*() {
      for (const params of [{ city: [secret] }, { town: secret }, secret]) {
        for (const [name, { all }] of yield* traced(params)) assert.notInclude(all, secret, name)
      }
    }))

  it.effect("is not traced where nothing is", () =>
    Effect.gen(function*() {
      for (const [name, { names }] of yield* traced({ city: secret }, false)) {
        assert.deepStrictEqual(names, ["outer"], name)
      }
    }))

  it.effect("is traced by `effect/ai` itself where that is what is called", () =>
    Effect.gen(function*() {
      const { names, all } = yield* recorded(LanguageModel.generateText({ ...question, toolkit })).pipe(
        Effect.provide([
          handlers,
          Layer.provide(
            Llm.layerLanguageModel(openai),
            ScriptedProvider.layer(
              OpenAi,
              () => ScriptedProvider.toolCall("Weather", { city: secret }, { id: "call_1" })
            )
          )
        ])
      )
      assert.deepStrictEqual(names, ["outer", "LanguageModel.generateText", "station"])
      // It writes the parameters down: whoever minds keeps its spans out of the exporter.
      assert.include(all, secret)
    }))
})
