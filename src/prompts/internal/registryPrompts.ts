/**
 * The registry at work: it keeps what is served up to date, and makes prompts of it without asking anybody.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { Current } from "../../core/Attribution.ts"
import type { Settings } from "../../core/Call.ts"
import { PromptInvalid, type PromptNotFound } from "../../core/LlmError.ts"
import type { PromptReference } from "../../core/PromptReference.ts"
import type { Receipt } from "../../core/Receipt.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import * as PromptTemplate from "../PromptTemplate.ts"
import type { Content } from "../PromptVersion.ts"
import { Guard, observedOf, Recent, type Trip } from "./experimentGuard.ts"
import type { Moment } from "./experimentTraffic.ts"
import type { Compiled, Fault } from "./promptCompile.ts"
import { type Definition, misfits } from "./promptFit.ts"
import { choose, Serving, type Wanted } from "./registrySnapshot.ts"
import { type PromptStore, PromptStoreError, type Snapshot } from "./store.ts"
import { describeIssue } from "./storeHome.ts"
import type { Bounds } from "./templateEngine.ts"
import { plain } from "./templateValues.ts"

export interface Options {
  readonly store: PromptStore["Service"]
  readonly bounds: Bounds
  /** In milliseconds. */
  readonly storeTimeout: number
  /** How many calls are remembered. */
  readonly remember: number
  /** Has a variant stopped, where all can see it. */
  readonly stop: (trip: Trip) => void
}

/** A prompt as the application defines it, as far as this file looks at it. */
export interface Defined extends Definition {
  readonly name: string
  readonly encode: (variables: unknown) => Result.Result<unknown, Schema.SchemaError>
}

export interface Rendered {
  readonly prompt: Prompt.Prompt
  readonly settings: Settings
  readonly model: string | undefined
  readonly reference: PromptReference
}

/** A failure, and which version it is about. */
export interface Failed {
  readonly error: PromptInvalid | PromptNotFound
  readonly reference: PromptReference | undefined
}

const nothing: Snapshot = { revision: "", prompts: new Map(), problems: [], staleSince: undefined }

export class Prompts {
  readonly options: Options
  serving: Serving
  /** Since when the store could not be read, in milliseconds since 1970. */
  outageSince: number | undefined = undefined
  readonly recent: Recent
  readonly guard = new Guard()
  private readonly turns = Semaphore.makeUnsafe(1)
  private readonly fits = new WeakMap<Compiled, WeakMap<Definition, ReadonlyArray<Fault>>>()

  constructor(options: Options) {
    this.options = options
    this.recent = new Recent(options.remember)
    this.serving = new Serving(nothing, 0, options.bounds)
  }

  /** Reads everything anew. One at a time: an older reading never takes the place of a newer one. */
  readonly load: Effect.Effect<void, PromptStoreError> = Effect.suspend(() => this.turns.withPermit(this.reading))

  private readonly reading = Effect.suspend(() => {
    const { bounds, store } = this.options
    const read = Effect.flatMap(this.inTime("snapshot", withoutDefects(store.snapshot)), (snapshot) => {
      if (snapshot === this.serving.source) return Effect.void
      return Clock.clockWith((clock) =>
        Effect.map(Serving.build(snapshot, this.serving, clock.currentTimeMillisUnsafe(), bounds), (serving) => {
          this.serving = serving
          this.guard.keep(serving.traffic)
        })
      )
    })
    return Effect.onExit(read, (exit) =>
      Clock.clockWith((clock) => {
        if (exit._tag === "Success") {
          this.outageSince = undefined
          return Effect.void
        }
        if (Cause.hasInterruptsOnly(exit.cause) || this.outageSince !== undefined) return Effect.void
        this.outageSince = clock.currentTimeMillisUnsafe()
        return reportUnhandled("PromptRegistry could not reach its store and serves what it has", exit.cause)
      }))
  })

  /** A store that does not answer has failed. */
  inTime<A, E>(
    operation: PromptStoreError["operation"],
    question: Effect.Effect<A, E>
  ): Effect.Effect<A, E | PromptStoreError> {
    const { storeTimeout } = this.options
    return Effect.timeoutOrElse(question, {
      duration: storeTimeout,
      orElse: () =>
        Effect.fail(
          new PromptStoreError({ operation, cause: new Error(`it did not answer within ${storeTimeout} ms`) })
        )
    })
  }

  /** Follows the store for ever. A store that is out is asked again until it is back. */
  readonly follow: Effect.Effect<void> = Effect.suspend(() =>
    Stream.runForEach(
      this.options.store.changes,
      // Many changes at once are read once, and not one after the other.
      () => Effect.andThen(Effect.ignore(Effect.retry(this.load, again)), Effect.sleep(quiet))
    )
  ).pipe(
    Effect.catchCause((cause) => reportUnhandled("PromptRegistry could not follow its store, and tries again", cause)),
    Effect.repeat(Schedule.spaced("30 seconds")),
    Effect.asVoid
  )

  /** What a choice depends on beside what is served. */
  moment(fiber: Fiber.Fiber<unknown, unknown>): Moment {
    return { now: () => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(), halted: this.guard.halted }
  }

