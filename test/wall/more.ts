/**
 * What the published faults leave out: tools, objects, cancellation, load, and other ways to break an answer.
 */
import { Deferred, Effect, Fiber, Schema, Stream } from "effect"
import { Llm, LlmError, Part } from "effect-bulwark"
import { FaultServer } from "effect-bulwark/testing"
import { Tool, Toolkit } from "effect/ai"
import * as Checks from "./checks.ts"
import { answeredBy, at, atMost, check, equal, inTime } from "./checks.ts"
import { draw, firstTokens, open, type Seen } from "./lab.ts"
import { both, type Scenario, single } from "./scenario.ts"

const { forever } = FaultServer

/** A web page where an answer should be, as a proxy sends it. */
const webPage = FaultServer.status(200, {
  headers: { "content-type": "text/html" },
  body: "<!doctype html><html><body><h1>We will be back soon</h1></body></html>"
})

const cases = <const A extends ReadonlyArray<unknown>>(
  lab: Parameters<typeof draw>[0],
  name: string,
  list: A
): A[number] => list[draw(lab, name, 0, list.length - 1, 0)]

const notWhole = (seen: Seen) =>
  check(
    "nothing that is not whole is a success",
    seen.outcome !== "success" && !seen.parts.some((part) => part.type === "finish"),
    seen.outcome
  )

// ---------------------------------------------------------------------------------------------------------------------
// answers that break in other ways
// ---------------------------------------------------------------------------------------------------------------------

const broken: ReadonlyArray<Scenario> = [
  ...([
    ["X01", "A stream that ends in good order, without a finish reason", FaultServer.omitFinish, false],
    ["X02", "An answer whose last event is cut in half", FaultServer.truncatedJson, true]
  ] as const).map(([name, what, fault, wire]) =>
    single(name, `${what}: not taken for whole, one whole answer delivered`, { wire }, (lab) => ({
      setup: { faults: { primary: [forever(fault)] } },
      checks: (seen, requests, world) => [
        ...answeredBy(world, seen, "backup"),
        ...(lab.mode === "full"
          ? []
          : [equal("what had been said is unsaid, once", Checks.unsaid(seen), [world.answers.primary])]),
        equal("as many requests as it takes, and no more", Checks.asked(requests), {
          primary: lab.mode === "full" ? 3 : 1,
          backup: 1
        })
      ]
    }))
  ),

  single("X03", "200 with a web page: not asked again, and the fallback answers", { wire: true }, () => ({
    setup: { faults: { primary: [forever(webPage)] } },
    checks: (seen, requests, world) => [
      ...answeredBy(world, seen, "backup"),
      equal("as many requests as it takes, and no more", Checks.asked(requests), { primary: 1, backup: 1 })
    ]
  })),

  single("X04", "An error event in the stream, in mid-answer: one whole answer delivered", {}, (lab) => {
    const after = draw(lab, "after", 3, 59, 40)
    return {
      setup: { faults: { primary: [forever(FaultServer.errorEventAfter(after))] } },
      checks: (seen, requests, world) => [
        ...answeredBy(world, seen, "backup"),
        ...(lab.mode === "full" ? [] : [
          equal("what had been said is unsaid, once", Checks.unsaid(seen), [firstTokens(world.answers.primary, after)])
        ]),
        equal("as many requests as it takes, and no more", Checks.asked(requests), {
          primary: lab.mode === "full" ? 3 : 1,
          backup: 1
        })
      ]
    }
  }),

  single(
    "X05",
    "An error event before the first word, once: the same provider is asked again, and answers",
    {},
    () => ({
      setup: { faults: { primary: [FaultServer.errorEventAfter(0)] } },
      checks: (seen, requests, world) => [
        ...answeredBy(world, seen, "primary"),
        ...Checks.nothingUnsaid(world, seen),
        equal("as many requests as it takes, and no more", Checks.asked(requests), { primary: 2, backup: 0 })
      ]
    })
  ),

  single("X06", "429, the credit is used up; or 401: not asked again, and the fallback answers", {}, (lab) => ({
    setup: {
      faults: { primary: [forever(cases(lab, "refusal", [FaultServer.insufficientQuota, FaultServer.status(401)]))] }
    },
    checks: (seen, requests, world) => [
      ...answeredBy(world, seen, "backup"),
      equal("as many requests as it takes, and no more", Checks.asked(requests), { primary: 1, backup: 1 })
    ]
  })),

  single("X07", "429 with `Retry-After: 3600`: not waited for, and the fallback answers at once", {}, () => ({
    setup: { faults: { primary: [forever(FaultServer.rateLimited({ retryAfter: "1 hour" }))] } },
    checks: (seen, requests, world) => [
      ...answeredBy(world, seen, "backup"),
      equal("as many requests as it takes, and no more", Checks.asked(requests), { primary: 1, backup: 1 }),
      inTime(world, "the fallback has answered within 1 s", seen.took, 1_000)
    ]
  })),

  single(
    "X08",
    "Both are silent for ever: a typed failure at the deadline of 2 minutes",
    {},
    () => ({
      setup: {
        faults: { primary: [forever(FaultServer.silence())], backup: [forever(FaultServer.silence())] }
      },
      checks: (seen, requests, world) => [
        check(
          "it fails with the limit that passed",
          seen.error instanceof LlmError.TimedOut && seen.error.phase === "total",
          seen.outcome
        ),
        equal("the receipt says so", seen.receipt.outcome, "TimedOut"),
        notWhole(seen),
        inTime(world, "at the deadline", seen.took, 120_000),
        equal("each was asked once", Checks.asked(requests), { primary: 1, backup: 1 })
      ]
    })
  ),

  single("X09", "503 everywhere, for ever: one failure that tells of both, after few requests", {}, () => ({
    setup: {
      faults: { primary: [forever(FaultServer.overloaded)], backup: [forever(FaultServer.overloaded)] }
    },
    checks: (seen, requests, world) => [
      equal(
        "it fails with all failures",
        seen.error instanceof LlmError.AllModelsExhausted ? seen.error.failures.map(({ _tag }) => _tag) : seen.outcome,
        ["Overloaded", "Overloaded"]
      ),
      notWhole(seen),
      equal("as many requests as it takes, and no more", Checks.asked(requests), { primary: 3, backup: 3 }),
      inTime(world, "it has failed within 10 s", seen.took, 10_000)
    ]
  })),

  single(
    "X10",
    "Any of these, where full answers are asked for in one piece: the fallback answers",
    { modes: ["full"], wire: true },
    (lab) => {
      const after = draw(lab, "after", 3, 59, 40)
      const fault = cases(
        lab,
        "fault",
        [
          FaultServer.truncatedJson,
          FaultServer.overloaded,
          FaultServer.resetConnection,
          FaultServer.cutAfter(after),
          FaultServer.errorEventAfter(after),
          FaultServer.malformedChunkAt(after),
          FaultServer.rateLimited(),
          webPage
        ] as const
      )
      return {
        setup: { stack: { inOnePiece: true }, faults: { primary: [forever(fault)] } },
        checks: (seen, requests, world) => [
          ...answeredBy(world, seen, "backup"),
          equal("they are asked for in one piece", requests.some((request) => request.streamed), false),
          atMost("no more requests than it takes", requests.length, 4)
        ]
      }
    }
  )
]

