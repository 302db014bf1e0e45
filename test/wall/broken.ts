/**
 * Stacks that are broken on purpose, each in one way: a check that none of them fails would be no check.
 */
import { type Cause, Deferred, Duration, Effect, Queue, Redacted, Schedule, Scope, Stream } from "effect"
import { Breaker, type Call, Fallback, Llm, type LlmError, Opened, type Part, Resume } from "effect-bulwark"
import { Recorder } from "../../src/core/internal/recorder.ts"
import { backup, primary, servicesIn, type Stack, type StackOf, standard, transientIn } from "./stack.ts"

type Inner<E, R> = Llm.Llm<E, R>

/** Changes how an `Llm` opens, and nothing else. */
const opening = <E, R, E2>(
  self: Inner<E, R>,
  open: (call: Call.Call) => Effect.Effect<Opened.Opened, E2, R | Scope.Scope>
): Inner<E2, R> => Llm.make({ plan: self.plan, open })

const limits = (scale: number) => ({
  firstPart: Duration.millis(10_000 / scale),
  idle: Duration.millis(15_000 / scale),
  total: Duration.millis(120_000 / scale)
})

const models = [primary, backup] as const

const noUsage = { inputTokens: { total: 0 }, outputTokens: { total: 0 } } as const

const faked: Part.Part = { type: "finish", reason: "stop", usage: noUsage }

/** With the standard services. */
const of = (make: (scale: number) => Stack): StackOf => (scale) => ({ services: servicesIn(scale), llm: make(scale) })

/** Around the standard stack. */
const around = (change: (self: Stack, scale: number) => Stack): StackOf => (scale, choice) => {
  const { llm, services } = standard(scale, choice)
  return { services, llm: change(llm, scale) }
}

/** Asks again and again at once, whatever failed and whoever says to wait. */
const hammered = <E, R>(self: Inner<E, R>, times: number): Inner<E, R> => {
  const again = (call: Call.Call, left: number): Effect.Effect<Opened.Opened, E, R | Scope.Scope> =>
    Effect.catch(
      Llm.attempt(self.open(call)),
      (error) => left === 0 ? Effect.fail(error) : again({ ...call, attempt: call.attempt + 1 }, left - 1)
    )
  return opening(self, (call) => again(call, times))
}

/** What had arrived, as if it were all. */
const blind = (self: Stack): Stack =>
  opening(self, (call) =>
    Effect.map(
      Effect.catchTag(
        self.open(call),
        "StreamInterrupted",
        (error) =>
          Effect.succeed(Opened.whole([{ type: "text-delta", id: "0", delta: Redacted.value(error.partial) }, faked]))
      ),
      (opened) =>
        Opened.mapFlow(opened, (parts) => Stream.catchTag(parts, "StreamInterrupted", () => Stream.succeed(faked)))
    ))

/** Another model's answer, behind the words that had been said. */
const mixing = (self: Stack): Stack =>
  Llm.make({
    plan: self.plan,
    open: (call) =>
      Effect.flatMap(Effect.scope, (scope) =>
        Effect.flatMap(Effect.context<Llm.Services<typeof backup>>(), (context) =>
          Effect.map(self.open(call), (opened) =>
            Opened.mapFlow(opened, (parts) =>
              Stream.catchTag(parts, "StreamInterrupted", () =>
                Stream.unwrap(Effect.map(
                  Effect.orDie(
                    Effect.provideContext(Scope.provide(backup.open(call), scope), context)
                  ),
                  Opened.stream
                )))))))
  })

/** A call that is not written down. */
const unwritten = (self: Stack): Stack =>
  opening(
    self,
    (call) => self.open({ ...call, recorder: new Recorder(call.id, call.attribution, call.recorder.clock) })
  )

/** Every attempt is billed, whatever came of it, and the answer twice. */
const overbilled = (self: Stack): Stack => {
  const bill = (call: Call.Call) =>
    Effect.sync(() => {
      for (const attempt of call.recorder.attempts) {
        attempt.usage = { inputUncached: 7, inputCacheRead: 0, inputCacheWrite: 0, outputText: 7, outputReasoning: 0 }
      }
    })
  return opening(
    self,
    (call) => Effect.andThen(Effect.addFinalizer(() => bill(call)), Effect.tap(self.open(call), () => bill(call)))
  )
}

/** Something said by mistake, and unsaid. */
const stammering = (self: Stack): Stack =>
  opening(self, (call) =>
    Effect.map(self.open(call), (opened) =>
      Opened.mapFlow(opened, (parts) =>
        Stream.concat(
          Stream.fromIterable<Part.Part>([
            { type: "text-delta", id: "x", delta: "Well, " },
            { type: "retract", reason: "failed" }
          ]),
          parts
        ))))

