/**
 * What a scenario of the wall is run in: two upstreams that misbehave as it says, a stack before them, and eyes on both sides.
 *
 * All times in scenarios are the published ones, in milliseconds: a lab divides what goes in by its scale, and multiplies what
 * comes out.
 */
import { Cause, Clock, type Context, Duration, Effect, Exit, Layer, type Scope, Stream } from "effect"
import { Breaker, Llm, Part, Receipt, type RetryBudget } from "effect-bulwark"
import { FaultServer } from "effect-bulwark/testing"
import type { Response } from "effect/ai"
import type { Backup, Choice, Primary, Stack, StackOf } from "./stack.ts"

/** How the consumer asks: for parts as they come, or for the whole answer. */
export type Mode = "streamed" | "full"

export type Upstream = "primary" | "backup"

export const upstreams = ["primary", "backup"] as const

/** What an upstream saw of one request, in the lab's own time. */
export interface RawRequest {
  readonly upstream: Upstream
  /** The question it asks. */
  readonly prompt: string
  /** Whether it ends with words of the assistant. */
  readonly prefilled: boolean
  /** Whether it asks for a stream. */
  readonly streamed: boolean
  readonly at: number
  readonly endedAt: number | undefined
  /** Who ended it, as `FaultServer` tells. */
  readonly end: string | undefined
}

/** The upstreams of one scenario, however they are made. */
export interface Backend {
  readonly providers: Context.Context<Primary | Backup>
  /** What either of them answers where it has no words of its own. */
  readonly answerTo: (prompt: string) => string
  readonly script: (upstream: Upstream, faults: ReadonlyArray<FaultServer.Fault>) => Effect.Effect<void>
  readonly requests: Effect.Effect<ReadonlyArray<RawRequest>>
  /** How many requests are being answered. */
  readonly inFlight: Effect.Effect<number>
}

/** How the upstreams of a scenario are set up. */
export interface BackendOptions {
  /** What they answer with; each has words of its own, so that a mixture shows. Absent: words of the question. */
  readonly answers: Readonly<Record<Upstream, string>> | undefined
  readonly prefill: "ignore" | "continue" | "reject"
}

export interface Lab {
  readonly mode: Mode
  /** Seed 0 is the published case; others vary it. */
  readonly seed: number
  /** What published times are divided by. */
  readonly scale: number
  /** How much later than it should a machine may be, in its own milliseconds. */
  readonly slack: number
  /** How many calls a scenario of many makes at once. Default: 100. */
  readonly load?: number | undefined
  readonly stackOf: StackOf
  readonly backend: (options: BackendOptions) => Effect.Effect<Backend, never, Scope.Scope>
}

/** What a scenario begins with. Durations are the published ones. */
export interface Setup {
  /** How many tokens an answer has, or `asked` where it is made of the question. Default: 60. */
  readonly tokens?: number | "asked" | undefined
  readonly faults?: Partial<Record<Upstream, ReadonlyArray<FaultServer.Fault>>> | undefined
  /** What the fallback does with a request that ends with words of the assistant. Default: `ignore`. */
  readonly prefill?: BackendOptions["prefill"] | undefined
  readonly stack?: Choice | undefined
}

/** What an upstream saw of one request, in published time since the scenario began. */
export interface SeenRequest extends Omit<RawRequest, "endedAt"> {
  /** How long it took; absent while it runs. */
  readonly took: number | undefined
}

/** What a caller saw of one call. */
export interface Seen {
  readonly prompt: string
  /** `success`, `interrupted`, `defect`, `hangs`, or the tag of the error. */
  readonly outcome: string
  readonly error: unknown
  readonly parts: ReadonlyArray<Part.Decoded | Response.AnyPart>
  /** The text of the answer, without what was unsaid. */
  readonly text: string
  readonly receipt: Receipt.Receipt
  /** In published milliseconds. */
  readonly at: number
  readonly took: number
}

/** A change of the state of the primary's circuit, in published time. */
export interface Change {
  readonly at: number
  readonly to: Breaker.Transition["to"]
}

