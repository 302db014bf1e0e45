/**
 * One request to one provider, metered: the step at which a provider's stream becomes an opened call.
 *
 * It holds back what comes before the first content part, keeps the receipt, and decides how a stream may end: with its
 * `finish` part, or as `StreamInterrupted`.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { Account, Call, Request, Settings } from "../Call.ts"
import * as Opened from "../Opened.ts"
import * as Part from "../Part.ts"
import { contentFiltered } from "./contentFilter.ts"
import {
  type ContentFiltered,
  type InterruptionCause,
  type ProviderError,
  ServerError,
  type StreamInterrupted
} from "./errors.ts"
import { type AttemptWatch, Propagates } from "./instrument.ts"
import { toPull } from "./pull.ts"
import { type AttemptRecord, errorOfCause, outcomeOfCause } from "./recorder.ts"

/** What can be asked of a provider for one request. */
export interface Upstream {
  readonly provider: string
  readonly model: string
  /** What it is asked, with all settings. */
  readonly request: Request
  readonly whole: (settings: Settings) => Effect.Effect<ReadonlyArray<Part.AnswerPart>, ProviderError>
  readonly stream: (settings: Settings) => Stream.Stream<Part.ProviderPart, ProviderError>
  /** Told of every failure, before the answer and in it. */
  readonly failed: (error: ProviderError) => void
}

type Parts = Arr.NonEmptyReadonlyArray<Part.Part>

/** Opens one request, over the transport and in the mode that the call asks for, and has it paid for where somebody keeps books. */
export const openAttempt = (
  call: Call,
  upstream: Upstream
): Effect.Effect<Opened.Opened, ProviderError, Scope.Scope> =>
  call.account === undefined
    ? send(call, upstream, upstream.request.settings, unpaid)
    : Effect.suspend(() => charged(call, upstream, call.account!))

/** Books a request when it has ended, which any of several ends may say: the first one counts. */
type Book = (error?: unknown) => Effect.Effect<void>

const unpaid: Book = () => Effect.void

const charged = (
  call: Call,
  upstream: Upstream,
  account: Account
): Effect.Effect<Opened.Opened, ProviderError, Scope.Scope> => {
  const { model, provider, request } = upstream
  const charge = account.charge({ provider, model, request, transport: call.transport })
  let record: AttemptRecord | undefined
  const book: Book = (error) =>
    Effect.map(
      charge.settle({
        sent: record !== undefined,
        whole: record?.finishReason !== undefined,
        usage: record?.usage,
        seen: () => record?.seen() ?? "",
        error
      }),
      (cost) => {
        if (record !== undefined) record.cost ??= cost
      }
    )
  // The refusals of an account pass through the policies between it and the model, which look at errors by their row in the table.
  // Their types do not have them: they are added where the account is set, which is further out.
  const reserve: Effect.Effect<Settings> = Effect.mapError(charge.reserve, (refusal) => {
    call.recorder.event("rejected", refusal._tag)
    return refusal as never
  })
  // What is held is taken inside of what lets it go: between two steps a fiber may be interrupted.
  return Effect.onExit(
    Effect.flatMap(reserve, (settings) => send(call, upstream, settings, book, (begun) => record = begun)),
    // A flow goes on, and is booked at its own end.
    (exit) =>
      exit._tag === "Failure" ? book(errorOfCause(exit.cause)) : exit.value._tag === "Whole" ? book() : Effect.void
  )
}

const send = (
  call: Call,
  upstream: Upstream,
  settings: Settings,
  book: Book,
  began?: (record: AttemptRecord) => void
): Effect.Effect<Opened.Opened, ProviderError, Scope.Scope> =>
  Effect.suspend(() => {
    let record: AttemptRecord | undefined
    // It begins inside of what ends it: between two steps a fiber may be interrupted.
    const open = Effect.suspend(() => {
      record = call.recorder.begin(
        upstream.provider,
        upstream.model,
        settings === upstream.request.settings ? upstream.request : { ...upstream.request, settings }
      )
      began?.(record)
      call.pulse?.attempt()
      return request(call, upstream, settings, book, record)
    })
    return Effect.onExit(open, (exit) => {
      if (exit._tag === "Failure" && record !== undefined) {
        const error = errorOfCause(exit.cause)
        record.end(outcomeOfCause(exit.cause), call.recorder.now(), error)
        call.pulse?.failed()
        if (error !== undefined) upstream.failed(error)
      }
      return Effect.void
    })
  })