  /** Sees what became of a call. A variant that crosses a bound gets no calls from here on, whatever the store takes to say so. */
  readonly observed = (receipt: Receipt): Effect.Effect<void> =>
    Effect.sync(() => {
      const call = observedOf(receipt)
      // A call within a call is seen twice.
      if (call === undefined || !this.recent.add(call)) return
      const trip = this.guard.observe(call, this.serving.traffic)
      if (trip !== undefined) this.options.stop(trip)
    })

  /** What is wrong with a version, by a definition. It is looked at once. */
  faults(compiled: Compiled, definition: Definition): ReadonlyArray<Fault> {
    const known = this.fits.get(compiled) ?? new WeakMap<Definition, ReadonlyArray<Fault>>()
    this.fits.set(compiled, known)
    const faults = known.get(definition) ?? misfits(compiled, definition, this.options.bounds)
    known.set(definition, faults)
    return faults
  }

  /** Makes the prompt of a call. All of it is of one version, and of one moment. */
  render(
    defined: Defined,
    wanted: Wanted,
    variables: unknown,
    fiber: Fiber.Fiber<unknown, unknown>,
    /** Whether other messages may follow: a conversation. */
    followed: boolean
  ): Result.Result<Rendered, Failed> {
    const { serving } = this
    const choice = choose(serving, defined.name, wanted, fiber.getRef(Current), this.moment(fiber))
    if (Result.isFailure(choice)) return Result.fail({ error: choice.failure, reference: undefined })
    const { reference, version } = choice.success
    const failed = (problems: ReadonlyArray<string>): Result.Result<never, Failed> =>
      Result.fail({ error: new PromptInvalid({ prompt: version.name, version: version.version, problems }), reference })

    const compilation = serving.compile(version)
    if (Result.isFailure(compilation)) return failed(sentences(compilation.failure))
    const faults = this.faults(compilation.success, defined)
    if (faults.length > 0) return failed(sentences(faults))

    const values = encoded(defined, variables)
    if (Result.isFailure(values)) return failed([values.failure])
    const messages: Array<Message> = []
    for (const { role, template, where } of compilation.success.messages) {
      const text = PromptTemplate.renderPlain(template, values.success, this.options.bounds)
      if (Result.isFailure(text)) return failed([`${where}, ${text.failure.message}`])
      // A model is not asked with nothing.
      if (text.success.trim() !== "") messages.push({ role, text: text.success })
    }
    const { content } = version
    if (!followed && messages.every(({ role }) => role === "system")) {
      return failed([
        "with these variables, only system messages are left, or none. Give it one of the user, or pass `messages` with the call"
      ])
    }
    return Result.succeed({
      prompt: Prompt.fromMessages(withExamples(messages, content).map(toMessage)),
      settings: content.settings ?? {},
      model: content.model ?? defined.model,
      reference
    })
  }
}

/** Whoever follows a store goes on, whatever is wrong with it. */
const withoutDefects = (snapshot: PromptStore["Service"]["snapshot"]): PromptStore["Service"]["snapshot"] =>
  Effect.catchDefect(snapshot, (cause) => Effect.fail(new PromptStoreError({ operation: "snapshot", cause })))

/** How long all is left as it is after it was read. What is written through the registry is read at once. */
const quiet = "100 millis"

/** Ever longer, up to half a minute. */
export const again = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")])

export const sentences = (faults: ReadonlyArray<Fault>): ReadonlyArray<string> =>
  faults.map(({ problem, remedy, where }) => `${where}: ${problem}. ${remedy}`)

const encoded = (
  defined: Defined,
  variables: unknown
): Result.Result<{ readonly [name: string]: unknown }, string> => {
  try {
    const encoded = defined.encode(variables)
    return Result.isFailure(encoded)
      ? Result.fail(`the variables do not fit: ${describeIssue(encoded.failure.issue, defined.shape.isName)}`)
      : plain(encoded.success)
  } catch {
    // A schema that has to wait, or throws. What it says can quote a value.
    return Result.fail("the schema of the variables cannot encode them at once")
  }
}

interface Message {
  readonly role: Content["messages"][number]["role"]
  readonly text: string
}

const withExamples = (
  messages: ReadonlyArray<Message>,
  { examples = [] }: Content
): ReadonlyArray<Message> => {
  if (examples.length === 0) return messages
  const found = messages.findIndex(({ role }) => role !== "system")
  const first = found === -1 ? messages.length : found
  return [
    ...messages.slice(0, first),
    ...examples.flatMap(({ assistant, user }): ReadonlyArray<Message> => [
      { role: "user", text: user },
      { role: "assistant", text: assistant }
    ]),
    ...messages.slice(first)
  ]
}

const toMessage = ({ role, text }: Message): Prompt.Message =>
  role === "system"
    ? Prompt.systemMessage({ content: text })
    : role === "user"
    ? Prompt.userMessage({ content: [Prompt.textPart({ text })] })
    : Prompt.assistantMessage({ content: [Prompt.textPart({ text })] })