// ---------------------------------------------------------------------------------------------------------------------
// continuing
// ---------------------------------------------------------------------------------------------------------------------

const continued = single(
  "X11",
  "Cut in mid-stream, `continue`, and a fallback that goes on where the words end: one answer, said once",
  {},
  (lab) => {
    const after = draw(lab, "after", 3, 12, 8)
    return {
      setup: {
        // Both have the same words, so that one can go on where the other broke off.
        tokens: "asked",
        prefill: "continue",
        stack: { resume: "continue" },
        faults: { primary: [forever(FaultServer.cutAfter(after))] }
      },
      checks: (seen, requests, world) => [
        equal("the call is answered", seen.outcome, "success"),
        equal("the text is that of one whole answer", seen.text, world.answerTo(seen.prompt)),
        ...Checks.nothingUnsaid(world, seen),
        check(
          "the last part is the only finish",
          seen.parts.filter((part) => part.type === "finish").length === 1 && seen.parts.at(-1)?.type === "finish",
          seen.parts.at(-1)?.type
        ),
        equal("the receipt names who finished it", seen.receipt.provider, "backup"),
        equal(
          "the fallback was given the words to go on from",
          at(requests, "backup").map((request) => request.prefilled),
          [lab.mode === "streamed"]
        )
      ]
    }
  }
)

// ---------------------------------------------------------------------------------------------------------------------
// tools and objects
// ---------------------------------------------------------------------------------------------------------------------

const Weather = Tool.make("Weather", {
  description: "The weather in a city",
  parameters: Schema.Struct({ city: Schema.String, question: Schema.String, days: Schema.Array(Schema.Int) }),
  success: Schema.String
})

const toolkit = Toolkit.make(Weather)