const request = (
  call: Call,
  upstream: Upstream,
  settings: Settings,
  book: Book,
  record: AttemptRecord
): Effect.Effect<Opened.Opened, ProviderError, Scope.Scope> => {
  const sent: Effect.Effect<Opened.Opened, ProviderError, Scope.Scope> = call.transport === "whole"
    ? Effect.flatMap(upstream.whole(settings), (answer) => settleWhole(call, record, Part.fromAnswer(answer)))
    : Effect.flatMap(
      toPull(upstream.stream(settings)),
      (pull) => call.mode === "whole" ? collect(call, record, pull, []) : commit(call, record, upstream, book, pull, [])
    )
  return record.watch === undefined ? sent : watched(sent, record.watch)
}

/** What is sent hangs below the span of the attempt. */
const watched = <A, E, R>(sent: Effect.Effect<A, E, R>, watch: AttemptWatch): Effect.Effect<A, E, R> => {
  const below = watch.span === undefined ? sent : Effect.provideService(sent, Tracer.ParentSpan, watch.span)
  // (Also where it is not: what is sent may be part of a request to a provider that is told.)
  return Effect.provideService(below, Propagates, watch.propagates)
}

const settleWhole = (
  call: Call,
  record: AttemptRecord,
  parts: ReadonlyArray<Part.Part>
): Effect.Effect<Opened.Opened, ProviderError> => {
  record.arrived(parts, call.recorder.clock)
  const now = call.recorder.now()
  record.firstPartAt = now
  call.pulse?.parts(true)
  const failure = failureOf(record)
  if (failure !== undefined) return Effect.fail(failure)
  if (record.finishReason === undefined) return Effect.fail(record.interrupted("unfinished"))
  record.end("success", now)
  call.recorder.serving = record
  return Effect.succeed(Opened.whole(parts))
}

// What a server sends after the terminal part is not part of the answer, also where it comes in the same piece.
const upToFinish = (parts: Parts): Parts => {
  const finish = parts.findIndex((part) => part.type === "finish")
  return finish === -1 || finish === parts.length - 1 ? parts : parts.slice(0, finish + 1) as unknown as Parts
}

/** Looks at parts as they arrive; true when there is content among them. */
const see = (call: Call, record: AttemptRecord, parts: Parts): boolean => {
  const content = record.arrived(parts, call.recorder.clock)
  call.pulse?.parts(content)
  return content
}

/** A finish reason that is no end of an answer. */
const failureOf = (record: AttemptRecord): ContentFiltered | ServerError | undefined => {
  switch (record.finishReason) {
    case "content-filter":
      return contentFiltered(record, record.finishMetadata)
    case "error":
      return new ServerError({ provider: record.provider, model: record.model })
    default:
      return undefined
  }
}

// An adapter cannot know what had arrived before its stream broke.
const completed = (record: AttemptRecord, error: ProviderError): ProviderError =>
  error._tag === "StreamInterrupted" ? record.interrupted(error.reason, error.failure) : error

/** Collects a streamed answer whole: as nothing has reached the consumer, any failure is still the call's own. */
const collect = (
  call: Call,
  record: AttemptRecord,
  pull: Pull.Pull<Parts, ProviderError, unknown>,
  held: Array<Part.Part>
): Effect.Effect<Opened.Opened, ProviderError> =>
  Pull.matchEffect(pull, {
    onSuccess: (arrived) => {
      const parts = upToFinish(arrived)
      see(call, record, parts)
      for (const part of parts) held.push(part)
      return record.finishReason === undefined ? collect(call, record, pull, held) : finishCollected(call, record, held)
    },
    onFailure: (cause) => Effect.failCause(Cause.map(cause, (error) => completed(record, error))),
    onDone: () => Effect.fail(record.interrupted("unfinished"))
  })

const finishCollected = (
  call: Call,
  record: AttemptRecord,
  parts: ReadonlyArray<Part.Part>
): Effect.Effect<Opened.Opened, ProviderError> => {
  const failure = failureOf(record)
  if (failure !== undefined) return Effect.fail(failure)
  record.end("success", call.recorder.now())
  call.recorder.serving = record
  return Effect.succeed(Opened.whole(parts))
}

