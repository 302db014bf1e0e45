/**
 * The ledger in the process.
 */
import type * as Receipt from "../../core/Receipt.ts"
import {
  addSums,
  type Condition,
  type Cursor,
  type Entry,
  type Grouping,
  type Measuring,
  noSums,
  type Paging,
  promptVersionOf,
  type RankedValue,
  rankOf,
  type Span,
  type SpendGroup,
  sumsOf,
  tagOf
} from "./ledgerStore.ts"

export class MemoryLedger {
  private readonly entries = new Map<string, Entry>()
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  write(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      const key = `${entry.receipt.startedAt} ${entry.receipt.operationId}`
      if (!this.entries.has(key)) this.entries.set(key, entry)
    }
    for (const key of this.entries.keys()) {
      if (this.entries.size <= this.capacity) return
      this.entries.delete(key)
    }
  }

  /** A group for each operation and key of its requests: they are added up later. */
  spend({ by, spans, where }: Grouping): ReadonlyArray<SpendGroup> {
    return [...this.entries.values()].flatMap(({ receipt }) => {
      const span = spanOf(spans, receipt)
      if (span === undefined || !where.every((condition) => operationHas(receipt, condition))) return []
      const requests = receipt.attempts.filter((attempt) => where.every((condition) => requestHas(attempt, condition)))
      if (requests.length === 0 && where.some(ofRequests)) return []
      // Where nothing was asked, the operation is still one.
      const groups = Map.groupBy(
        requests.length === 0 ? [undefined] : requests,
        (request) => JSON.stringify(by.map((dimension) => valueOf(receipt, request, dimension) ?? null))
      )
      return [...groups].map(([key, members]): SpendGroup => {
        const asked = members.flatMap((request) => request === undefined ? [] : [request])
        const { cost, estimated, unmetered, unpriced, usage } = asked.map(sumsOf).reduce(addSums, noSums)
        return {
          start: span.start,
          // Written above.
          keys: JSON.parse(key) as ReadonlyArray<string | null>,
          outcome: receipt.outcome,
          operations: 1,
          requests: asked.length,
          cost,
          estimated,
          unpriced,
          unmetered,
          usage
        }
      })
    })
  }

  latency({ by, of, spans, thousandths, until, where }: Measuring): ReadonlyArray<RankedValue> {
    const groups = Map.groupBy(
      this.measured({ of, until, where }).flatMap((measured) => {
        const span = spanOf(spans, measured.receipt)
        return span === undefined ? [] : [{ ...measured, start: span.start }]
      }),
      ({ attempt, receipt, start }) =>
        JSON.stringify([start, ...by.map((dimension) => valueOf(receipt, attempt, dimension) ?? null)])
    )
    return [...groups].flatMap(([key, members]) => {
      // Written above.
      const [start, ...keys] = JSON.parse(key) as [number, ...Array<string | null>]
      const values = members.map(({ value }) => value).toSorted((a, b) => a - b)
      const ranks = new Set(thousandths.map((thousandth) => rankOf(thousandth, values.length)))
      return [...ranks].map((rank) => ({ start, keys, count: values.length, rank, value: values[rank - 1]! }))
    })
  }

  private measured({ of, until, where }: Pick<Measuring, "of" | "until" | "where">) {
    const entries = [...this.entries.values()]
    const measured = of === "operations"
      ? entries.flatMap(({ receipt }) => {
        const { firstPartMillis, totalMillis } = receipt.timings
        const value = until === "end" ? totalMillis : firstPartMillis
        return value !== undefined && matches(receipt, where) ? [{ receipt, attempt: undefined, value }] : []
      })
      : entries.flatMap(({ receipt }) =>
        receipt.attempts.flatMap((attempt) => {
          const value = until === "end" ? attempt.durationMillis : attempt.firstPartMillis
          const has = (condition: Condition) =>
            condition.field === "outcome"
              ? condition.values.includes(attempt.outcome)
              : operationHas(receipt, condition) && requestHas(attempt, condition)
          return value !== undefined && where.every(has) ? [{ receipt, attempt, value }] : []
        })
      )
    return measured
  }

  find({ after, from, limit, to, where }: Paging): ReadonlyArray<Entry> {
    return [...this.entries.values()]
      .filter(({ receipt }) =>
        receipt.startedAt >= from && receipt.startedAt < to && matches(receipt, where) &&
        (after === undefined || newestFirst(after, receipt) < 0)
      )
      .toSorted((a, b) => newestFirst(a.receipt, b.receipt))
      .slice(0, limit)
  }

  prune(before: number): number {
    const old = [...this.entries].filter(([, { receipt }]) => receipt.startedAt < before)
    for (const [key] of old) this.entries.delete(key)
    return old.length
  }
}

const spanOf = (spans: ReadonlyArray<Span>, { startedAt }: Receipt.Receipt): Span | undefined =>
  spans.find(({ from, to }) => startedAt >= from && startedAt < to)

const newestFirst = (a: Cursor, b: Cursor): number =>
  b.startedAt - a.startedAt || (a.operationId < b.operationId ? 1 : a.operationId > b.operationId ? -1 : 0)

const valueOf = (
  receipt: Receipt.Receipt,
  attempt: Receipt.Attempt | undefined,
  field: Condition["field"]
): string | undefined => {
  switch (field) {
    case "provider":
      return attempt?.provider
    case "model":
      return attempt?.model
    case "tenant":
    case "user":
    case "feature":
    case "requestId":
      return receipt.attribution[field]
    case "outcome":
    case "operationId":
      return receipt[field]
    case "promptVersion":
      return promptVersionOf(receipt)
    default: {
      const { tags = {} } = receipt.attribution
      const tag = tagOf(field)
      return tag !== undefined && Object.hasOwn(tags, tag) ? tags[tag] : undefined
    }
  }
}

const has = (value: string | undefined, { values }: Condition): boolean => value !== undefined && values.includes(value)

const ofRequests = ({ field }: Condition): boolean => field === "provider" || field === "model"

/** What says nothing of operations is true of them. */
const operationHas = (receipt: Receipt.Receipt, condition: Condition): boolean =>
  ofRequests(condition) || has(valueOf(receipt, undefined, condition.field), condition)

const requestHas = (attempt: Receipt.Attempt, condition: Condition): boolean =>
  condition.field === "provider" || condition.field === "model" ? has(attempt[condition.field], condition) : true

const matches = (receipt: Receipt.Receipt, where: ReadonlyArray<Condition>): boolean =>
  where.every((condition) => operationHas(receipt, condition)) &&
  (!where.some(ofRequests) ||
    receipt.attempts.some((attempt) => where.every((condition) => requestHas(attempt, condition))))
