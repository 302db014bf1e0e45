/**
 * Upstreams without a network, whose time is the `Clock`: the same faults, as the Chat Completions adapter would report them.
 *
 * What only bytes can show (a chunk that is not JSON, a missing `[DONE]`, a web page) is not among them.
 */
import { Clock, Context, Duration, Effect, Redacted, Stream } from "effect"
import { LlmError, Part } from "effect-bulwark"
import type { Provider } from "effect-bulwark/providers"
import type { FaultServer } from "effect-bulwark/testing"
import { countTokens, tokenize } from "../../src/testing/internal/tokens.ts"
import type { Lab, RawRequest, Upstream } from "./lab.ts"
import { Backup, Primary } from "./stack.ts"

type Wait = number | "Infinity"

const sleep = (duration: Wait = 0): Effect.Effect<void> =>
  duration === "Infinity" ? Effect.never : duration === 0 ? Effect.void : Effect.sleep(Duration.millis(duration))

const refusal = (status: NonNullable<FaultServer.Fault["status"]>): LlmError.ProviderError => {
  const millis = status.error?.retryAfter
  switch (status.name ?? status.code) {
    case "rateLimited":
      return new LlmError.RateLimited({
        ...(millis === undefined ? undefined : { retryAfter: Duration.millis(millis) })
      })
    case "insufficientQuota":
      return new LlmError.QuotaExhausted({})
    case "overloaded":
      return new LlmError.Overloaded({})
    case "contextLengthExceeded":
      return new LlmError.ContextLengthExceeded({})
    case "contentFiltered":
      return new LlmError.ContentFiltered({ stage: "prompt", categories: [] })
    case 401:
      return new LlmError.AuthenticationFailed({})
    case 500:
      return new LlmError.ServerError({})
    default:
      throw new Error(`no such status among the scripted ones: ${status.name ?? status.code}`)
  }
}

/** One thing that happens to an answer, in order. */
type Happening =
  | { readonly _tag: "part"; readonly part: Part.ProviderPart }
  | { readonly _tag: "wait"; readonly duration: Wait }
  | { readonly _tag: "fail"; readonly error: LlmError.ProviderError }

const cut = () => new LlmError.StreamInterrupted({ partial: Redacted.make(""), reason: "closed" })

const answerOf = function*(fault: FaultServer.Fault, text: string, promptTokens: number): Generator<Happening> {
  for (const field of ["malformedChunkAt", "omitDone", "truncatedJson", "delayBetweenTokens"] as const) {
    if (fault[field] !== undefined) throw new Error(`no such fault among the scripted ones: ${field}`)
  }
  const tokens = tokenize(text)
  const due = (at: number | undefined, index: number) => at !== undefined && Math.min(at, tokens.length) === index
  yield { _tag: "wait", duration: fault.delayFirstToken ?? 0 }
  yield { _tag: "part", part: { type: "text-start", id: "0" } }
  for (let index = 0; index <= tokens.length; index++) {
    if (due(fault.stallAfter?.tokens, index)) yield { _tag: "wait", duration: fault.stallAfter!.for }
    if (due(fault.errorEventAfter?.tokens, index)) return yield { _tag: "fail", error: new LlmError.ServerError({}) }
    if (due(fault.cutAfter, index)) {
      return yield { _tag: "fail", error: cut() }
    }
    if (index < tokens.length) yield { _tag: "part", part: { type: "text-delta", id: "0", delta: tokens[index]! } }
  }
  yield { _tag: "part", part: { type: "text-end", id: "0" } }
  if (fault.omitFinish === true) return
  yield {
    _tag: "part",
    part: {
      type: "finish",
      reason: "stop",
      usage: {
        inputTokens: { total: promptTokens, cacheRead: 0 },
        outputTokens: { total: tokens.length, text: tokens.length, reasoning: 0 }
      }
    }
  }
}

