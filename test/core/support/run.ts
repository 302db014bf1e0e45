/**
 * One call of each kind, for as long as it takes, with all that was seen of it.
 */
import { Effect, type Exit, Fiber, Stream } from "effect"
import { Llm, type LlmError, type Receipt } from "effect-bulwark"
import { ScriptedProvider } from "effect-bulwark/testing"
import { TestClock } from "effect/testing"
import { Anthropic, makeProbe, makeReceipts, OpenAi, type Probe, question } from "./stack.ts"

/** What the providers do. */
export interface Scripts {
  readonly openai?: ScriptedProvider.Script
  readonly anthropic?: ScriptedProvider.Script
}

/** What came of a call. */
export interface Ran<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly receipt: Receipt.Receipt
  readonly openai: ReadonlyArray<ScriptedProvider.SeenCall>
  readonly anthropic: ReadonlyArray<ScriptedProvider.SeenCall>
  readonly probe: Probe
}

const running = <A, E>(effect: Effect.Effect<A, E, OpenAi | Anthropic>, scripts: Scripts): Effect.Effect<Ran<A, E>> =>
  Effect.gen(function*() {
    const receipts = makeReceipts()
    const probe = yield* makeProbe
    const openai = ScriptedProvider.make(OpenAi, scripts.openai ?? [])
    const anthropic = ScriptedProvider.make(Anthropic, scripts.anthropic ?? [])
    const fiber = yield* effect.pipe(
      receipts.observe,
      Effect.provide([openai.layer, anthropic.layer]),
      probe.watch,
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 hour")
    // A call that still waits after an hour waits for ever.
    if (fiber.pollUnsafe() === undefined) yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    return { exit, receipt: receipts.one(), openai: openai.calls, anthropic: anthropic.calls, probe }
  })

/** Asks for the text of a full answer. */
export const text = <E>(llm: Llm.Llm<E, OpenAi | Anthropic>, scripts: Scripts): Effect.Effect<Ran<string, E>> =>
  running(Effect.map(Llm.generateText(llm, question), (answer) => answer.text), scripts)

/** What a stream delivered, and how it ended. */
export interface Streamed<E> extends Ran<string, E | LlmError.StreamInterrupted> {
  /** Also of a stream that failed. */
  readonly texts: ReadonlyArray<string>
}

/** Reads the text of a stream. */
export const stream = <E>(
  llm: Llm.Llm<E, OpenAi | Anthropic>,
  scripts: Scripts,
  read: (text: string) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Streamed<E>> =>
  Effect.suspend(() => {
    const texts: Array<string> = []
    const reading = Llm.streamText(llm, question).pipe(
      Llm.textDeltas,
      Stream.runForEach((text) => Effect.andThen(Effect.sync(() => void texts.push(text)), read(text))),
      Effect.map(() => texts.join(""))
    )
    return Effect.map(running(reading, scripts), (ran) => ({ ...ran, texts }))
  })

/** Reads a stream as one who understands `retract`. */
export const parts = <E>(
  llm: Llm.Llm<E, OpenAi | Anthropic>,
  scripts: Scripts
): Effect.Effect<Ran<void, E | LlmError.StreamInterrupted> & { readonly shown: ReadonlyArray<string> }> =>
  Effect.suspend(() => {
    const shown: Array<string> = []
    const reading = Stream.runForEach(Llm.streamText(llm, question), (part) =>
      Effect.sync(() => {
        if (part.type === "text-delta") shown.push(part.delta)
        else if (part.type === "retract") shown.push("<retract>")
      }))
    return Effect.map(running(reading, scripts), (ran) => ({ ...ran, shown }))
  })

/** The outcomes of the calls that a provider saw. */
export const outcomes = (calls: ReadonlyArray<ScriptedProvider.SeenCall>): Array<string | undefined> =>
  calls.map((call) => call.outcome)

/** When a provider was called. */
export const times = (calls: ReadonlyArray<ScriptedProvider.SeenCall>): Array<number> => calls.map((call) => call.at)