export type Services = Primary | Backup | Breaker.Breaker | RetryBudget.RetryBudget

export interface World {
  readonly lab: Lab
  readonly llm: Stack
  /** What each upstream answers with, where it has words of its own. */
  readonly answers: Readonly<Record<Upstream, string>>
  /** What either of them answers where it has not. */
  readonly answerTo: (prompt: string) => string
  readonly script: (upstream: Upstream, faults: ReadonlyArray<FaultServer.Fault>) => Effect.Effect<void>
  /** The nth question, from 0. */
  readonly question: (n: number) => string
  /** Asks the nth question, and waits for what comes of it. */
  readonly ask: (n?: number) => Effect.Effect<Seen>
  /** Runs anything with the services of the stack, and tells its outcome. */
  readonly run: <A>(
    use: (parts: Array<Seen["parts"][number]>) => Effect.Effect<A, unknown, Services>,
    prompt: string
  ) => Effect.Effect<Seen & { readonly value: A | undefined }>
  readonly requests: Effect.Effect<ReadonlyArray<SeenRequest>>
  readonly changes: ReadonlyArray<Change>
  readonly inFlight: Effect.Effect<number>
  /** Waits for so long. */
  readonly sleep: (published: number) => Effect.Effect<void>
  /** How long it has been going on. */
  readonly now: Effect.Effect<number>
  /** An upper bound on a time: exact where time is ours, with some slack where it is the machine's. */
  readonly within: (published: number) => number
}

/** Longer than any limit of the stack: what takes so long hangs. */
const hangs = 240_000

/** Sets up the upstreams and the stack. */
export const open = (lab: Lab, setup: Setup): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { scale, seed } = lab
    const tokens = setup.tokens ?? 60
    const answers = tokens === "asked"
      ? { primary: "", backup: "" }
      : { primary: wordsOf("p", tokens), backup: wordsOf("b", tokens) }
    const backend = yield* lab.backend({
      answers: tokens === "asked" ? undefined : answers,
      prefill: setup.prefill ?? "ignore"
    })
    const script: World["script"] = (upstream, faults) =>
      backend.script(upstream, faults.map((fault) => scaled(fault, scale)))
    for (const upstream of upstreams) yield* script(upstream, setup.faults?.[upstream] ?? [])

    const { llm, services } = lab.stackOf(scale, setup.stack ?? {})
    const policies = yield* Layer.build(services)
    const run = <A, E>(effect: Effect.Effect<A, E, Services>): Effect.Effect<A, E> =>
      effect.pipe(Effect.provideContext(policies), Effect.provideContext(backend.providers))

    const clock = yield* Clock.Clock
    const began = clock.currentTimeMillisUnsafe()
    const now = () => (clock.currentTimeMillisUnsafe() - began) * scale
    const changes: Array<Change> = []
    yield* run(Breaker.Breaker.use((breaker) =>
      Stream.runForEach(breaker.transitions, (transition) =>
        Effect.sync(() => {
          if (transition.key.startsWith("primary/")) changes.push({ at: now(), to: transition.to })
        }))
    )).pipe(Effect.forkScoped({ startImmediately: true }))

    const question: World["question"] = (n) =>
      [
        `Question ${n} of run ${seed}:`,
        ...Array.from({ length: 3 + drawn(seed, `question ${n}`, 0, 40) }, (_, word) => `word${(seed + word) % 7}`)
      ].join(" ") + "?"

    const world: World = {
      lab,
      llm,
      answers,
      answerTo: backend.answerTo,
      script,
      question,
      run: (use, prompt) =>
        Effect.suspend(() => {
          const at = now()
          const parts: Array<Seen["parts"][number]> = []
          const receipts: Array<Receipt.Receipt> = []
          return run(use(parts)).pipe(
            Receipt.observe((receipt) => Effect.sync(() => receipts.push(receipt))),
            Effect.timeoutOrElse({
              duration: Duration.millis(hangs / scale),
              orElse: () => Effect.fail({ _tag: "hangs" })
            }),
            Effect.exit,
            Effect.map((exit) => ({
              prompt,
              ...outcomeOf(exit),
              value: Exit.isSuccess(exit) ? exit.value : undefined,
              parts,
              text: Part.text(parts),
              receipt: receipts[0] ?? noReceipt,
              at,
              took: now() - at
            }))
          )
        }),
      ask: (n = 0) => {
        const prompt = question(n)
        return world.run((parts) =>
          lab.mode === "full"
            ? Effect.map(Llm.generateText(llm, { prompt }), (answer) => void parts.push(...answer.content))
            : Stream.runForEach(Llm.streamText(llm, { prompt }), (part) => Effect.sync(() => parts.push(part))), prompt)
      },
      requests: Effect.map(backend.requests, (requests) =>
        requests.map(({ at, endedAt, ...request }) => ({
          ...request,
          at: (at - began) * scale,
          took: endedAt === undefined ? undefined : (endedAt - at) * scale
        }))),
      changes,
      inFlight: backend.inFlight,
      sleep: (published) => Effect.sleep(Duration.millis(published / scale)),
      now: Effect.sync(now),
      within: (published) => published + lab.slack * scale
    }
    return world
  })

