/**
 * Embedding models: batches, failures, waiting, and what serves `effect/ai`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Llm, LlmError, Retry } from "effect-bulwark"
import { Embedding, Provider } from "effect-bulwark/providers"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as AiError from "effect/ai/AiError"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"

class P extends Provider.Service<P>()("p") {}

const plain = Embedding.model(P, "m")

const texts = (count: number) => Array.from({ length: count }, (_, index) => `text ${index}`)

/** Vectors that say which text they belong to. */
const numbered: ScriptedProvider.EmbedScript = ({ inputs }) =>
  Effect.succeed({ vectors: inputs.map((text) => [Number(text.slice(5))]), inputTokens: inputs.length })

const expected = (count: number) => texts(count).map((_, index) => [index])

const make = (embed: ScriptedProvider.EmbedScript, maxInputs?: number) =>
  ScriptedProvider.make(P, [], { embed, maxInputs })

const sizes = ({ embeddings }: { readonly embeddings: ReadonlyArray<ScriptedProvider.SeenEmbedding> }) =>
  embeddings.map(({ request }) => request.inputs.length)

describe("model", () => {
  it("names the option that is not legal", () => {
    for (const option of ["dimensions", "batchSize", "concurrency"]) {
      for (const value of [0, -1, 1.5, Number.NaN]) {
        assert.throws(
          () => Embedding.model(P, "m", { [option]: value }),
          RangeError,
          `Embedding.model: \`${option}\` must be a positive integer, got ${value}`
        )
      }
    }
  })

  it("says what it is", () => {
    const model = Embedding.model(P, "m", { dimensions: 3 })
    assert.strictEqual(model.provider, "p")
    assert.strictEqual(model.model, "m")
    assert.strictEqual(model.dimensions, 3)
    assert.isUndefined(plain.dimensions)
  })

  it.effect("hands on what is asked", () =>
    Effect.gen(function*() {
      const scripted = make(ScriptedProvider.vectors)
      const model = Embedding.model(P, "m", { dimensions: 3, extra: { user: "u" } })
      yield* Embedding.embed(model, "a").pipe(Effect.provide(scripted.layer))
      assert.deepStrictEqual(scripted.embeddings.map(({ request }) => request), [
        { model: "m", inputs: ["a"], dimensions: 3, extra: { user: "u" } }
      ])
    }))

  it.effect("of a provider that embeds nothing fails, and says so", () =>
    Effect.gen(function*() {
      const silent = Layer.succeed(P, { whole: () => Effect.succeed([]), stream: () => Stream.empty })
      for (const count of [1, 3]) {
        const error = yield* Effect.flip(Embedding.embedMany(plain, texts(count))).pipe(Effect.provide(silent))
        assert(error._tag === "InvalidRequest")
        assert.include(error.message, "embeds nothing: ask one that has an `embedder`")
        assert.strictEqual(error.provider, "p")
        assert.strictEqual(error.model, "m")
      }
    }))
})

