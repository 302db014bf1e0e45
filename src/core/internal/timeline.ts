/**
 * One course of events out of several: a receipt's own, and those of requests that it shares with other calls.
 */

/** Requests in the order in which they began, and decisions, each of which knows how many requests came before it. */
export interface Timeline<Attempt, Event> {
  /** In milliseconds since 1970. The times of the decisions count from here. */
  readonly startedAt: number
  readonly attempts: ReadonlyArray<Attempt>
  readonly events: ReadonlyArray<Event>
}

interface Began {
  readonly startedAt: number
}

interface Decided {
  readonly atMillis: number
  readonly afterAttempts: number
}

/** Another timeline, and after how much of one's own it began. */
interface Branch<Attempt, Event> {
  readonly attempts: number
  readonly events: number
  readonly of: Timeline<Attempt, Event>
}

type Row<Attempt, Event> =
  | { readonly at: number; readonly attempt: Attempt }
  | { readonly at: number; readonly event: Event }

/** In order of time, and what happened at the same time in the order in which it did. */
export const merged = <Attempt extends Began, Event extends Decided>(
  own: Timeline<Attempt, Event>,
  branches: ReadonlyArray<Branch<Attempt, Event>>
): Timeline<Attempt, Event> => {
  const { startedAt } = own
  const rows = rowsOf(own, branches).toSorted((a, b) => a.at - b.at)
  const attempts: Array<Attempt> = []
  const events: Array<Event> = []
  for (const row of rows) {
    if ("attempt" in row) attempts.push(row.attempt)
    else events.push({ ...row.event, atMillis: row.at - startedAt, afterAttempts: attempts.length })
  }
  return { startedAt, attempts, events }
}

const rowsOf = <Attempt extends Began, Event extends Decided>(
  { attempts, events, startedAt }: Timeline<Attempt, Event>,
  branches: ReadonlyArray<Branch<Attempt, Event>>
): Array<Row<Attempt, Event>> => {
  const rows: Array<Row<Attempt, Event>> = []
  let nextEvent = 0
  let nextBranch = 0
  const branchOff = (attempt: number): void => {
    for (let branch = branches[nextBranch]; branch !== undefined; branch = branches[nextBranch]) {
      if (branch.attempts > attempt || branch.events > nextEvent) return
      for (const row of rowsOf(branch.of, [])) rows.push(row)
      nextBranch++
    }
  }
  for (let n = 0; n <= attempts.length; n++) {
    branchOff(n)
    for (let event = events[nextEvent]; event !== undefined && event.afterAttempts <= n; event = events[nextEvent]) {
      rows.push({ at: startedAt + event.atMillis, event })
      nextEvent++
      branchOff(n)
    }
    const attempt = attempts[n]
    if (attempt !== undefined) rows.push({ at: attempt.startedAt, attempt })
  }
  return rows
}