/** A text of so many tokens, as the server counts them. */
const wordsOf = (letter: string, tokens: number): string =>
  Array.from({ length: tokens }, (_, index) => `${letter}${String(index).padStart(3, "0")}`).join(" ")

/** The first tokens of an answer. */
export const firstTokens = (answer: string, tokens: number): string => answer.split(" ").slice(0, tokens).join(" ")

const noReceipt: Receipt.Receipt = {
  operationId: "none",
  attribution: {},
  startedAt: 0,
  outcome: "no receipt",
  degraded: false,
  attempts: [],
  events: [],
  usage: { inputUncached: 0, inputCacheRead: 0, inputCacheWrite: 0, outputText: 0, outputReasoning: 0 },
  timings: { totalMillis: 0 }
}

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Pick<Seen, "error" | "outcome"> => {
  if (Exit.isSuccess(exit)) return { outcome: "success", error: undefined }
  if (Cause.hasDies(exit.cause)) return { outcome: "defect", error: exit.cause }
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  if (failure === undefined) return { outcome: "interrupted", error: undefined }
  const { error } = failure
  return {
    outcome: typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "failure",
    error
  }
}

const drawn = (seed: number, name: string, least: number, most: number): number => {
  let hash = 2_166_136_261 ^ seed
  for (const character of `${name} ${seed}`) hash = Math.imul(hash ^ character.charCodeAt(0), 16_777_619) >>> 0
  hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_519) >>> 0
  return least + ((hash ^ (hash >>> 13)) >>> 0) % (most - least + 1)
}

/** A whole number from one to another, the same for each run with one seed: the published one where that is 0. */
export const draw = (lab: Lab, name: string, least: number, most: number, published: number): number =>
  lab.seed === 0 ? published : drawn(lab.seed, name, least, most)

/** A fault in a fraction of its time. */
const scaled = (fault: FaultServer.Fault, scale: number): FaultServer.Fault => {
  const shorter = (duration: number | "Infinity") => duration === "Infinity" ? duration : duration / scale
  const retryAfter = fault.status?.error?.retryAfter
  return {
    ...fault,
    ...(fault.silence === undefined ? undefined : { silence: shorter(fault.silence) }),
    ...(fault.delayHeaders === undefined ? undefined : { delayHeaders: shorter(fault.delayHeaders) }),
    ...(fault.delayFirstToken === undefined ? undefined : { delayFirstToken: shorter(fault.delayFirstToken) }),
    ...(fault.delayBetweenTokens === undefined ? undefined : {
      delayBetweenTokens: shorter(fault.delayBetweenTokens)
    }),
    ...(fault.stallAfter === undefined ? undefined : {
      stallAfter: { tokens: fault.stallAfter.tokens, for: shorter(fault.stallAfter.for) }
    }),
    ...(retryAfter === undefined || scale === 1 ? undefined : {
      status: FaultServer.rateLimited({ retryAfter: Duration.millis(retryAfter / scale) }).status!
    })
  }
}
