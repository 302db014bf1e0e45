/**
 * What is spent over a limit when calls come all at once, from loops, with streams that break off and in processes that are killed:
 * `node --conditions=effect-bulwark/source test/bench/overspend.ts`.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { table } from "./measure.ts"
import { answerTokens, costOf, type Side, type SideName, type SideOptions, sides, Upstream } from "./overspendSides.ts"

/** What came of it, in requests and micro-dollars. */
export interface Result {
  readonly limit: number
  readonly sent: number
  readonly billed: number
  readonly used: number
  readonly held: number
}

const prompt = "x".repeat(10)

/** A limit for a tenth of the calls. */
const limitFor = (calls: number): number => Math.floor(calls / 10) * costOf(prompt.length)

const withSide = async (
  name: SideName,
  options: SideOptions,
  use: (side: Side) => Promise<void>
): Promise<Result> => {
  const side = await sides[name](options)
  try {
    await use(side)
    const { upstream: { billed, sent }, limit } = options
    return { limit, sent, billed, ...(await side.books()) }
  } finally {
    await side.close()
  }
}

/** All of them begin before any of them is answered. Gives how many were refused. */
const atOnce = async (side: Side, upstream: Upstream, callers: number, prompt: string): Promise<number> => {
  upstream.expect(callers)
  const allowed = await Promise.all(Array.from({ length: callers }, async () => {
    const allowed = await side.ask(prompt)
    if (!allowed) upstream.decided()
    return allowed
  }))
  return allowed.filter((allowed) => !allowed).length
}

type Scenario = (name: SideName, calls: number) => Promise<Result>

const burst = (maxOutputTokens: number): Scenario => (name, calls) => {
  const upstream = new Upstream()
  return withSide(name, { upstream, limit: limitFor(calls), maxOutputTokens }, async (side) => {
    await atOnce(side, upstream, calls, prompt)
  })
}

const sequence: Scenario = (name, calls) => {
  const upstream = new Upstream()
  return withSide(name, { upstream, limit: limitFor(calls), maxOutputTokens: answerTokens }, async (side) => {
    for (let n = 0; n < calls; n++) await side.ask(prompt)
  })
}

/** Four questions in each round, of a conversation that grows, until one of them is refused. */
const agent: Scenario = (name, calls) => {
  const upstream = new Upstream()
  return withSide(name, { upstream, limit: limitFor(calls), maxOutputTokens: answerTokens }, async (side) => {
    for (let round = 0; round < calls; round++) {
      const conversation = prompt.repeat(1 + 10 * round)
      if (await atOnce(side, upstream, 4, conversation) > 0) return
    }
  })
}

const cutStreams: Scenario = (name, calls) => {
  const upstream = new Upstream({ breaksOff: true })
  return withSide(name, { upstream, limit: limitFor(calls), maxOutputTokens: answerTokens }, async (side) => {
    for (let n = 0; n < calls; n++) await side.stream(prompt)
  })
}

/** What a process is told that is killed when half of what the limit allows is under way. */
export interface Killed {
  readonly name: SideName
  readonly filename: string
  readonly limit: number
  readonly calls: number
}

/** In the process that is to be killed. */
export const untilKilled = async ({ calls, filename, limit, name }: Killed): Promise<void> => {
  const upstream = new Upstream({
    onSent: (sent) => {
      if (sent === calls) process.kill(process.pid, "SIGKILL")
    }
  })
  await withSide(name, { upstream, limit, maxOutputTokens: answerTokens, filename }, async (side) => {
    await atOnce(side, upstream, calls, prompt)
  })
}

const killed: Scenario = async (name, calls) => {
  const folder = mkdtempSync(join(tmpdir(), "bulwark-overspend-"))
  try {
    const limit = limitFor(calls)
    const begun = Math.floor(calls / 20)
    const filename = join(folder, "spend.db")
    const task: Killed = { name, filename, limit, calls: begun }
    const script = fileURLToPath(new URL("./overspendKilled.ts", import.meta.url))
    const child = spawn(process.execPath, ["--conditions=effect-bulwark/source", script, JSON.stringify(task)], {
      stdio: ["ignore", "inherit", "inherit"]
    })
    const [code, signal] = await once(child, "close")
    if (signal !== "SIGKILL") throw new Error(`${name}: the process that was to be killed ended with ${code}`)
    const upstream = new Upstream()
    // They were sent, and are billed, as far as anybody knows.
    for (let n = 0; n < begun; n++) void upstream.accept(prompt)
    const options = { upstream, limit, maxOutputTokens: answerTokens, filename }
    return await withSide(name, options, async (side) => {
      for (let n = 0; n < calls; n++) await side.ask(prompt)
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const count = (calls: number): string => calls.toLocaleString("en")

/** What happens, in words for so many calls. */
export const scenarios = {
  atOnce: { run: burst(answerTokens), words: (calls) => `${count(calls)} at once` },
  longer: {
    run: burst(2 * answerTokens),
    words: (calls) => `${count(calls)} at once, allowed to be twice as long as they are`
  },
  sequence: { run: sequence, words: (calls) => `${count(calls)} one after another` },
  agent: { run: agent, words: () => "an agent in a loop: 4 at once each round, the conversation grows" },
  cutStreams: {
    run: cutStreams,
    words: (calls) => `${count(calls)} streams one after another, each cut before the provider says what it used`
  },
  killed: {
    run: killed,
    words: (calls) =>
      `a process is killed in the middle of ${count(calls / 20)}, and another asks ${count(calls)} one after another`
  }
} satisfies Record<string, { readonly run: Scenario; readonly words: (calls: number) => string }>

const dollars = (micros: number): string => `$${(micros / 1e6).toFixed(5)}`

/** The table of all, for so many calls. */
export const overspendTable = async (calls: number): Promise<string> => {
  const names = Object.keys(sides) as ReadonlyArray<SideName>
  const rows: Array<ReadonlyArray<string>> = []
  for (const { run, words } of Object.values(scenarios)) {
    for (const name of names) {
      const { billed, held, limit, sent, used } = await run(name, calls)
      rows.push([
        name === names[0] ? words(calls) : "",
        name,
        count(sent),
        dollars(billed),
        dollars(Math.max(0, billed - limit)),
        dollars(used),
        name === names[0] ? dollars(held) : "holds nothing"
      ])
    }
  }
  return table(
    [`A limit of ${dollars(limitFor(calls))}`, "", "sent", "billed", "over the limit", "booked", "held after"],
    rows
  )
}

if (import.meta.main) process.stdout.write(`${await overspendTable(1_000)}\n`)