describe("embedMany", () => {
  it.effect("asks nothing for no texts", () =>
    Effect.gen(function*() {
      const scripted = make(numbered)
      const nothing = yield* Embedding.embedMany(plain, []).pipe(Effect.provide(scripted.layer))
      assert.deepStrictEqual(nothing, { vectors: [], inputTokens: 0 })
      assert.strictEqual(scripted.embeddings.length, 0)
    }))

  for (
    const [count, max, batchSize, batches] of [
      [3, undefined, undefined, [3]],
      [4, 2, undefined, [2, 2]],
      [5, 2, undefined, [2, 2, 1]],
      [5, 2, 3, [3, 2]],
      [5, undefined, 4, [4, 1]]
    ] as const
  ) {
    it.effect(`asks for ${count} texts in ${batches.length} requests where ${batchSize ?? max ?? "all"} go into one`, () =>
      Effect.gen(function*() {
        const scripted = make(numbered, max)
        const model = Embedding.model(P, "m", { batchSize })
        const result = yield* Embedding.embedMany(model, texts(count)).pipe(Effect.provide(scripted.layer))
        assert.deepStrictEqual(result, { vectors: expected(count), inputTokens: count })
        assert.deepStrictEqual(sizes(scripted), [...batches])
      }))
  }

  it.effect("knows the tokens only where all requests do", () =>
    Effect.gen(function*() {
      const scripted = make((request, index) =>
        Effect.map(numbered(request, index), (embedded) =>
          index === 1 ? { ...embedded, inputTokens: undefined } : embedded), 2)
      const result = yield* Embedding.embedMany(plain, texts(6)).pipe(Effect.provide(scripted.layer))
      assert.isUndefined(result.inputTokens)
    }))

  it.effect("runs one request after the other, or as many at once as it is told", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const scripted = make((request, index) =>
        Effect.sync(() => {
          most = Math.max(most, ++running)
        }).pipe(
          // The last come first.
          Effect.andThen(Effect.sleep(10 - index)),
          Effect.andThen(numbered(request, index)),
          Effect.tap(() => Effect.sync(() => running--))
        ), 1)
      for (const concurrency of [1, 3]) {
        most = 0
        const model = Embedding.model(P, "m", { concurrency })
        const fiber = yield* Embedding.embedMany(model, texts(4)).pipe(
          Effect.provide(scripted.layer),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual((yield* Fiber.join(fiber)).vectors, expected(4))
        assert.strictEqual(most, concurrency)
      }
    }))

  it.effect("fails with the first failure, and stops what is under way", () =>
    Effect.gen(function*() {
      const scripted = make((request, index) =>
        index === 0
          ? Effect.never
          : index === 1
          ? Effect.delay(Effect.fail(new LlmError.Overloaded({})), "1 second")
          : numbered(request, index), 1)
      const model = Embedding.model(P, "m", { concurrency: 2 })
      const fiber = yield* Embedding.embedMany(model, texts(4)).pipe(
        Effect.provide(scripted.layer),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Overloaded")
      assert.deepStrictEqual(scripted.embeddings.map(({ outcome }) => outcome), ["interrupted", "Overloaded"])
    }))

  it.effect("is interrupted with its requests", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const scripted = make(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      const fiber = yield* Embedding.embedMany(plain, texts(2)).pipe(Effect.provide(scripted.layer), Effect.forkChild)
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(scripted.embeddings.map(({ outcome }) => outcome), ["interrupted"])
    }))
})

describe("an answer", () => {
  const wrong: ReadonlyArray<
    readonly [problem: string, vectors: ReadonlyArray<ReadonlyArray<number>>, transient: boolean]
  > = [
    ["it has 1 vectors for 2 texts", [[1, 2]], true],
    ["it has 3 vectors for 2 texts", [[1, 2], [3, 4], [5, 6]], true],
    ["a vector is empty", [[], []], true],
    ["its vectors are not all of one length", [[1, 2], [3]], true],
    ["something that is not a finite number", [[1, 2], [3, Number.NaN]], true],
    ["something that is not a finite number", [[1, Infinity], [3, 4]], true],
    ["its vectors have 3 dimensions and not 2", [[1, 2, 3], [4, 5, 6]], false]
  ]
  for (const [problem, vectors, transient] of wrong) {
    it.effect(`is malformed where ${problem}`, () =>
      Effect.gen(function*() {
        const scripted = make(() => Effect.succeed({ vectors, inputTokens: 1 }))
        const error = yield* Embedding.embedMany(Embedding.model(P, "m", { dimensions: 2 }), ["a", "b"]).pipe(
          Effect.provide(scripted.layer),
          Effect.flip
        )
        assert(error._tag === "MalformedResponse")
        assert.include(error.message, problem)
        assert.strictEqual(LlmError.isTransient(error), transient)
      }))
  }
})

const limited = (seconds: number) => new LlmError.RateLimited({ retryAfter: Duration.seconds(seconds) })

