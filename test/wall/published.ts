/**
 * The sixteen faults, at their published times.
 */
import { Redacted } from "effect"
import { LlmError } from "effect-bulwark"
import { FaultServer } from "effect-bulwark/testing"
import * as Checks from "./checks.ts"
import { answeredBy, at, atMost, check, equal, inTime } from "./checks.ts"
import { draw, firstTokens, type Lab, type Seen } from "./lab.ts"
import { outage } from "./outage.ts"
import { type Scenario, type Single, single } from "./scenario.ts"

const { forever } = FaultServer

/** An answer of so many tokens, and after how many of them it breaks. */
const broken = (lab: Lab): { readonly tokens: number; readonly after: number } => {
  const tokens = draw(lab, "tokens", 20, 80, 60)
  return { tokens, after: draw(lab, "after", 3, tokens - 1, 40) }
}

/** A reader of a stream saw one beginning, of the primary's answer, and saw it unsaid. A full answer knows no such thing. */
const unsaidOnce = (lab: Lab, seen: Seen, answer: string, tokens: number): ReadonlyArray<Checks.Check> => {
  if (lab.mode === "full") return []
  const said = Checks.unsaid(seen)
  return [check(
    "what had been said is unsaid, once",
    said.length === 1 && said[0] !== "" && firstTokens(answer, tokens).startsWith(said[0]!),
    said.map((text) => `${text.split(" ").length} words`).join()
  )]
}

const askedFor = (requests: Parameters<typeof Checks.asked>[0], primary: number, backup: number) =>
  equal("as many requests as it takes, and no more", Checks.asked(requests), { primary, backup })

const overloaded = (): Single => ({
  setup: { faults: { primary: [forever(FaultServer.overloaded)] } },
  checks: (seen, requests, world) => [
    ...answeredBy(world, seen, "backup"),
    askedFor(requests, 3, 1),
    inTime(world, "the fallback has answered within 5 s", seen.took, 5_000)
  ]
})