const textOf = (message: Provider.Request["prompt"]["content"][number] | undefined): string =>
  message === undefined
    ? ""
    : typeof message.content === "string"
    ? message.content
    : message.content.map((part) => part.type === "text" ? part.text : "").join("")

const answerTo = (prompt: string): string => `Thank you for your message: "${prompt}".`

export const backend: Lab["backend"] = Effect.fnUntraced(function*({ answers, prefill }) {
  const clock = yield* Clock.Clock
  const queues = new Map<Upstream, Array<FaultServer.Fault>>()
  const log: Array<{ -readonly [Key in keyof RawRequest]: RawRequest[Key] }> = []

  const take = (upstream: Upstream): FaultServer.Fault => {
    const fault = queues.get(upstream)?.[0]
    if (fault !== undefined && fault.forever !== true) queues.get(upstream)?.shift()
    return fault ?? {}
  }

  const stream = (
    upstream: Upstream,
    request: Provider.Request,
    streamed: boolean
  ): ReturnType<Provider.Provider["stream"]> =>
    Stream.suspend(() => {
      const messages = request.prompt.content
      const last = messages.at(-1)
      const prompt = textOf(messages.findLast((message) => message.role === "user"))
      const prefilled = last?.role === "assistant"
      const entry = {
        upstream,
        prompt,
        prefilled,
        streamed,
        at: clock.currentTimeMillisUnsafe(),
        endedAt: undefined as number | undefined,
        end: undefined as string | undefined
      }
      log.push(entry)
      const does = upstream === "backup" ? prefill : "ignore"
      const promptTokens = messages.reduce((sum, message) => sum + countTokens(textOf(message)), 0)
      const own = answers?.[upstream] ?? answerTo(prompt)
      const begun = textOf(last)
      const text = prefilled && does === "continue" && own.startsWith(begun) ? own.slice(begun.length) : own
      const happenings = Effect.suspend((): Effect.Effect<Iterable<Happening>, LlmError.ProviderError> => {
        if (prefilled && does === "reject") return Effect.fail(new LlmError.InvalidRequest({}))
        const fault = take(upstream)
        const status = fault.status
        return Effect.flatMap(
          Effect.andThen(sleep(fault.silence), sleep(fault.delayHeaders)),
          () => {
            if (fault.resetConnection === true) return Effect.fail(new LlmError.ConnectionFailed({}))
            request.onResponse?.([])
            return status === undefined
              ? Effect.succeed(answerOf(fault, text, promptTokens))
              : Effect.fail(refusal(status))
          }
        )
      })
      const close = (end: string) => {
        entry.end ??= end
        entry.endedAt ??= clock.currentTimeMillisUnsafe()
      }
      return Stream.unwrap(Effect.map(happenings, (list) => Stream.fromIterable(list))).pipe(
        Stream.rechunk(1),
        Stream.mapEffect((happening) =>
          happening._tag === "wait"
            ? Effect.as(sleep(happening.duration), undefined)
            : happening._tag === "fail"
            ? Effect.fail(happening.error)
            : Effect.sync(() => {
              if (happening.part.type === "finish") close("complete")
              return happening.part
            })
        ),
        Stream.filter((part) => part !== undefined),
        Stream.tapError(() => Effect.sync(() => close("complete"))),
        Stream.onExit(() => Effect.sync(() => close("client-closed")))
      )
    })

  const provider = (upstream: Upstream): Provider.Provider => ({
    stream: (request) => stream(upstream, request, true),
    whole: (request) => Effect.map(Stream.runCollect(stream(upstream, request, false)), Part.toAnswer)
  })

  const running = Effect.sync(() => log.filter((entry) => entry.end === undefined).length)
  return {
    providers: Context.make(Primary, provider("primary")).pipe(Context.add(Backup, provider("backup"))),
    answerTo,
    script: (upstream, faults) => Effect.sync(() => void queues.set(upstream, [...faults])),
    requests: Effect.sync(() => log.map((entry) => Object.assign({}, entry))),
    inFlight: running
  }
})