describe("an account that has been told to wait", () => {
  it.effect("waits, with all that it is asked", () =>
    Effect.gen(function*() {
      const scripted = ScriptedProvider.make(P, () => ScriptedProvider.text("hi"), {
        embed: (request, index) => index === 0 ? Effect.fail(limited(10)) : numbered(request, index)
      })
      yield* Effect.gen(function*() {
        yield* Effect.flip(Embedding.embed(plain, "text 1"))
        yield* TestClock.adjust("4 seconds")
        const parked = yield* Effect.flip(Embedding.embed(plain, "text 1"))
        assert(parked._tag === "RateLimited")
        assert.isTrue(parked.parked)
        assert.strictEqual(Duration.toSeconds(parked.retryAfter ?? 0), 6)
        const answer = yield* Effect.flip(Llm.generateText(Llm.model(P, "gpt"), { prompt: "Hello?" }))
        assert(answer._tag === "RateLimited")
        assert.isTrue(answer.parked)
        assert.strictEqual(scripted.embeddings.length, 1)
        assert.strictEqual(scripted.calls.length, 0)
        yield* TestClock.adjust("6 seconds")
        assert.deepStrictEqual(yield* Embedding.embed(plain, "text 1"), [1])
      }).pipe(Effect.provide(scripted.layer))
    }))

  it.effect("waits with its embeddings where it was answers that were refused", () =>
    Effect.gen(function*() {
      const scripted = ScriptedProvider.make(P, [ScriptedProvider.fail(limited(10))], { embed: numbered })
      yield* Effect.gen(function*() {
        yield* Effect.flip(Llm.generateText(Llm.model(P, "gpt"), { prompt: "Hello?" }))
        assert.strictEqual((yield* Effect.flip(Embedding.embed(plain, "text 1")))._tag, "RateLimited")
        assert.strictEqual(scripted.embeddings.length, 0)
      }).pipe(Effect.provide(scripted.layer))
    }))

  it.effect("waits no longer than its quota does", () =>
    Effect.gen(function*() {
      const inner = make((request, index) =>
        request.model === "m" ? Effect.fail(limited(10)) : numbered(request, index)
      )
      const byModel = Layer.effect(
        P,
        Effect.map(P, (provider): Provider.Provider => ({ ...provider, quotaDomain: ({ model }) => model }))
      ).pipe(Layer.provide(inner.layer))
      yield* Effect.gen(function*() {
        yield* Effect.flip(Embedding.embed(plain, "text 1"))
        assert.deepStrictEqual(yield* Embedding.embed(Embedding.model(P, "other"), "text 1"), [1])
      }).pipe(Effect.provide(byModel))
    }))
})

describe("perRequest", () => {
  const patient = Retry.transient.pipe(
    Schedule.setInputType<LlmError.LlmError>(),
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(Duration.max(duration, LlmError.retryAfter(input) ?? Duration.zero))
    )
  )

  const model = plain.pipe(Embedding.perRequest(Effect.retry({ schedule: patient, while: LlmError.isTransient })))

  it.effect("repeats the request that failed, and no other, as late as the provider wants", () =>
    Effect.gen(function*() {
      const scripted = make((request, index) => index === 1 ? Effect.fail(limited(30)) : numbered(request, index), 2)
      const fiber = yield* Embedding.embedMany(model, texts(6)).pipe(
        Effect.provide(scripted.layer),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(sizes(scripted), [2, 2])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { vectors: expected(6), inputTokens: 6 })
      assert.deepStrictEqual(scripted.embeddings.map(({ request: { inputs: [first] } }) => first), [
        "text 0",
        "text 2",
        "text 2",
        "text 4"
      ])
    }))

  it.effect("leaves alone what is not transient", () =>
    Effect.gen(function*() {
      const scripted = make(() => Effect.fail(new LlmError.AuthenticationFailed({})))
      const error = yield* Effect.flip(Embedding.embed(model, "a")).pipe(Effect.provide(scripted.layer))
      assert.strictEqual(error._tag, "AuthenticationFailed")
      assert.strictEqual(scripted.embeddings.length, 1)
    }))

  it.effect("keeps what the model is, and can be called either way", () =>
    Effect.gen(function*() {
      const small = Embedding.model(P, "m", { dimensions: 3, batchSize: 1 })
      let requests = 0
      const counted = Embedding.perRequest(small, (request) =>
        Effect.andThen(
          Effect.sync(() => {
            requests++
          }),
          request
        ))
      assert.strictEqual(counted.dimensions, 3)
      yield* Embedding.embedMany(counted, texts(3)).pipe(Effect.provide(make(ScriptedProvider.vectors).layer))
      assert.strictEqual(requests, 3)
    }))
})