const tools: Scenario = {
  name: "X12",
  sentence: "Cut in the parameters of a tool call: the tool runs once with all of them, or not at all",
  modes: both,
  wire: true,
  run: Effect.fnUntraced(function*(lab) {
    const after = draw(lab, "after", 0, 6, 3)
    const world = yield* open(lab, { tokens: "asked", faults: { primary: [forever(FaultServer.cutAfter(after))] } })
    const ran: Array<unknown> = []
    const handlers = toolkit.toLayer({
      Weather: (parameters) => Effect.sync(() => (ran.push(parameters), "It rains."))
    })
    const prompt = world.question(0)
    const call = world.run((parts) =>
      (lab.mode === "full"
        ? Effect.map(
          Llm.generateText(world.llm, { prompt, toolkit }),
          (answer) => void parts.push(...answer.content)
        )
        : Stream.runForEach(
          Llm.streamText(world.llm, { prompt, toolkit }),
          (part) => Effect.sync(() => parts.push(part))
        )).pipe(Effect.provide(handlers)), prompt)
    const seen = yield* call
    const [first] = ran.splice(0)
    const requests = yield* world.requests
    // What the tool is called with when nothing goes wrong.
    yield* world.script("primary", [])
    const healthy = yield* call
    const [expected] = ran
    const results = seen.parts.filter((part) => part.type === "tool-result").length
    // Words to a tool cannot be unsaid, so a stream that had begun with them ends there.
    const begun = lab.mode === "streamed" && after > 0
    return {
      asked: Checks.asked(requests),
      checks: [
        equal("a healthy call runs the tool", [healthy.outcome, ran.length], ["success", 1]),
        ...(begun
          ? [
            equal("it fails with the interruption", seen.outcome, "StreamInterrupted"),
            notWhole(seen),
            equal("the tool does not run", first, undefined),
            equal("no call of it is handed on", seen.parts.some((part) => part.type === "tool-call"), false),
            equal("as many requests as it takes, and no more", Checks.asked(requests), { primary: 1, backup: 0 })
          ]
          : [
            equal("the call is answered", seen.outcome, "success"),
            equal("the tool runs once, with all its parameters", [results, first], [1, expected]),
            equal("the receipt names who served", seen.receipt.provider, "backup"),
            equal("as many requests as it takes, and no more", Checks.asked(requests), { primary: 3, backup: 1 })
          ]),
        Checks.accounted(seen, requests)
      ]
    }
  })
}

const Facts = Schema.Struct({
  title: Schema.String,
  claims: Schema.Array(Schema.String),
  words: Schema.Int
})

