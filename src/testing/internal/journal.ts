/**
 * What the server remembers: the scripts that are left, and every request it has seen.
 */
import * as Latch from "effect/Latch"
import type { DialectName } from "./dialect.ts"
import type { Fault } from "./fault.ts"
import { healthy } from "./faults.ts"

export type End = "complete" | "client-closed" | "server-cut" | "reset"

/** The request log's entry while it is being written. */
export interface Entry {
  readonly index: number
  readonly arrivedAt: number
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly dialect: DialectName | undefined
  body: unknown
  model: string | undefined
  stream: boolean
  fault: string | undefined
  status: number | undefined
  tokensSent: number
  end: End | undefined
  endedAt: number | undefined
}

export type Scripts = Readonly<Record<string, ReadonlyArray<Fault>>>

export interface Journal {
  readonly open: (entry: Pick<Entry, "arrivedAt" | "dialect" | "headers" | "method" | "path">) => Entry
  readonly close: (entry: Entry, end: End, at: number) => void
  /** The next fault for a model; it is used up by asking, unless it lasts forever. */
  readonly take: (model: string) => Fault
  readonly script: (model: string, faults: ReadonlyArray<Fault>) => void
  readonly models: () => ReadonlyArray<string>
  readonly entries: () => ReadonlyArray<Entry>
  readonly inFlight: () => number
  readonly idle: Latch.Latch
  readonly reset: () => void
}

export const make = (initial: Scripts): Journal => {
  const queues = new Map<string, Array<Fault>>()
  const running = new Set<Entry>()
  const idle = Latch.makeUnsafe(true)
  let entries: Array<Entry> = []

  const script = (model: string, faults: ReadonlyArray<Fault>) => {
    queues.set(model, [...faults])
  }
  const reset = () => {
    queues.clear()
    entries = []
    for (const [model, faults] of Object.entries(initial)) script(model, faults)
  }
  reset()

  return {
    open: (request) => {
      const entry: Entry = {
        index: entries.length,
        ...request,
        body: undefined,
        model: undefined,
        stream: false,
        fault: undefined,
        status: undefined,
        tokensSent: 0,
        end: undefined,
        endedAt: undefined
      }
      entries.push(entry)
      running.add(entry)
      idle.closeUnsafe()
      return entry
    },
    close: (entry, end, at) => {
      entry.end = end
      entry.endedAt = at
      running.delete(entry)
      if (running.size === 0) idle.openUnsafe()
    },
    take: (model) => {
      const queue = queues.get(model) ?? queues.get("*")
      const fault = queue?.[0]
      if (fault === undefined) return healthy
      if (fault.forever !== true) queue?.shift()
      return fault
    },
    script,
    models: () => {
      const asked = entries.flatMap((entry) => (entry.model === undefined ? [] : [entry.model]))
      return Array.from(new Set([...queues.keys(), ...asked])).filter((model) => model !== "*").toSorted()
    },
    entries: () => entries.map((entry) => Object.assign({}, entry)),
    inFlight: () => running.size,
    idle,
    reset
  }
}