describe("layerEmbeddingModel", () => {
  const served = (model: Embedding.Embedding<LlmError.ProviderError, P, number>, layer: Layer.Layer<P>) =>
    Effect.provide(Embedding.layerEmbeddingModel(model).pipe(Layer.provide(layer)))

  const sized = Embedding.model(P, "m", { dimensions: 1 })

  it.effect("embeds, one and many", () =>
    Effect.gen(function*() {
      const scripted = make(numbered, 2)
      yield* Effect.gen(function*() {
        const model = yield* EmbeddingModel.EmbeddingModel
        assert.deepStrictEqual((yield* model.embed("text 3")).vector, [3])
        const many = yield* model.embedMany(texts(3))
        assert.deepStrictEqual(many.embeddings.map(({ vector }) => vector), expected(3))
        assert.strictEqual(many.usage.inputTokens, 3)
        assert.deepStrictEqual((yield* model.embedMany([])).embeddings, [])
        assert.strictEqual(yield* EmbeddingModel.Dimensions, 1)
      }).pipe(served(sized, scripted.layer))
      assert.deepStrictEqual(sizes(scripted), [1, 2, 1])
    }))

  it.effect("puts what is asked at the same time into one request", () =>
    Effect.gen(function*() {
      const scripted = make(numbered)
      yield* Effect.gen(function*() {
        const model = yield* EmbeddingModel.EmbeddingModel
        const vectors = yield* Effect.forEach(texts(5), (text) => model.embed(text), { concurrency: "unbounded" })
        assert.deepStrictEqual(vectors.map(({ vector }) => vector), expected(5))
      }).pipe(served(sized, scripted.layer))
      assert.deepStrictEqual(sizes(scripted), [5])
    }))

  it.effect("says in the words of effect/ai what went wrong, and which failure it was", () =>
    Effect.gen(function*() {
      const scripted = make(() => Effect.fail(limited(7)))
      yield* Effect.gen(function*() {
        const model = yield* EmbeddingModel.EmbeddingModel
        const error = yield* Effect.flip(model.embed("a"))
        assert.instanceOf(error, AiError.AiError)
        assert(error.reason._tag === "RateLimitError")
        assert.strictEqual(Duration.toSeconds(error.reason.retryAfter ?? 0), 7)
        assert.deepStrictEqual(error.reason.metadata["bulwark"], { tag: "RateLimited" })
      }).pipe(served(sized, scripted.layer))
    }))

  it.effect("has no dimensions where none were asked for", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Embedding.layerEmbeddingModel(plain).pipe(Layer.provide(make(numbered).layer))
      )
      assert.isUndefined(Context.getOrUndefined(
        context as Context.Context<EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions>,
        EmbeddingModel.Dimensions
      ))
    }))

  it.effect("keeps to the upstream that it was made with", () =>
    Effect.gen(function*() {
      const mine = make(numbered)
      const callers = make(() => Effect.die("not this one"))
      yield* Effect.gen(function*() {
        const model = yield* EmbeddingModel.EmbeddingModel
        assert.deepStrictEqual((yield* model.embed("text 1").pipe(Effect.provide(callers.layer))).vector, [1])
      }).pipe(served(sized, mine.layer))
      assert.strictEqual(callers.embeddings.length, 0)
    }))
})

describe("scripted vectors", () => {
  const vectors = (inputs: ReadonlyArray<string>, dimensions?: number) =>
    Effect.map(ScriptedProvider.vectors({ model: "m", inputs, dimensions }), (embedded) => embedded.vectors)

  const cosine = (a: ReadonlyArray<number> = [], b: ReadonlyArray<number> = []) =>
    a.reduce((sum, number, index) => sum + number * (b[index] ?? 0), 0)

  it.effect("are the same for the same text, and of length one", () =>
    Effect.gen(function*() {
      const [a, b, again] = yield* vectors(["Hello, world", "Good day", "Hello, world"], 64)
      assert.deepStrictEqual(a, again)
      assert.notDeepEqual(a, b)
      assert.approximately(cosine(a, a), 1, 1e-12)
      assert.strictEqual(a?.length, 64)
    }))

  it.effect("are nearer to each other where words are shared", () =>
    Effect.gen(function*() {
      const [question, near, far] = yield* vectors(
        ["why is the sky blue", "the sky is blue today", "quarterly revenue of insurers"],
        256
      )
      assert.isAbove(cosine(question, near), cosine(question, far) + 0.3)
    }))

  it.effect("exist for texts without a word, and cost nothing for none", () =>
    Effect.gen(function*() {
      for (const vector of yield* vectors(["", "?!", " "])) {
        assert.strictEqual(vector.length, 8)
        assert.isTrue(vector.every(Number.isFinite))
      }
      const { inputTokens } = yield* ScriptedProvider.vectors({ model: "m", inputs: ["", "one two"] })
      assert.strictEqual(inputTokens, 2)
    }))
})