/** Pulls until the first content part is there, and hands on the same pull. */
const commit = (
  call: Call,
  record: AttemptRecord,
  upstream: Upstream,
  book: Book,
  pull: Pull.Pull<Parts, ProviderError, unknown>,
  held: ReadonlyArray<Part.Part>
): Effect.Effect<Opened.Opened, ProviderError, Scope.Scope> =>
  Pull.matchEffect(pull, {
    onSuccess: (arrived) => {
      const parts = upToFinish(arrived)
      const content = see(call, record, parts)
      const all = held.length === 0 ? parts : [...held, ...parts] as unknown as Parts
      if (!content) return commit(call, record, upstream, book, pull, all)
      const failure = onlyFinished(all) ? failureOf(record) : undefined
      return failure === undefined ? flow(call, record, upstream, book, pull, all) : Effect.fail(failure)
    },
    onFailure: (cause) => Effect.failCause(Cause.map(cause, (error) => completed(record, error))),
    onDone: () => Effect.fail(record.interrupted("unfinished"))
  })

// A refusal before the first word can still be the call's own error.
const onlyFinished = (parts: Parts): boolean => parts.every((part) => part.type === "finish" || !Part.isContent(part))

const flow = (
  call: Call,
  record: AttemptRecord,
  upstream: Upstream,
  book: Book,
  pull: Pull.Pull<Parts, ProviderError, unknown>,
  first: Parts
): Effect.Effect<Opened.Opened, never, Scope.Scope> => {
  call.recorder.serving = record
  let pending: Parts | undefined = first
  let failed: StreamInterrupted | undefined

  const end = (outcome: string, error?: unknown): void => record.end(outcome, call.recorder.now(), error)
  const fail = (error: StreamInterrupted): Effect.Effect<never, StreamInterrupted> => {
    end(error._tag, error)
    return Effect.andThen(book(error), Effect.fail(error))
  }
  const hand = (parts: Parts): Pull.Pull<Parts, StreamInterrupted> => {
    if (record.finishReason === undefined) return Effect.succeed(parts)
    const failure = failureOf(record)
    if (failure === undefined) {
      end("success")
      return book === unpaid ? Effect.succeed(parts) : Effect.as(book(), parts)
    }
    // The words before such a finish have been said: they are handed on, and the finish becomes the failure it is.
    failed = record.interrupted("failed", failure)
    const rest = parts.filter((part) => part.type !== "finish")
    return Arr.isReadonlyArrayNonEmpty(rest) ? Effect.succeed(rest) : fail(failed)
  }
  const next: Pull.Pull<Parts, StreamInterrupted> = Pull.matchEffect(pull, {
    onSuccess: (arrived) => {
      const parts = upToFinish(arrived)
      record.arrived(parts, call.recorder.clock)
      return hand(parts)
    },
    onFailure: (cause) => {
      const interrupted = Cause.map(cause, (error) => {
        upstream.failed(error)
        return interruption(record, error)
      })
      end(outcomeOfCause(interrupted), errorOfCause(interrupted))
      // Whoever is interrupted while reading may read on.
      return Cause.hasInterruptsOnly(interrupted)
        ? Effect.failCause(interrupted)
        : Effect.andThen(book(errorOfCause(interrupted)), Effect.failCause(interrupted))
    },
    onDone: () => fail(record.interrupted("unfinished"))
  })
  const step: Pull.Pull<Parts, StreamInterrupted> = Effect.suspend(() => {
    if (pending !== undefined) {
      const parts = pending
      pending = undefined
      return hand(parts)
    }
    if (failed !== undefined) return fail(failed)
    return record.finishReason === undefined ? next : Cause.done()
  })
  return Effect.as(
    Effect.addFinalizer(() =>
      Effect.suspend(() => {
        end("interrupted")
        return book()
      })
    ),
    Opened.flow(Stream.fromPull(Effect.succeed(step)))
  )
}

const interruption = (record: AttemptRecord, error: ProviderError): StreamInterrupted => {
  if (error._tag === "StreamInterrupted") return record.interrupted(error.reason, error.failure)
  const failure: InterruptionCause = error
  return record.interrupted(error._tag === "ConnectionFailed" ? "closed" : "failed", failure)
}