export const published: ReadonlyArray<Scenario> = [
  single("S01", "429 with `Retry-After: 2`, once: at most 2 attempts, at least 1.8 s apart, and an answer", {}, () => ({
    setup: { faults: { primary: [FaultServer.rateLimited({ retryAfter: "2 seconds" })] } },
    checks: (seen, requests, world) => {
      const [first, second] = at(requests, "primary")
      const gap = first === undefined || second === undefined ? 0 : second.at - first.at
      return [
        ...answeredBy(world, seen, "primary"),
        askedFor(requests, 2, 0),
        check("the wait that was asked for is kept", gap >= 1_800, Checks.seconds(gap)),
        inTime(world, "and hardly more than that: answered within 5 s", seen.took, 5_000)
      ]
    }
  })),

  single(
    "S02",
    "429 for ever, without a hint: at most 4 attempts in 3 s and 6 in all, then the fallback answers",
    {},
    () => ({
      setup: { faults: { primary: [forever(FaultServer.rateLimited())] } },
      checks: (seen, requests, world) => {
        const primary = at(requests, "primary")
        return [
          ...answeredBy(world, seen, "backup"),
          check("it is tried again", primary.length >= 2, primary.length),
          atMost("few attempts in any 3 s", Checks.mostWithin(primary, 3_000), 4),
          atMost("few attempts in all", primary.length, 6),
          inTime(world, "the fallback has answered within 5 s", seen.took, 5_000)
        ]
      }
    })
  ),

  single("S03", "500, once: the same provider is asked again, and answers", {}, () => ({
    setup: { faults: { primary: [FaultServer.status(500)] } },
    checks: (seen, requests, world) => [...answeredBy(world, seen, "primary"), askedFor(requests, 2, 0)]
  })),

  single(
    "S04",
    "503 for ever, streamed: the fallback answers, named and billed as it is, and failed attempts cost nothing",
    { modes: ["streamed"] },
    overloaded
  ),

  single("S05", "TCP reset before the headers, for ever: the fallback answers", {}, () => ({
    setup: { faults: { primary: [forever(FaultServer.resetConnection)] } },
    checks: (seen, requests, world) => [
      ...answeredBy(world, seen, "backup"),
      askedFor(requests, 3, 1),
      inTime(world, "the fallback has answered within 5 s", seen.took, 5_000)
    ]
  })),

  single("S05, once", "TCP reset before the headers, once: the same provider is asked again, and answers", {}, () => ({
    setup: { faults: { primary: [FaultServer.resetConnection] } },
    checks: (seen, requests, world) => [...answeredBy(world, seen, "primary"), askedFor(requests, 2, 0)]
  })),

  single(
    "S06",
    "Silence for 120 s: given up within the limit on the first part, not asked again, and the fallback answers",
    {},
    () => ({
      setup: { faults: { primary: [forever(FaultServer.silence("120 seconds"))] } },
      checks: (seen, requests, world) => [
        ...answeredBy(world, seen, "backup"),
        askedFor(requests, 1, 1),
        equal("the silent request is cancelled", at(requests, "primary")[0]?.end, "client-closed"),
        inTime(world, "the silence is over within 10 s", at(requests, "primary")[0]?.took ?? Infinity, 10_000),
        inTime(world, "the fallback has answered within 11 s", seen.took, 11_000)
      ]
    })
  ),

  single("S07", "The first token after 20 s: the fallback answers within 15 s", {}, () => ({
    setup: { faults: { primary: [forever(FaultServer.delayFirstToken("20 seconds"))] } },
    checks: (seen, requests, world) => [
      ...answeredBy(world, seen, "backup"),
      askedFor(requests, 1, 1),
      equal("the slow request is cancelled", at(requests, "primary")[0]?.end, "client-closed"),
      inTime(world, "the fallback has answered within 15 s", seen.took, 15_000)
    ]
  })),

  single(
    "S08",
    "Cut after 40 of 60 tokens: never a truncated success; what was said is unsaid, and one whole answer delivered",
    {},
    (lab) => {
      const { after, tokens } = broken(lab)
      // Every other seed it happens once: a full answer then comes of the same provider.
      const once = lab.seed % 2 === 1
      const fault = FaultServer.cutAfter(after)
      return {
        setup: { tokens, faults: { primary: [once ? fault : forever(fault)] } },
        checks: (seen, requests, world) => [
          ...answeredBy(world, seen, lab.mode === "full" && once ? "primary" : "backup"),
          ...unsaidOnce(lab, seen, world.answers.primary, after),
          lab.mode === "streamed"
            ? askedFor(requests, 1, 1)
            : once
            ? askedFor(requests, 2, 0)
            : askedFor(requests, 3, 1)
        ]
      }
    }
  ),

  single("S09", "A stall of 30 s in mid-stream: bounded, and rescued", {}, (lab) => {
    const { after, tokens } = broken(lab)
    return {
      setup: { tokens, faults: { primary: [forever(FaultServer.stallAfter(after, "30 seconds"))] } },
      checks: (seen, requests, world) => [
        ...answeredBy(world, seen, "backup"),
        ...unsaidOnce(lab, seen, world.answers.primary, after),
        askedFor(requests, 1, 1),
        equal("the stalled request is cancelled", at(requests, "primary")[0]?.end, "client-closed"),
        inTime(world, "the fallback has answered within 16 s", seen.took, 16_000)
      ]
    }
  }),

  single("S10", "One malformed chunk among good ones: skipped in its place and counted, not fatal", { wire: true }, (
    lab
  ) => {
    const { after, tokens } = broken(lab)
    return {
      setup: { tokens, faults: { primary: [FaultServer.malformedChunkAt(after)] } },
      checks: (seen, requests, world) => {
        const finish = seen.parts.find((part) => part.type === "finish")
        return [
          ...answeredBy(world, seen, "primary", {
            text: world.answers.primary.split(" ").toSpliced(after, 1).join(" "),
            alone: true
          }),
          ...Checks.nothingUnsaid(world, seen),
          equal("it is counted", finish?.metadata?.["openai"], {
            ...(finish?.metadata?.["openai"] as object | undefined),
            malformedChunks: 1
          }),
          askedFor(requests, 1, 0)
        ]
      }
    }
  }),

  single("S11", "No `[DONE]`: whole with its finish reason, and the usage is reported", { wire: true }, (lab) => ({
    setup: { tokens: broken(lab).tokens, faults: { primary: [FaultServer.omitDone] } },
    checks: (seen, requests, world) => [
      ...answeredBy(world, seen, "primary", { alone: true }),
      askedFor(requests, 1, 0)
    ]
  })),

  single("S12", "400, context too long: never the same request again, but the larger model", {}, () => ({
    setup: {
      faults: { primary: [forever(FaultServer.contextLengthExceeded({ limit: 8_192, requested: 9_000 }))] }
    },
    checks: (seen, requests, world) => [...answeredBy(world, seen, "backup"), askedFor(requests, 1, 1)]
  })),

  single("S13", "400, content filter: no retry and no fallback; the refusal reaches the caller", {}, () => ({
    setup: { faults: { primary: [forever(FaultServer.contentFiltered)] } },
    checks: (seen, requests) => [
      check("it fails with the refusal", seen.error instanceof LlmError.ContentFiltered, seen.outcome),
      equal("nothing is said", seen.parts.length, 0),
      equal("the receipt says so", seen.receipt.outcome, "ContentFiltered"),
      askedFor(requests, 1, 0)
    ]
  })),

  single(
    "S14",
    "Cut in mid-stream, and the fallback rejects words of the assistant at the end: begun again, one whole answer",
    {},
    (lab) => {
      const { after, tokens } = broken(lab)
      return {
        setup: { tokens, prefill: "reject", faults: { primary: [forever(FaultServer.cutAfter(after))] } },
        checks: (seen, requests, world) => [
          ...answeredBy(world, seen, "backup"),
          ...unsaidOnce(lab, seen, world.answers.primary, after),
          lab.mode === "streamed" ? askedFor(requests, 1, 1) : askedFor(requests, 3, 1)
        ]
      }
    }
  ),

  single(
    "S14, continued",
    "The same with `continue`: the interruption itself reaches the caller, and no truncated success",
    {},
    (lab) => {
      const { after, tokens } = broken(lab)
      return {
        setup: {
          tokens,
          prefill: "reject",
          stack: { resume: "continue" },
          faults: { primary: [forever(FaultServer.cutAfter(after))] }
        },
        checks: (seen, requests, world) => {
          if (lab.mode === "full") return [...answeredBy(world, seen, "backup"), askedFor(requests, 3, 1)]
          const { error } = seen
          const interrupted = error instanceof LlmError.StreamInterrupted ? error : undefined
          return [
            check(
              "it fails with the interruption of the primary",
              interrupted?.provider === "primary",
              `${seen.outcome} of ${interrupted?.provider}`
            ),
            equal(
              "the error has the words that were delivered",
              interrupted === undefined ? undefined : Redacted.value(interrupted.partial),
              seen.text
            ),
            check(
              "they are the beginning of one answer",
              seen.text !== "" && firstTokens(world.answers.primary, after).startsWith(seen.text),
              `${seen.text.split(" ").length} words`
            ),
            equal("no finish makes them look whole", seen.parts.some((part) => part.type === "finish"), false),
            equal("the receipt says so", seen.receipt.outcome, "StreamInterrupted"),
            check(
              "it was tried to continue",
              at(requests, "backup").some((request) => request.prefilled),
              at(requests, "backup").length
            ),
            atMost("and not for long", at(requests, "backup").length, 3)
          ]
        }
      }
    }
  ),

  outage,

  single(
    "S16",
    "503 for ever, not streamed: the fallback answers, named and billed as it is, and failed attempts cost nothing",
    { modes: ["full"] },
    overloaded
  )
]
