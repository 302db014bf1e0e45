/**
 * Operations that a live view is told of by hand.
 */
import { Effect } from "effect"
import { Money, Plan, type Receipt, Usage } from "effect-bulwark"
import { Prompt } from "effect/ai"
import {
  type AttemptWatch,
  type Begun,
  type Instrument,
  Live,
  type OperationWatch
} from "../../../src/core/internal/instrument.ts"

const request: Begun["request"] = {
  prompt: Prompt.make("What nobody is to see."),
  tools: [],
  toolChoice: "auto",
  responseFormat: { type: "text" },
  settings: {}
}

/** Whoever is told of operations; there must be one. */
export const instrument: Effect.Effect<Instrument> = Effect.flatMap(
  Live,
  (live) => live === undefined ? Effect.die("no live view") : Effect.succeed(live)
)

/** Begins an operation now. */
export const begin = (id: string, more?: Partial<Begun>): Effect.Effect<OperationWatch> =>
  Effect.gen(function*() {
    const live = yield* instrument
    const fiber = yield* Effect.fiber
    const startedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const operation = live.operation({
      id,
      mode: "stream",
      request,
      attribution: {},
      plan: Plan.model("openai", "gpt-5-mini"),
      startedAt,
      operation: "chat",
      refresh: false,
      ...more
    }, fiber)
    return operation === undefined ? yield* Effect.die("not watched") : operation
  })

/** Sends a request now. */
export const ask = (operation: OperationWatch, model = "gpt-5-mini", provider = "openai"): AttemptWatch => {
  const attempt = operation.attempt({
    provider,
    model,
    startedAt: 0,
    firstPartAt: undefined,
    servedModel: undefined,
    outcome: undefined,
    usage: undefined,
    finishReason: undefined
  }, request)
  if (attempt === undefined) throw new Error("not watched")
  return attempt
}

/** Parts of text arrive. */
export const arrive = (attempt: AttemptWatch, pieces: ReadonlyArray<string>, first = false): void =>
  attempt.arrived?.(pieces.map((delta) => ({ type: "text-delta", id: "0", delta })), first)

export const decide = (
  operation: OperationWatch,
  type: Receipt.Event["type"],
  reason: string,
  delayMillis?: number
): void =>
  operation.decided(
    { type, reason, atMillis: 0, afterAttempts: 0, ...(delayMillis === undefined ? undefined : { delayMillis }) },
    undefined,
    undefined
  )

/** Requests as they stand on a receipt, with what each has used and cost. */
export const receiptOf = (
  attempts: ReadonlyArray<Partial<Receipt.Attempt>>,
  more?: Partial<Receipt.Receipt>
): Receipt.Receipt => {
  const cost = attempts.every((attempt) => attempt.cost !== undefined) && attempts.length > 0
    ? { cost: attempts.map((attempt) => attempt.cost ?? Money.zero).reduce(Money.add) }
    : undefined
  return {
    operationId: "op",
    attribution: { user: "ada lovelace", tenant: "acme corporation" },
    startedAt: 0,
    outcome: "success",
    degraded: false,
    attempts: attempts.map((attempt) => ({
      provider: "openai",
      model: "gpt-5-mini",
      startMillis: 0,
      durationMillis: 100,
      outcome: "success",
      ...attempt
    })),
    events: [],
    usage: attempts.reduce(
      (sum, { usage }) => usage === undefined ? sum : Usage.add(sum, usage),
      Usage.zero
    ),
    ...cost,
    timings: { totalMillis: 1_000 },
    ...more
  }
}

/** Ends an operation now. */
export const close = (operation: OperationWatch, receipt: Receipt.Receipt): void =>
  operation.closed(receipt, { error: undefined, served: undefined, answer: undefined, text: () => "" })

export const usage = (input: number, output: number): Usage.Usage => ({
  ...Usage.zero,
  inputUncached: input,
  outputText: output
})