const objects: Scenario = {
  name: "X13",
  sentence: "An object whose JSON is cut, broken off or no JSON at all: an object of the schema, from the fallback",
  modes: ["full"],
  wire: true,
  run: Effect.fnUntraced(function*(lab) {
    const after = draw(lab, "after", 3, 8, 5)
    const fault = cases(
      lab,
      "fault",
      [
        FaultServer.truncatedJson,
        FaultServer.cutAfter(after),
        FaultServer.omitFinish,
        FaultServer.errorEventAfter(after),
        FaultServer.stallAfter(after),
        webPage
      ] as const
    )
    const world = yield* open(lab, { tokens: "asked", faults: { primary: [forever(fault)] } })
    const prompt = world.question(0)
    const call = world.run(() => Llm.generateObject(world.llm, { prompt, schema: Facts }), prompt)
    const seen = yield* call
    const requests = yield* world.requests
    yield* world.script("primary", [])
    const healthy = yield* call
    return {
      asked: Checks.asked(requests),
      checks: [
        equal("a healthy call gives an object", healthy.outcome, "success"),
        equal("the call is answered", seen.outcome, "success"),
        check("the object is of the schema", Schema.is(Facts)(seen.value?.value), seen.value?.value),
        equal("it is the one that was asked for", seen.value?.value, healthy.value?.value),
        equal("the receipt names who served", seen.receipt.provider, "backup"),
        atMost("no more requests than it takes", requests.length, 4),
        Checks.accounted(seen, requests)
      ]
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// cancellation and load
// ---------------------------------------------------------------------------------------------------------------------

const cancellation: Scenario = {
  name: "X14",
  sentence:
    "The caller goes away in mid-answer: the socket is closed, nothing else is sent, and it counts as no failure",
  modes: both,
  wire: false,
  run: Effect.fnUntraced(function*(lab) {
    const after = draw(lab, "after", 5, 40, 10)
    const world = yield* open(lab, { faults: { primary: [forever(FaultServer.stallAfter(after))] } })
    // A few times: as failures, so many would open the circuit.
    const cancelled = yield* Effect.forEach([0, 1, 2, 3, 4, 5], (n) => {
      const prompt = world.question(n)
      const begun = Deferred.makeUnsafe<void>()
      return world.run((parts) =>
        Effect.raceFirst(
          lab.mode === "full"
            ? Effect.map(Llm.generateText(world.llm, { prompt }), (answer) => void parts.push(...answer.content))
            : Stream.runForEach(Llm.streamText(world.llm, { prompt }), (part) =>
              Effect.andThen(
                Effect.sync(() => parts.push(part)),
                Part.text(parts) === "" ? Effect.void : Deferred.succeed(begun, undefined)
              )),
          Effect.andThen(lab.mode === "full" ? Effect.void : Deferred.await(begun), world.sleep(3_000))
        ), prompt)
    })
    const left = yield* world.now
    while ((yield* world.inFlight) > 0 && (yield* world.now) - left < world.within(1_000)) yield* world.sleep(20)
    const requests = yield* world.requests
    const closed = requests.map((request, index) => {
      const call = cancelled[index]
      return call === undefined || request.took === undefined
        ? Infinity
        : request.at + request.took - call.at - call.took
    })
    yield* world.script("primary", [])
    const next = yield* world.ask(6)
    return {
      asked: Checks.asked(requests),
      checks: [
        equal(
          "each went away before the end",
          cancelled.map(({ receipt }) => receipt.outcome),
          cancelled.map(() => "interrupted")
        ),
        equal("nothing else is sent", Checks.asked(requests), { primary: 6, backup: 0 }),
        equal("the client closes every socket", requests.map(({ end }) => end), requests.map(() => "client-closed")),
        inTime(world, "within 1 s", Math.max(...closed), 1_000),
        equal("no circuit opens", world.changes.length, 0),
        equal(
          "what was said is not taken for an answer",
          cancelled.some(({ parts }) => parts.some((part) => part.type === "finish")),
          false
        ),
        ...answeredBy(world, next, "primary", { alone: true })
      ]
    }
  })
}

const load: Scenario = {
  name: "X15",
  sentence: "100 calls at once, with mixed faults: each has the whole answer to its own question, with few retries",
  modes: both,
  wire: true,
  run: Effect.fnUntraced(function*(lab) {
    const size = lab.load ?? 100
    const chance = { ...lab, seed: lab.seed + 1 }
    // Those that ask again meet the next ones.
    const faults = Array.from({ length: 4 * size }, (_, index) => {
      const after = draw(chance, `after ${index}`, 3, 12, 0)
      return cases(
        chance,
        `fault ${index}`,
        [
          FaultServer.healthy,
          ...Array.from({ length: 3 }, () => FaultServer.status(500)),
          ...Array.from({ length: 3 }, () => FaultServer.overloaded),
          FaultServer.resetConnection,
          FaultServer.cutAfter(after),
          FaultServer.stallAfter(after, "60 seconds"),
          FaultServer.errorEventAfter(after),
          FaultServer.errorEventAfter(0),
          FaultServer.delayFirstToken("3 seconds"),
          FaultServer.truncatedJson,
          FaultServer.omitFinish,
          FaultServer.omitDone,
          FaultServer.silence("60 seconds"),
          FaultServer.rateLimited({ retryAfter: "1 second" }),
          webPage
        ]
      )
    })
    const world = yield* open(lab, { tokens: "asked", faults: { primary: faults } })
    const fibers: Array<Fiber.Fiber<Seen>> = []
    for (let n = 0; n < size; n++) fibers.push(yield* Effect.forkChild(world.ask(n), { startImmediately: true }))
    const calls = yield* Effect.forEach(fibers, Fiber.join)
    const took = yield* world.now
    const requests = yield* world.requests
    const served = calls.filter((call) => call.outcome === "success")
    return {
      asked: Checks.asked(requests),
      checks: [
        equal("all are served", calls.filter((call) => call.outcome !== "success").map((call) => call.outcome), []),
        equal(
          "each has the whole answer to its own question",
          served.filter((call) => call.text !== world.answerTo(call.prompt)).map((call) => call.prompt),
          []
        ),
        check("most of it was trouble", requests.length > 1.2 * size, requests.length),
        atMost(
          "the budget bounds the retries",
          Checks.at(requests, "primary").length,
          // 20 to begin with, a tenth for each answer, and one every two seconds.
          Math.ceil(1.1 * size + 20 + took / 2_000)
        ),
        inTime(world, "nobody waits for longer than 25 s", Math.max(...calls.map((call) => call.took)), 25_000),
        equal("every request is in a receipt", calls.flatMap((call) => call.receipt.attempts).length, requests.length),
        equal(
          "every answer is billed once",
          calls.map((call) => call.receipt.attempts.filter(({ usage }) => usage !== undefined).length),
          calls.map(() => 1)
        )
      ]
    }
  })
}

export const more: ReadonlyArray<Scenario> = [...broken, continued, tools, objects, cancellation, load]
