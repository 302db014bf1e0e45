/**
 * Callers of one shared model, and what became of each.
 */
import { assert } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope, Stream } from "effect"
import { Llm, type LlmError, type Part, Receipt, Usage } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import * as SingleFlight from "../../../src/cache/SingleFlight.ts"
import { makeProbe, OpenAi, openai, question, textOf } from "../../core/support/stack.ts"

/** All calls of the test ask the same. */
export const shared = openai.pipe(SingleFlight.share({ key: () => "the same" }))

/** A call, while it runs and after. */
export interface Caller<E> {
  /** The text so far. */
  readonly text: () => string
  readonly parts: ReadonlyArray<Part.Decoded>
  readonly receipt: () => Receipt.Receipt
  /** Whether it has one: it may have been interrupted before it had begun. */
  readonly hasReceipt: () => boolean
  readonly fiber: Fiber.Fiber<void, E>
  readonly leave: Effect.Effect<void>
  /** Its failure, or that it was interrupted; nothing while it runs, `success` afterwards. */
  readonly ended: () => unknown
}

export interface World {
  readonly calls: ReadonlyArray<ScriptedProvider.SeenCall>
  readonly whole: <E>(llm: Llm.Llm<E, OpenAi | SingleFlight.SingleFlight>) => Effect.Effect<Caller<E>>
  readonly stream: <E>(
    llm: Llm.Llm<E, OpenAi | SingleFlight.SingleFlight>,
    read?: (text: string) => Effect.Effect<void>
  ) => Effect.Effect<Caller<E | LlmError.StreamInterrupted>>
  readonly flights: SingleFlight.SingleFlight["Service"]
  /** All receipts so far. */
  readonly receipts: ReadonlyArray<Receipt.Receipt>
  /** Nothing may be left, and the receipts together must be what the provider saw. */
  readonly settled: Effect.Effect<void>
}

export const makeWorld = (
  script: ScriptedProvider.Script,
  options?: SingleFlight.Options
): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function*() {
    const provider = ScriptedProvider.make(OpenAi, script)
    const probe = yield* makeProbe
    const receipts: Array<Receipt.Receipt> = []
    const callers: Array<Fiber.Fiber<unknown, unknown>> = []
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const flights = yield* Scope.provide(SingleFlight.make(options), scope)
    const services = Context.add(yield* Layer.build(provider.layer), SingleFlight.SingleFlight, flights)

    const call = <E>(
      run: (seen: Array<Part.Decoded>) => Effect.Effect<void, E, OpenAi | SingleFlight.SingleFlight>
    ): Effect.Effect<Caller<E>> =>
      Effect.gen(function*() {
        const parts: Array<Part.Decoded> = []
        let receipt: Receipt.Receipt | undefined
        const fiber = yield* run(parts).pipe(
          Receipt.observe((closed) =>
            Effect.sync(() => {
              if (receipt !== undefined) assert.fail("a receipt is closed once")
              receipt = closed
              receipts.push(closed)
            })
          ),
          Effect.provideContext(services),
          probe.watch,
          Effect.forkDetach({ startImmediately: true })
        )
        callers.push(fiber)
        return {
          text: () => textOf(parts),
          parts,
          receipt: () => receipt ?? assert.fail("no receipt yet"),
          hasReceipt: () => receipt !== undefined,
          fiber,
          leave: Fiber.interrupt(fiber),
          ended: () => {
            const exit = fiber.pollUnsafe()
            if (exit === undefined) return undefined
            return Exit.isSuccess(exit)
              ? "success"
              : Option.getOrElse(Exit.findErrorOption(exit), () => Exit.hasInterrupts(exit) ? "interrupted" : exit)
          }
        }
      })

    return {
      calls: provider.calls,
      flights,
      receipts,
      whole: (llm) =>
        call((seen) =>
          Effect.map(Llm.generateText(llm, question), (answer) => {
            for (const part of answer.content) seen.push(part as Part.Decoded)
          })
        ),
      stream: (llm, read = () => Effect.void) =>
        call((seen) =>
          Stream.runForEach(Llm.streamText(llm, question), (part) => {
            seen.push(part)
            return part.type === "text-delta" ? read(part.delta) : Effect.void
          })
        ),
      settled: Effect.gen(function*() {
        assert.isTrue(callers.every((fiber) => fiber.pollUnsafe() !== undefined), "a caller still runs")
        assert.strictEqual(yield* flights.size, 0)
        assert.strictEqual(probe.fibers(), 0)
        assert.strictEqual(probe.timers(), 0)
        assertAccounted(receipts, provider.calls)
      })
    }
  })

/** All requests that the provider saw are on the receipts, each on one; how it has failed is called otherwise by those who see it from there. */
const assertAccounted = (
  receipts: ReadonlyArray<Receipt.Receipt>,
  calls: ReadonlyArray<ScriptedProvider.SeenCall>
): void => {
  const seen = ({ at, outcome }: { readonly at: number; readonly outcome?: string | undefined }) =>
    `${at} ${outcome === "success"}`
  const unseen = receipts.flatMap((receipt) =>
    receipt.attempts.map((attempt) => ({ ...attempt, at: receipt.startedAt + attempt.startMillis }))
  )
  for (const call of calls) {
    const index = unseen.findIndex((attempt) => seen(attempt) === seen(call))
    if (index === -1) assert.fail(`no receipt has the request: ${seen(call)}`)
    const [attempt] = unseen.splice(index, 1)
    if (call.outcome === undefined) assertNotBegun(attempt!)
  }
  unseen.forEach(assertNotBegun)
}

/** One that is interrupted as it begins may never be sent, and of one that is, the provider may not see the end. */
const assertNotBegun = ({ durationMillis, outcome }: Receipt.Attempt): void => {
  assert.deepStrictEqual([outcome, durationMillis], ["interrupted", 0])
}

/** The usage of all receipts together. */
export const usageOf = (receipts: ReadonlyArray<Receipt.Receipt>): Usage.Usage =>
  receipts.reduce((sum, receipt) => Usage.add(sum, receipt.usage), Usage.zero)
