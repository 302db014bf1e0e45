/**
 * What is asked of every scenario: statements that hold or do not, each with what was seen.
 */
import { Equal } from "effect"
import { type Receipt, Usage } from "effect-bulwark"
import { countTokens } from "../../src/testing/internal/tokens.ts"
import { type Seen, type SeenRequest, type Upstream, upstreams, type World } from "./lab.ts"

export interface Check {
  /** What should be so. It names the check, and is the same in every run. */
  readonly what: string
  readonly holds: boolean
  readonly seen: string
}

const print = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value) ?? String(value)

export const check = (what: string, holds: boolean, seen: unknown): Check => ({ what, holds, seen: print(seen) })

export const equal = (what: string, seen: unknown, expected: unknown): Check =>
  check(what, Equal.equals(seen, expected), `${print(seen)}, expected ${print(expected)}`)

export const seconds = (millis: number): string => `${(millis / 1_000).toFixed(2)} s`

export const atMost = (what: string, seen: number, most: number): Check =>
  check(what, seen <= most, `${seen}, at most ${most}`)

/** Whether a time is within a published one, and as much more as the machine is allowed. */
export const inTime = (world: World, what: string, took: number, published: number): Check =>
  check(what, took <= world.within(published), `${seconds(took)}, at most ${seconds(world.within(published))}`)

export const at = (requests: ReadonlyArray<SeenRequest>, upstream: Upstream): ReadonlyArray<SeenRequest> =>
  requests.filter((request) => request.upstream === upstream)

/** How often each upstream was asked. */
export const asked = (requests: ReadonlyArray<SeenRequest>): Record<Upstream, number> => ({
  primary: at(requests, "primary").length,
  backup: at(requests, "backup").length
})

/** What the server says that an answer costs. */
const costOf = (prompt: string, answer: string): Usage.Usage => ({
  inputUncached: countTokens(prompt),
  inputCacheRead: 0,
  inputCacheWrite: 0,
  outputText: countTokens(answer),
  outputReasoning: 0
})

const finishesOf = (seen: Seen) => seen.parts.filter((part) => part.type === "finish")

const attemptsOf = (receipt: Receipt.Receipt, upstream: Upstream) =>
  receipt.attempts.filter((attempt) => attempt.provider === upstream)

/** The call was answered, whole and once, by this upstream and no other, and that answer is what it costs. */
export const answeredBy = (
  world: World,
  seen: Seen,
  upstream: Upstream,
  options: {
    /** What it costs and says, where that is not what the upstream says. */
    readonly text?: string | undefined
    readonly says?: string | undefined
    /** Whether nothing has failed before. */
    readonly alone?: boolean | undefined
  } = {}
): ReadonlyArray<Check> => {
  const { receipt } = seen
  const text = options.text ?? world.answers[upstream]
  const cost = costOf(seen.prompt, options.says ?? world.answers[upstream])
  const finishes = finishesOf(seen)
  const [finish] = finishes
  const serving = receipt.attempts.filter((attempt) => attempt.outcome === "success")
  return [
    equal("the call is answered", seen.outcome, "success"),
    equal("the text is that of one whole answer", seen.text, text),
    check(
      "the last part is the only finish",
      finishes.length === 1 && seen.parts.at(-1) === finish && finish?.reason === "stop",
      finishes.length
    ),
    equal("the receipt names who served", [receipt.provider, receipt.model], [upstream, upstream]),
    equal("one attempt succeeded, the last", [serving.length, receipt.attempts.at(-1)?.outcome], [1, "success"]),
    equal(
      "the usage with the answer is what the server reported",
      finish?.type === "finish" ? [finish.usage.inputTokens.total, finish.usage.outputTokens.total] : undefined,
      [Usage.input(cost), Usage.output(cost)]
    ),
    equal("what is billed is that answer alone", receipt.usage, cost),
    ...(options.alone === true ? [] : [
      equal(
        "failed attempts are not billed",
        receipt.attempts.filter((attempt) => attempt.outcome !== "success" && attempt.usage !== undefined),
        []
      )
    ])
  ]
}

/** What the receipt says was sent is what arrived. */
export const accounted = (seen: Seen, requests: ReadonlyArray<SeenRequest>): Check =>
  equal(
    "every request is in the receipt",
    upstreams.map((upstream) => attemptsOf(seen.receipt, upstream).length),
    upstreams.map((upstream) => at(requests, upstream).filter((request) => request.prompt === seen.prompt).length)
  )

/** The most requests that arrived within any span of so long. */
export const mostWithin = (requests: ReadonlyArray<SeenRequest>, span: number): number =>
  Math.max(
    0,
    ...requests.map((first) => requests.filter(({ at }) => at >= first.at && at - first.at < span).length)
  )

/** Where a reader saw the answer being unsaid: what had been said by then. */
export const unsaid = (seen: Seen): ReadonlyArray<string> => {
  const said: Array<string> = []
  let text = ""
  for (const part of seen.parts) {
    if (part.type === "text-delta") text += part.delta
    if (part.type !== "retract") continue
    said.push(text)
    text = ""
  }
  return said
}

/** In a stream, where it could be. */
export const nothingUnsaid = (world: World, seen: Seen): ReadonlyArray<Check> =>
  world.lab.mode === "full" ? [] : [equal("nothing is unsaid", unsaid(seen).length, 0)]
