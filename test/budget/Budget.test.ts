import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { Attribution, Fallback, Hedge, Llm, LlmError, Money, Plan, Resume, Retry, RetryBudget } from "effect-bulwark"
import { Budget, BudgetStore, Pricing } from "effect-bulwark/budget"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, anthropic, collect, makeReceipts, OpenAi, openai, question } from "../core/support/stack.ts"
import { books, budget, counts } from "./support/budget.ts"

const dollars: Budget.Limit = { resource: "usd", limit: "1", window: Budget.total }
const limits: ReadonlyArray<Budget.Limit> = [
  dollars,
  { resource: "tokens", limit: 1_000_000, window: Budget.total },
  { resource: "requests", limit: 1_000, window: Budget.total }
]

const enforce = Budget.enforce({ maxOutputTokens: 100 })

const whole = <E, R>(llm: Llm.Llm<E, R>) => Llm.generateText(llm, question)
const streamed = <E, R>(llm: Llm.Llm<E, R>) => collect(Llm.streamText(llm, question))

/** What is booked for one call to one model, in both modes: [usd, tokens, requests], and that nothing is held. */
const booked = (
  step: ScriptedProvider.Step,
  mode: "whole" | "stream",
  options: Budget.EnforceOptions = { maxOutputTokens: 100 }
) =>
  Effect.gen(function*() {
    const receipts = makeReceipts()
    const llm = openai.pipe(Llm.timeout({ firstPart: "5 seconds", idle: "5 seconds" }), Budget.enforce(options))
    const fiber = yield* (mode === "whole" ? Effect.asVoid(whole(llm)) : Effect.asVoid(streamed(llm))).pipe(
      Effect.exit,
      receipts.observe,
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("30 seconds")
    yield* Fiber.join(fiber)
    const all = yield* books()
    assert.deepStrictEqual(all.map(([, reserved]) => reserved), [0, 0, 0])
    const { attempts, cost } = receipts.one()
    assert.strictEqual(attempts.length, 1)
    assert.strictEqual(cost, attempts[0]!.cost)
    assert.strictEqual(cost, all[0]![0])
    return [...all.map(([used]) => used), attempts[0]!.costEstimated === true ? "estimated" : "exact"]
  }).pipe(Effect.provide([budget({ limits }), ScriptedProvider.layer(OpenAi, [step])]))

const hello = ScriptedProvider.text(["Hel", "lo!"])
const unsaid = { inputTokens: {}, outputTokens: {} }

describe("what is booked", () => {
  const cases: ReadonlyArray<
    readonly [string, ScriptedProvider.Step, whole: ReadonlyArray<unknown>, stream: ReadonlyArray<unknown>]
  > = [
    ["an answer: what the provider says", hello, [14, 12, 1, "exact"], [14, 12, 1, "exact"]],
    [
      "an answer without a word of what was used: the most it can be",
      ScriptedProvider.text("Hello!", { usage: unsaid }),
      [210, 110, 1, "estimated"],
      [210, 110, 1, "estimated"]
    ],
    [
      "more than was allowed: what the provider says",
      ScriptedProvider.text("Hello!", { usage: { inputTokens: { total: 20 }, outputTokens: { total: 500 } } }),
      [1020, 520, 1, "exact"],
      [1020, 520, 1, "exact"]
    ],
    ["a refusal: a request", ScriptedProvider.fail("RateLimited"), [0, 0, 1, "exact"], [0, 0, 1, "exact"]],
    [
      "no connection: a request",
      ScriptedProvider.fail(new LlmError.ConnectionFailed({ code: "ECONNREFUSED" })),
      [0, 0, 1, "exact"],
      [0, 0, 1, "exact"]
    ],
    [
      "a connection that broke: the request may have been sent",
      ScriptedProvider.fail(new LlmError.ConnectionFailed({ code: "ECONNRESET" })),
      [210, 110, 1, "estimated"],
      [10, 10, 1, "estimated"]
    ],
    [
      "a failure of the connection that does not say which",
      ScriptedProvider.fail("ConnectionFailed"),
      [210, 110, 1, "estimated"],
      [10, 10, 1, "estimated"]
    ],
    [
      "numbers that can be none of tokens: the most it can be",
      ScriptedProvider.text("Hello!", { usage: { inputTokens: { total: 0.5 }, outputTokens: { total: 3 } } }),
      [210, 110, 1, "estimated"],
      [210, 110, 1, "estimated"]
    ],
    ["a filtered prompt: a request", ScriptedProvider.fail("ContentFiltered"), [0, 0, 1, "exact"], [0, 0, 1, "exact"]],
    [
      "a filtered answer: what the provider says",
      ScriptedProvider.text(["Hel", "lo!"], { finishReason: "content-filter" }),
      [14, 12, 1, "exact"],
      [14, 12, 1, "exact"]
    ],
    [
      "a gateway that gave up: it may have begun",
      ScriptedProvider.fail("RequestTimeout"),
      [210, 110, 1, "estimated"],
      [10, 10, 1, "estimated"]
    ],
    ["silence", ScriptedProvider.silence, [10, 10, 1, "estimated"], [10, 10, 1, "estimated"]],
    [
      "a break: the input, and what was seen",
      ScriptedProvider.breakOff(["Hel", "lo!"]),
      [22, 16, 1, "estimated"],
      [22, 16, 1, "estimated"]
    ],
    [
      "a failure in the middle is no refusal",
      ScriptedProvider.breakOff(["Hel", "lo!"], "Overloaded"),
      [22, 16, 1, "estimated"],
      [22, 16, 1, "estimated"]
    ],
    [
      "a stall",
      ScriptedProvider.breakOff(["Hel", "lo!"], "stall"),
      [22, 16, 1, "estimated"],
      [22, 16, 1, "estimated"]
    ],
    [
      "a parameter of a tool is seen too",
      ScriptedProvider.parts([
        { type: "tool-params-start", id: "1", name: "Weather" },
        { type: "tool-params-delta", id: "1", delta: `{"city":` }
      ]),
      [26, 18, 1, "estimated"],
      [26, 18, 1, "estimated"]
    ]
  ]
  for (const [name, step, inWhole, inStream] of cases) {
    // A whole answer is streamed where a limit of time has to see its parts arrive.
    it.effect(`a full answer: ${name}`, () =>
      Effect.gen(function*() {
        const mayHaveBegun = inWhole[0] === 210 && inStream[0] === 10
        const expected = mayHaveBegun ? inStream : inWhole
        assert.deepStrictEqual(yield* booked(step, "whole"), [...expected])
      }))
    it.effect(`a stream: ${name}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* booked(step, "stream"), [...inStream])
      }))
  }

  it.effect("a stream that broke off, where the most is asked for", () =>
    Effect.gen(function*() {
      const options = { maxOutputTokens: 100, unreported: "quote" } as const
      assert.deepStrictEqual(yield* booked(ScriptedProvider.breakOff("Hello!"), "stream", options), [
        210,
        110,
        1,
        "estimated"
      ])
    }))

  it.effect("an answer that was asked for whole and that nobody waited for: the most it can be", () =>
    Effect.gen(function*() {
      const fiber = yield* whole(openai.pipe(enforce)).pipe(Effect.forkChild({ startImmediately: true }))
      assert.deepStrictEqual(yield* books(), [[0, 210]])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* books(), [[210, 0]])
    }).pipe(Effect.provide([
      budget({ limits: [dollars] }),
      ScriptedProvider.layer(OpenAi, [ScriptedProvider.silence])
    ])))

  it.effect("a defect of a provider: the most it can be", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(whole(openai.pipe(enforce)))
      assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual(yield* books(), [[210, 0]])
    }).pipe(Effect.provide([budget({ limits: [dollars] }), ScriptedProvider.layer(OpenAi, [])])))

  it.effect("an account that waits is not charged, since nothing is sent", () =>
    Effect.gen(function*() {
      yield* Effect.exit(whole(openai.pipe(enforce)))
      assert.strictEqual((yield* Effect.flip(whole(openai.pipe(enforce))))._tag, "RateLimited")
      assert.deepStrictEqual(yield* books(), [[1, 0]])
    }).pipe(Effect.provide([
      budget({ limits: [{ resource: "requests", limit: 5, window: Budget.total }] }),
      ScriptedProvider.layer(OpenAi, [
        ScriptedProvider.fail(new LlmError.RateLimited({ retryAfter: Duration.minutes(1) }))
      ])
    ])))

  it.effect("a reader who leaves: the input, and what was seen", () =>
    Effect.gen(function*() {
      const fiber = yield* Llm.streamText(openai.pipe(enforce), question).pipe(
        Stream.takeUntil((part) => part.type === "text-delta" && part.delta === "lo!"),
        Stream.runDrain,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* books(), [[22, 0]])
    }).pipe(Effect.provide([
      budget({ limits: [dollars] }),
      ScriptedProvider.layer(OpenAi, [
        ScriptedProvider.breakOff(["Hel", "lo!", "?"], "stall", { between: "1 second" })
      ])
    ])))
})

describe("a request is refused", () => {
  const layer = (limit: Budget.Limit, script: ScriptedProvider.Script = () => hello) =>
    Layer.merge(budget({ limits: [limit] }), ScriptedProvider.layer(OpenAi, script))

  it.effect("says of what, and how much", () =>
    Effect.gen(function*() {
      yield* whole(openai.pipe(enforce))
      const receipts = makeReceipts()
      const error = yield* whole(openai.pipe(enforce)).pipe(receipts.observe, Effect.flip)
      assert(error._tag === "BudgetExceeded")
      const { limit, requested, reserved, resource, scope, used, window } = error
      assert.deepStrictEqual(
        { limit, requested, reserved, resource, scope, used, window },
        {
          limit: 220,
          requested: 210,
          reserved: 0,
          resource: "usd",
          scope: "tenant",
          used: 14,
          window: "calendar day (UTC)"
        }
      )
      assert.strictEqual(error.resetsAt?.toString(), "DateTime.Utc(1970-01-02T00:00:00.000Z)")
      assert.strictEqual(
        error.message,
        "openai/gpt-5-mini: the budget (tenant, per calendar day (UTC)) of $0.00022 has no room: $0.000014 used, $0.00 held, " +
          "at most $0.00021 asked for, so nothing was sent; what is used now counts until 1970-01-02T00:00:00.000Z"
      )
      const receipt = receipts.one()
      assert.deepStrictEqual(receipt.attempts, [])
      assert.deepStrictEqual(receipt.events.map(({ reason, type }) => [type, reason]), [["rejected", "BudgetExceeded"]])
      assert.isUndefined(receipt.cost)
    }).pipe(Effect.provide(
      layer({ resource: "usd", limit: "0.000220", window: Budget.calendar("day"), scope: "tenant" })
    )))

  it.effect("all limits or none: nothing is held of the others", () =>
    Effect.gen(function*() {
      const error = yield* whole(openai.pipe(enforce)).pipe(Attribution.annotate({ user: "jo" }), Effect.flip)
      assert.strictEqual(error._tag, "BudgetExceeded")
      assert.deepStrictEqual(yield* books({ user: "jo" }), [[0, 0], [0, 0], [0, 0]])
    }).pipe(Effect.provide([
      budget({
        limits: [
          dollars,
          { resource: "tokens", limit: 1_000, window: Budget.total, scope: "user" },
          { resource: "tokens", limit: 109, window: Budget.rolling("1 hour"), scope: ["tenant", "user"] }
        ]
      }),
      ScriptedProvider.layer(OpenAi, [])
    ])))

  it.effect("without a price, where money is limited", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(whole(openai.pipe(enforce)))
      assert.strictEqual(error._tag, "UnknownPrice")
      assert.deepStrictEqual(yield* books(), [[0, 0]])
    }).pipe(Effect.provide([
      Budget.layer({ limits: [dollars] }).pipe(
        Layer.provideMerge(Layer.mergeAll(BudgetStore.layerMemory, Pricing.layerOf([]), counts))
      ),
      ScriptedProvider.layer(OpenAi, [])
    ])))

  it.effect("without a bound of the answer, and says how to set one", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(whole(openai.pipe(Budget.enforce())))
      assert(error._tag === "UnknownPrice")
      assert.strictEqual(error.missing, "bound")
      assert.include(error.message, "maxOutputTokens")
    }).pipe(Effect.provide(layer({ resource: "tokens", limit: 1_000, window: Budget.total }))))

  it.effect("but requests need neither", () =>
    Effect.gen(function*() {
      yield* whole(openai.pipe(Budget.enforce()))
      assert.strictEqual((yield* Effect.flip(whole(openai.pipe(Budget.enforce()))))._tag, "BudgetExceeded")
    }).pipe(Effect.provide(layer({ resource: "requests", limit: 1, window: Budget.total }))))
})

describe("the bound of the answer", () => {
  const sent = (options: Budget.EnforceOptions, settings?: Llm.TextOptions<{}>["settings"]) =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.make(OpenAi, () => ScriptedProvider.text("Hi", { delay: "1 second" }))
      return yield* Effect.gen(function*() {
        const fiber = yield* Llm.generateText(openai.pipe(Budget.enforce(options)), { ...question, settings }).pipe(
          Effect.forkChild({ startImmediately: true })
        )
        const [[, held]] = (yield* books()) as [readonly [number, number]]
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        return [held, provider.calls[0]!.request.settings.maxOutputTokens]
      }).pipe(Effect.provide([
        Budget.layer({ limits: [{ resource: "tokens", limit: 1_000_000, window: Budget.total }] }).pipe(
          Layer.provideMerge(Layer.mergeAll(
            BudgetStore.layerMemory,
            Pricing.layerOf([
              Pricing.model({
                provider: "openai",
                model: "gpt-5-mini",
                price: { input: 1, output: 2 },
                contextWindow: 400_000
              })
            ]),
            counts
          ))
        ),
        provider.layer
      ]))
    })

  it.effect("is that of the request", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sent({ maxOutputTokens: 100 }, { maxOutputTokens: 50 }), [60, 50])
    }))
  it.effect("or that of the budget, which is set on the request", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sent({ maxOutputTokens: 100 }), [110, 100])
    }))
  it.effect("or that of the model", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sent({}), [400_010, undefined])
    }))
  it.effect("unless a field of the provider's own says otherwise", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* sent({}, { maxOutputTokens: 50, extra: { max_completion_tokens: 200, n: 3 } }),
        [610, 50]
      )
      assert.deepStrictEqual(yield* sent({}, { extra: { generationConfig: { maxOutputTokens: 70 } } }), [80, undefined])
    }))
})

describe("requests of one call", () => {
  const script = (...steps: ReadonlyArray<ScriptedProvider.Step>) => ScriptedProvider.layer(OpenAi, steps)
  const overloaded = ScriptedProvider.fail("Overloaded")

  it.effect("a retry is paid for like any other request", () =>
    Effect.gen(function*() {
      const fiber = yield* whole(openai.pipe(Llm.retry(Retry.transient), enforce)).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      const { receipt } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* books(), [[14, 0], [12, 0], [2, 0]])
      assert.deepStrictEqual(receipt.attempts.map(({ cost }) => cost), [0, 14].map((cost) => Money.MicroUsd.make(cost)))
    }).pipe(Effect.provide([budget({ limits }), script(overloaded, hello)])))

  it.effect("a retry does not repeat a refusal", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const error = yield* whole(openai.pipe(Llm.retry(Retry.transient), enforce)).pipe(receipts.observe, Effect.flip)
      assert.strictEqual(error._tag, "BudgetExceeded")
      assert.deepStrictEqual(receipts.one().events.map(({ type }) => type), ["rejected"])
    }).pipe(Effect.provide([budget({ limits: [{ ...dollars, limit: "0.0001" }] }), script()])))

  for (
    const [name, dearer, cheaper] of [
      [
        "orElse",
        Effect.orDie(whole(openai.pipe(Llm.orElse(anthropic), enforce))),
        Effect.orDie(whole(anthropic.pipe(Llm.orElse(openai), enforce)))
      ],
      [
        "firstOf",
        Effect.orDie(whole(enforce(Fallback.firstOf([openai, anthropic])))),
        Effect.orDie(whole(enforce(Fallback.firstOf([anthropic, openai]))))
      ]
    ] as const
  ) {
    it.effect(`a fallback is quoted at its own price (${name})`, () =>
      Effect.gen(function*() {
        const fiber = yield* dearer.pipe(Effect.forkChild({ startImmediately: true }))
        assert.deepStrictEqual(yield* books(), [[0, 2100]])
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(yield* books(), [[140, 0]])
      }).pipe(Effect.provide([
        budget({ limits: [dollars] }),
        script(overloaded),
        ScriptedProvider.layer(Anthropic, [ScriptedProvider.text(["Bon", "jour"], { delay: "1 second" })])
      ])))

    it.effect(`a cheaper fallback serves where the first model is too dear (${name})`, () =>
      Effect.gen(function*() {
        const { receipt } = yield* cheaper
        assert.strictEqual(receipt.provider, "openai")
        assert.deepStrictEqual(receipt.events.map(({ reason, type }) => `${type} ${reason}`), [
          "rejected BudgetExceeded",
          "fallback BudgetExceeded"
        ])
      }).pipe(Effect.provide([
        budget({ limits: [{ ...dollars, limit: "0.0005" }] }),
        script(hello),
        ScriptedProvider.layer(Anthropic, [])
      ])))
  }

  it.effect("all too dear: all models are exhausted, and say why", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(whole(enforce(Fallback.firstOf([openai, anthropic]))))
      assert(error._tag === "AllModelsExhausted")
      assert.deepStrictEqual(error.failures.map(({ _tag }) => _tag), ["BudgetExceeded", "BudgetExceeded"])
      const json = Schema.toCodecJson(LlmError.LlmError)
      assert.deepStrictEqual(yield* Schema.decodeEffect(json)(yield* Schema.encodeEffect(json)(error)), error)
    }).pipe(Effect.provide([
      budget({ limits: [{ ...dollars, limit: 0 }] }),
      script(),
      ScriptedProvider.layer(Anthropic, [])
    ])))

  it.effect("an answer without a model costs nothing", () =>
    Effect.gen(function*() {
      const answer = yield* whole(openai.pipe(enforce, Llm.orElseSucceed(() => "Not today.")))
      assert.strictEqual(answer.text, "Not today.")
      assert.deepStrictEqual(yield* books(), [[0, 0]])
    }).pipe(Effect.provide([budget({ limits: [{ ...dollars, limit: 0 }] }), script()])))

  it.effect("both requests of a hedge are held, and both are paid for", () =>
    Effect.gen(function*() {
      const fiber = yield* whole(enforce(Hedge.hedge(openai, { after: "2 seconds", maxExtra: 1 }))).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* books(), [[0, 420]])
      yield* TestClock.adjust("10 seconds")
      const { receipt } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(receipt.attempts.map(({ costEstimated, outcome }) => [outcome, costEstimated]), [
        ["interrupted", true],
        ["success", undefined]
      ])
      assert.deepStrictEqual(yield* books(), [[224, 0]])
    }).pipe(Effect.provide([
      budget({ limits: [dollars] }),
      RetryBudget.layerMemory(),
      script(ScriptedProvider.silence, ScriptedProvider.text(["a", "b"], { delay: "2 seconds" }))
    ])))

  it.effect("a hedge that there is no money for leaves the first request alone", () =>
    Effect.gen(function*() {
      const fiber = yield* whole(enforce(Hedge.hedge(openai, { after: "2 seconds", maxExtra: 1 }))).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).text, "ab")
      assert.deepStrictEqual(yield* books(), [[14, 0]])
    }).pipe(Effect.provide([
      budget({ limits: [{ ...dollars, limit: "0.0003" }] }),
      RetryBudget.layerMemory(),
      script(ScriptedProvider.text(["a", "b"], { delay: "4 seconds" }))
    ])))

  it.effect("an answer that is resumed is two requests, each at its own price", () =>
    Effect.gen(function*() {
      const { exit } = yield* streamed(enforce(Resume.continue(openai, anthropic)))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(yield* books(), [[22 + 120, 0]])
    }).pipe(Effect.provide([
      budget({ limits: [dollars] }),
      script(ScriptedProvider.breakOff(["Hel", "lo "])),
      ScriptedProvider.layer(Anthropic, [ScriptedProvider.text("world")])
    ])))

  it.effect("a limit of one call is for all of them", () =>
    Effect.gen(function*() {
      const llm = openai.pipe(Llm.retry(Retry.transient), Budget.enforce({ maxOutputTokens: 100 }))
      const run = Effect.gen(function*() {
        const fiber = yield* whole(llm).pipe(Effect.exit, Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("2 minutes")
        return yield* Fiber.join(fiber)
      })
      const first = yield* run
      assert(Exit.isFailure(first))
      const error = yield* Effect.flip(first)
      assert(error._tag === "BudgetExceeded")
      assert.deepStrictEqual([error.window, error.limit, error.used, error.reserved], ["call", 2, 2, 0])
      // And the next call begins anew.
      assert.isTrue(Exit.isSuccess(yield* run))
    }).pipe(Effect.provide([
      budget({ limits: [{ resource: "requests", limit: 2, window: Budget.perCall }] }),
      script(overloaded, overloaded, hello)
    ])))

  it.effect("a budget inside the same budget is one", () =>
    Effect.gen(function*() {
      yield* whole(openai.pipe(enforce, Budget.enforce()))
      assert.deepStrictEqual(yield* books(), [[14, 0]])
      assert.include(Plan.audit(openai.pipe(enforce, Budget.enforce()).plan).map(({ rule }) => rule), "nestedBudgets")
    }).pipe(Effect.provide([budget({ limits: [dollars] }), script(hello)])))

  it.effect("of two budgets around each other, both pay, or neither", () =>
    Effect.gen(function*() {
      const other = yield* Layer.build(Layer.fresh(budget({ limits: [{ ...dollars, limit: "0.0003" }] })))
      const inner = openai.pipe(enforce)
      // Another budget than the caller's, brought along.
      const own = Llm.make({
        plan: inner.plan,
        open: (call) => Effect.provide(inner.open(call), other)
      })
      yield* whole(own.pipe(enforce))
      assert.deepStrictEqual(yield* books(), [[14, 0]])
      assert.deepStrictEqual(yield* Effect.provide(books(), other), [[14, 0]])
      yield* Budget.adjust({ resource: "usd", by: "0.000099" }).pipe(Effect.provide(other))
      const error = yield* Effect.flip(whole(own.pipe(enforce)))
      assert.strictEqual(error._tag, "BudgetExceeded")
      yield* Budget.adjust({ resource: "usd", by: "0.999900" })
      yield* Budget.adjust({ resource: "usd", by: "-0.000099" }).pipe(Effect.provide(other))
      assert.strictEqual((yield* Effect.flip(whole(own.pipe(enforce))))._tag, "BudgetExceeded")
      assert.deepStrictEqual(yield* books(), [[999_914, 0]])
      assert.deepStrictEqual(yield* Effect.provide(books(), other), [[14, 0]])
    }).pipe(Effect.provide([budget({ limits: [dollars] }), script(hello)])))
})

describe("how things stand", () => {
  const scoped: ReadonlyArray<Budget.Limit> = [
    { resource: "usd", limit: "0.001", window: Budget.calendar("day"), warnAt: [0.5, 0.8] },
    { resource: "tokens", limit: 100_000, window: Budget.total, scope: { tag: "session" } }
  ]
  const answers = ScriptedProvider.layer(
    OpenAi,
    () => ScriptedProvider.text("x", { usage: { inputTokens: { total: 100 }, outputTokens: { total: 100 } } })
  )

  it.effect("what is left, and for whom", () =>
    Effect.gen(function*() {
      yield* whole(openai.pipe(enforce)).pipe(Attribution.annotate({ tags: { session: "a" } }))
      const mine = yield* Budget.remaining({ tags: { session: "a" } })
      assert.deepStrictEqual(mine, {
        fraction: 0.7,
        usd: Money.MicroUsd.make(700),
        tokens: 99_800,
        requests: undefined
      })
      assert.strictEqual((yield* Budget.remaining({ tags: { session: "b" } })).tokens, 100_000)
      // Whoever does not say who they are shares an account, which is nobody else's.
      yield* whole(openai.pipe(enforce))
      assert.strictEqual((yield* Budget.remaining()).tokens, 99_800)
      const [day, session] = yield* Budget.status()
      assert.deepStrictEqual([day!.scope, day!.window, day!.used, day!.resetsAt], [
        "global",
        "calendar day (UTC)",
        600,
        86_400_000
      ])
      assert.deepStrictEqual([session!.scope, session!.window, session!.resetsAt], ["tag:session", "total", undefined])
    }).pipe(Effect.provide([budget({ limits: scoped }), answers])))

  it.effect("warns once a fraction and window", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const call = Effect.exit(whole(openai.pipe(enforce))).pipe(receipts.observe)
      const seen = yield* Stream.filter(Budget.changes, (change) => change._tag === "Warned").pipe(
        Stream.take(3),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.yieldNow
      yield* call
      yield* call
      yield* call
      yield* call
      yield* TestClock.setTime(86_400_000)
      yield* call
      yield* call
      const events = receipts.seen.map(({ events }) =>
        events.filter(({ type }) => type === "warning").map(({ reason }) => reason.split(" ")[0])
      )
      assert.deepStrictEqual(events, [[], ["50"], ["80"], [], [], ["50"]])
      assert.deepStrictEqual(
        (yield* Fiber.join(seen)).map((change) => change._tag === "Warned" ? [change.fraction, change.used] : []),
        [[0.5, 600], [0.8, 900], [0.5, 600]]
      )
    }).pipe(Effect.provide([budget({ limits: scoped }), answers])))

  it.effect("a call that lasts into the next day warns of the day it began in, and the next one warns again", () =>
    Effect.gen(function*() {
      const receipts = makeReceipts()
      const warned = () => receipts.seen.map(({ events }) => events.some(({ type }) => type === "warning"))
      yield* TestClock.setTime(86_400_000 - 1)
      const fiber = yield* whole(openai.pipe(enforce)).pipe(
        receipts.observe,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      const next = yield* whole(openai.pipe(enforce)).pipe(
        receipts.observe,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(next)
      assert.deepStrictEqual(warned(), [true, true])
    }).pipe(Effect.provide([
      budget({ limits: [{ resource: "usd", limit: "0.0005", window: Budget.calendar("day"), warnAt: [0.5] }] }),
      ScriptedProvider.layer(OpenAi, () =>
        ScriptedProvider.text("x", {
          delay: "1 second",
          usage: { inputTokens: { total: 100 }, outputTokens: { total: 100 } }
        }))
    ])))

  it.effect("is changed by hand", () =>
    Effect.gen(function*() {
      yield* Budget.adjust({ resource: "usd", by: "0.0009" })
      assert.strictEqual((yield* Effect.flip(whole(openai.pipe(enforce))))._tag, "BudgetExceeded")
      yield* Budget.adjust({ resource: "usd", by: -0.0005 })
      yield* whole(openai.pipe(enforce))
      assert.deepStrictEqual((yield* books())[0], [700, 0])
      yield* Budget.adjust({ resource: "usd", by: "-5" })
      assert.deepStrictEqual((yield* books())[0], [0, 0])
    }).pipe(Effect.provide([budget({ limits: scoped }), answers])))

  it.effect("a correction with an id counts once, however often it is asked for", () =>
    Effect.gen(function*() {
      const seen: Array<Budget.Change> = []
      yield* Budget.changes.pipe(
        Stream.runForEach((change) => Effect.sync(() => seen.push(change))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.yieldNow
      const invoice = Budget.adjust({ resource: "usd", by: "0.0002", id: "invoice 7" })
      yield* invoice
      yield* invoice
      yield* Budget.adjust({ resource: "tokens", by: 5, id: "invoice 7" })
      yield* Budget.adjust({ resource: "usd", by: "0.0003", id: "invoice 8" })
      assert.deepStrictEqual(yield* books(), [[500, 0], [5, 0]])
      yield* Effect.yieldNow
      assert.strictEqual(seen.length, 3)
      const error = yield* Effect.exit(Budget.adjust({ resource: "tokens", by: "0.5" }))
      assert.include(String(error), "Budget.adjust: `by` must be a whole number of tokens")
    }).pipe(Effect.provide([budget({ limits: scoped }), answers])))

  it.effect("tells what happens, and holds nobody up", () =>
    Effect.gen(function*() {
      const seen = yield* Budget.changes.pipe(
        Stream.take(4),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.yieldNow
      yield* whole(openai.pipe(enforce)).pipe(Attribution.annotate({ user: "jo" }))
      yield* Budget.adjust({ resource: "usd", by: "0.0005" })
      yield* Effect.exit(whole(openai.pipe(enforce)))
      assert.deepStrictEqual(
        (yield* Fiber.join(seen)).map((change) => [change._tag, "usd" in change ? change.usd : undefined]),
        [["Reserved", 210], ["Settled", 300], ["Adjusted", undefined], ["Exceeded", undefined]]
      )
    }).pipe(Effect.provide([budget({ limits: [{ ...dollars, limit: "0.001" }] }), answers])))
})

describe("limits that make no sense", () => {
  const limit: Budget.Limit = { resource: "usd", limit: "1", window: Budget.total }
  it.each<readonly [string, () => unknown]>([
    ["no money", () => Budget.layer({ limits: [{ ...limit, limit: "much" }] })],
    ["less than nothing", () => Budget.layer({ limits: [{ ...limit, limit: -1 }] })],
    ["finer than a micro-dollar", () => Budget.layer({ limits: [{ ...limit, limit: "0.0000001" }] })],
    ["half a token", () => Budget.layer({ limits: [{ ...limit, resource: "tokens", limit: 0.5 }] })],
    ["the same twice", () => Budget.layer({ limits: [limit, { ...limit, limit: 2 }] })],
    ["a warning at nothing", () => Budget.layer({ limits: [{ ...limit, warnAt: [0] }] })],
    ["a warning of one call", () => Budget.layer({ limits: [{ ...limit, window: Budget.perCall, warnAt: [0.5] }] })],
    [
      "no such time zone",
      () => Budget.layer({ limits: [{ ...limit, window: Budget.calendar("day", { timeZone: "Mars/Olympus" }) }] })
    ],
    ["no time", () => Budget.layer({ limits: [{ ...limit, window: Budget.rolling(0) }] })],
    ["no time to wait", () => Budget.layer({ limits: [], storeTimeout: 0 })],
    ["no lease", () => Budget.layer({ limits: [], lease: Infinity })],
    ["no answer", () => openai.pipe(Budget.enforce({ maxOutputTokens: 0 }))]
  ])("%s", (_, make) => {
    assert.throws(make, RangeError, /^Budget\./)
  })

  it("come from a file as well", () => {
    const text = JSON.stringify([
      { ...limit, window: Budget.rolling("1 hour"), scope: ["tenant", { tag: "session" }] },
      { ...limit, window: Budget.calendar("week", { timeZone: "Europe/Berlin" }) }
    ])
    const limits = Schema.decodeSync(Schema.fromJsonString(Schema.Array(Budget.Limit)))(text)
    assert.doesNotThrow(() => Budget.layer({ limits }))
  })

  it("are shown in the plan", () => {
    assert.strictEqual(
      Plan.render(openai.pipe(Budget.enforce({ maxOutputTokens: 100, onStoreError: "allow" })).plan),
      "budget at most 100 tokens of output, without a store: allow\n└─ openai/gpt-5-mini"
    )
  })
})