/** The usage with the answer is made up. */
const misreported = (self: Stack): Stack =>
  opening(self, (call) =>
    Effect.map(self.open(call), (opened) => {
      const change = (part: Part.Part): Part.Part => part.type === "finish" ? { ...part, usage: noUsage } : part
      return opened._tag === "Whole"
        ? Opened.whole(opened.parts.map(change))
        : Opened.mapFlow(opened, Stream.map(change))
    }))

/** Whoever goes away leaves the request running. */
const detached = (self: Stack): Stack =>
  opening(self, (call) =>
    Effect.gen(function*() {
      const result = yield* Deferred.make<Opened.Opened, LlmError.LlmError>()
      const scope = Scope.makeUnsafe()
      yield* Effect.forkDetach(Deferred.into(Scope.provide(self.open(call), scope), result))
      return Opened.mapFlow(yield* Deferred.await(result), (parts) =>
        Stream.unwrap(Effect.gen(function*() {
          const queue = yield* Queue.unbounded<Part.Part, LlmError.StreamInterrupted | Cause.Done>()
          yield* Effect.forkDetach(Stream.runIntoQueue(parts, queue))
          return Stream.fromQueue(queue)
        })))
    }))

/** A refusal, and what is not valid, asked of everybody. */
const anybody = (self: Stack): Stack =>
  opening(
    self,
    (call) =>
      Effect.catch(Llm.attempt(self.open(call)), () =>
        Effect.mapError(backup.open(call), (error): LlmError.LlmError => error)) as ReturnType<Stack["open"]>
  )

const always = Schedule.recurs(2)

export const broken: Readonly<Record<string, StackOf>> = {
  bare: of(() => primary),
  wrongModel: of(() => backup),
  noFallback: of((scale) =>
    Llm.standard({ models: [primary], resume: "restart", timeout: limits(scale), retry: transientIn(scale) })
  ),
  noRetry: of((scale) => Llm.standard({ models, resume: "restart", timeout: limits(scale), retry: false })),
  noLimits: of((scale) =>
    Llm.standard({
      models,
      resume: "restart",
      timeout: { firstPart: Duration.infinity, idle: Duration.infinity, total: Duration.hours(1) },
      retry: transientIn(scale)
    })
  ),
  noResume: of((scale) => Llm.standard({ models, timeout: limits(scale), retry: transientIn(scale) })),
  noBreaker: of((scale) =>
    Llm.standard({ models, resume: "restart", breaker: false, timeout: limits(scale), retry: transientIn(scale) })
  ),
  unbounded: of((scale) =>
    Llm.standard({
      models,
      resume: "restart",
      breaker: false,
      retryBudget: false,
      timeout: limits(scale),
      retry: Schedule.spaced(Duration.millis(200 / scale)).pipe(Schedule.upTo({ times: 20 }))
    })
  ),
  impatient: of((scale) =>
    Llm.standard({
      models,
      resume: "restart",
      timeout: { ...limits(scale), idle: Duration.millis(1_000 / scale), firstPart: Duration.millis(1_000 / scale) },
      retry: transientIn(scale)
    })
  ),
  hammering: of((scale) =>
    Fallback.orElse(
      Breaker.guard(hammered(
        Llm.timeout(primary, { firstPart: limits(scale).firstPart, idle: limits(scale).idle }),
        30
      )),
      backup
    )
  ),
  hammeringAlone: of(() => hammered(primary, 30)),
  anybody: of(() => anybody(hammered(primary, 2) as Stack)),
  silentAgain: of((scale) =>
    Llm.orElse(
      Llm.retry(Llm.timeout(primary, { firstPart: limits(scale).firstPart, idle: limits(scale).idle }), always),
      backup
    )
  ),
  neverBack: (scale, choice) => ({
    llm: standard(scale, choice).llm,
    services: Llm.layerStandard({ breaker: { openDuration: "1 hour" } })
  }),
  neverOpen: (scale, choice) => ({
    llm: standard(scale, choice).llm,
    services: Llm.layerStandard({ breaker: { trip: Breaker.consecutive(10_000) } })
  }),
  blind: of((scale) => blind(Llm.standard({ models: [primary], timeout: limits(scale), retry: false }))),
  mixing: of((scale) => mixing(Llm.standard({ models, timeout: limits(scale), retry: transientIn(scale) }))),
  insistent: of((scale) =>
    Resume.continue(
      Llm.standard({ models, timeout: limits(scale), retry: transientIn(scale) }),
      hammered(backup, 9)
    )
  ),
  unwritten: around(unwritten),
  overbilled: around(overbilled),
  misreported: around(misreported),
  stammering: around(stammering),
  wishful: around((self) => Llm.orElseSucceed(self, () => "All is well.")),
  detached: around(detached),
  hanging: around((self) => opening(self, () => Effect.never)),
  dying: around((self) => opening(self, () => Effect.die("broken")))
}
