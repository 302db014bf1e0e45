/**
 * Listens to operations, and knows at any moment what they are doing.
 *
 * It is told of every part of every answer, so each event is a few assignments. It keeps names, counts and times, never what it is handed:
 * requests, records and receipts have prompts, answers and users in them.
 */
import type * as Clock from "effect/Clock"
import type { Attempted, Begun, Ending, Instrument, Note, OperationWatch } from "../../core/internal/instrument.ts"
import type * as Part from "../../core/Part.ts"
import type * as Receipt from "../../core/Receipt.ts"
import * as Usage from "../../core/Usage.ts"
import type { BudgetUse, Circuit, Finished, InFlight, Queue, State } from "./liveState.ts"
import { Series } from "./liveTally.ts"
import { mayHaveUsed } from "./operationMeter.ts"

export interface Settings {
  /** Gives requests the costs that nobody has kept account of. */
  readonly priced: (receipt: Receipt.Receipt) => Receipt.Receipt
  /** How many finished calls are kept. */
  readonly finished: number
  /** How many calls in flight a state has at most. */
  readonly inFlight: number
}

/** How many circuits, budgets and queues are kept of each: their names may come from anywhere. */
const mostKeys = 64

/** No name in a frame is longer, and what keeps a name keeps no more of it. */
const nameOf = (text: string): string => text.length <= 128 ? text : text.slice(0, 128)

const named = <const Key extends string>(key: Key, text: string | undefined): { readonly [K in Key]?: string } =>
  // What a computed key makes of a type is wider than it is.
  text === undefined ? {} : { [key]: nameOf(text) } as { readonly [K in Key]?: string }

export class Board implements Instrument {
  /** Grows with every event. */
  version = 0
  readonly clock: Clock.Clock
  readonly series: Series
  private readonly settings: Settings
  private readonly since: number
  /** In the order in which they began. */
  private readonly running = new Set<Operation>()
  /** A ring: the next one that ends takes the place of the oldest. */
  private readonly ended: Array<Finished> = []
  private oldest = 0
  private readonly circuits = new Latest<Circuit>(({ state }) => state === "Closed")
  private readonly budgets = new Latest<BudgetUse>()
  private readonly queues = new Latest<Queue>(({ batch, interactive }) => batch + interactive === 0)

  constructor(settings: Settings, clock: Clock.Clock) {
    this.settings = settings
    this.clock = clock
    this.since = this.now()
    this.series = new Series(this.since)
  }

  priced(receipt: Receipt.Receipt): Receipt.Receipt {
    return this.settings.priced(receipt)
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  get inFlight(): number {
    return this.running.size
  }

  operation(begun: Begun): OperationWatch {
    const operation = new Operation(this, begun)
    this.running.add(operation)
    this.series.count(this.now(), "calls")
    this.version++
    return operation
  }

  close(operation: Operation, finished: Finished): void {
    this.running.delete(operation)
    this.ended[this.oldest] = finished
    this.oldest = (this.oldest + 1) % this.settings.finished
  }

  noted(note: Note): void {
    switch (note._tag) {
      case "Circuit":
        this.circuit(note.circuit, note.to)
        break
      case "CircuitSeen":
        this.circuit(note.circuit, note.state)
        break
      case "Balance": {
        const { limit, used } = note
        const [scope, resource, window] = [nameOf(note.scope), nameOf(note.resource), nameOf(note.window)]
        const feature = named("feature", note.feature)
        this.budgets.set(JSON.stringify([scope, resource, window, feature.feature]), {
          scope,
          resource,
          window,
          ...feature,
          used,
          limit
        })
        break
      }
      case "Queue": {
        const limiter = nameOf(note.limiter)
        this.queues.set(limiter, { limiter, interactive: note.interactive, batch: note.batch })
        break
      }
      default:
    }
    this.version++
  }

  private circuit(key: string, current: string): void {
    const [circuit, state] = [nameOf(key), nameOf(current)]
    // Whoever sees again what was known says nothing of when it came.
    if (this.circuits.get(circuit)?.state !== state) {
      this.circuits.set(circuit, { circuit, state, since: this.now() })
    }
  }

  /** Whether more calls wait at a limiter than did when it was last told of. */
  isMore({ batch, interactive, limiter }: Extract<Note, { readonly _tag: "Queue" }>): boolean {
    const known = this.queues.get(nameOf(limiter))
    return batch + interactive > (known === undefined ? 0 : known.batch + known.interactive)
  }

  state(): State {
    const now = this.now()
    const inFlight: Array<InFlight> = []
    for (const operation of this.running) {
      if (inFlight.length === this.settings.inFlight) break
      inFlight.push(operation.shown(now))
    }
    return {
      at: now,
      since: this.since,
      running: this.running.size,
      inFlight,
      finished: [...this.ended.slice(this.oldest), ...this.ended.slice(0, this.oldest)].toReversed(),
      total: this.series.total,
      lastMinute: this.series.lastMinute(now),
      minutes: this.series.minutes(now),
      circuits: this.circuits.list,
      budgets: this.budgets.list,
      queues: this.queues.list
    }
  }
}

/** What was said last of each key, of as many keys as there is room for, in the order in which they came. */
class Latest<A> {
  private readonly values = new Map<string, A>()
  private readonly dull: (value: A) => boolean

  /** What is dull makes room first. */
  constructor(dull: (value: A) => boolean = () => false) {
    this.dull = dull
  }

  get(key: string): A | undefined {
    return this.values.get(key)
  }

  set(key: string, value: A): void {
    if (!this.values.has(key) && this.values.size >= mostKeys) this.makeRoom()
    this.values.set(key, value)
  }

  private makeRoom(): void {
    let first: string | undefined
    for (const [key, value] of this.values) {
      first ??= key
      if (this.dull(value)) {
        first = key
        break
      }
    }
    if (first !== undefined) this.values.delete(first)
  }

  get list(): ReadonlyArray<A> {
    return [...this.values.values()]
  }
}

type Wait =
  | { readonly phase: "retrying"; readonly since: number; readonly until: number; readonly on: string }
  | { readonly phase: "queued" | "sharing" | "between"; readonly since: number; readonly on?: string }

class Operation implements OperationWatch {
  readonly span = undefined
  private readonly board: Board
  private readonly begun: Pick<InFlight, "id" | "feature" | "stream" | "refresh" | "startedAt">
  private requests = 0
  /** Requests under way. */
  private readonly attempts = new Set<Attempt>()
  /** The request that began last. */
  private last: Attempt | undefined
  /** What it waits for while no request is under way; nothing where it has just begun. */
  private wait: Wait | undefined
  private over = false

  constructor(board: Board, { attribution, id, mode, refresh, startedAt }: Begun) {
    this.board = board
    this.begun = {
      id: nameOf(id),
      ...named("feature", attribution.feature),
      stream: mode === "stream",
      refresh,
      startedAt
    }
  }

  attempt(attempted: Attempted): Attempt {
    const attempt = new Attempt(this.board, this, attempted)
    this.requests++
    this.board.series.count(attempt.startedAt, "requests")
    this.board.version++
    this.attempts.add(attempt)
    this.last = attempt
    this.wait = undefined
    return attempt
  }

  ended(attempt: Attempt): void {
    if (!this.attempts.delete(attempt) || this.attempts.size > 0) return
    // A decision may have been told before the end of the request that led to it.
    this.wait ??= { phase: "between", since: this.board.now() }
  }

  decided(event: Receipt.Event): void {
    const now = this.board.now()
    switch (event.type) {
      case "retry":
        this.board.series.count(now, "retries")
        this.wait = { phase: "retrying", since: now, until: now + (event.delayMillis ?? 0), on: nameOf(event.reason) }
        break
      case "fallback":
      case "escalate":
        this.board.series.count(now, "fallbacks")
        this.between(now)
        break
      case "hedge":
        this.board.series.count(now, "hedges")
        break
      case "rejected":
        this.board.series.count(now, "rejected")
        this.between(now)
        break
      case "queue":
      case "timeout":
      case "degraded":
        this.between(now)
        break
      default:
    }
    this.board.version++
  }

  /** Whatever it has waited for, it does no more. */
  private between(since: number): void {
    this.wait = this.requests === 0 ? undefined : { phase: "between", since }
  }

  noted(note: Note): void {
    // Told when it takes its place, and when it leaves it: then there is no more of them than before.
    if (note._tag === "Queue" && this.attempts.size === 0 && this.wait?.phase !== "queued" && this.board.isMore(note)) {
      this.wait = { phase: "queued", since: this.board.now(), on: nameOf(note.limiter) }
    }
    this.board.noted(note)
  }

  joined(): void {
    this.wait = { phase: "sharing", since: this.board.now() }
    this.board.version++
  }

  closed(closed: Receipt.Receipt, { served }: Pick<Ending, "served">): void {
    if (this.over) return
    // Requests that others wait for may go on, and others may begin: they are counted, but this call is gone.
    this.over = true
    const { board } = this
    const { series } = board
    const now = board.now()
    const receipt = board.priced(closed)
    const { attempts, cache, outcome, usage } = receipt
    const [inputTokens, outputTokens] = [Usage.input(usage), Usage.output(usage)]
    series.count(now, outcome === "success" ? "succeeded" : outcome === "interrupted" ? "interrupted" : "failed")
    if (cache === "hit" || cache === "stale" || cache === "coalesced") series.count(now, "cached")
    else if (cache === "miss") series.count(now, "missed")
    if (inputTokens > 0) series.count(now, "inputTokens", inputTokens)
    if (outputTokens > 0) series.count(now, "outputTokens", outputTokens)
    let cost = 0
    let unpriced = 0
    for (const attempt of attempts) {
      if (attempt.cost !== undefined) cost += attempt.cost
      else if (mayHaveUsed(attempt)) unpriced++
    }
    if (cost > 0) series.count(now, "cost", cost)
    if (unpriced > 0) series.count(now, "unpriced", unpriced)
    const asked = attempts.at(-1)
    const { feature, id, refresh } = this.begun
    board.close(this, {
      id,
      ...named("feature", feature),
      refresh,
      ...named("provider", served?.provider ?? receipt.provider ?? asked?.provider),
      ...named("model", served?.model ?? receipt.model ?? asked?.model),
      outcome: nameOf(outcome),
      degraded: receipt.degraded,
      endedAt: now,
      tookMillis: receipt.timings.totalMillis,
      ...(receipt.timings.firstPartMillis === undefined
        ? undefined
        : { firstPartMillis: receipt.timings.firstPartMillis }),
      requests: attempts.length,
      inputTokens,
      outputTokens,
      ...(receipt.cost === undefined ? undefined : { cost: receipt.cost }),
      ...(cache === undefined ? undefined : { cache })
    })
    board.version++
  }

  shown(now: number): InFlight {
    const front = this.front()
    return {
      ...this.begun,
      elapsedMillis: Math.max(0, now - this.begun.startedAt),
      ...named("provider", front?.provider),
      ...named("model", front?.model),
      requests: this.requests,
      running: this.attempts.size,
      ...this.phase(front, now),
      parts: front?.parts ?? 0,
      characters: front?.characters ?? 0
    }
  }

  /** The request that has brought the most; of equal ones, and where none is under way, the last. */
  private front(): Attempt | undefined {
    let front: Attempt | undefined
    for (const attempt of this.attempts) {
      if (front === undefined || attempt.parts >= front.parts) front = attempt
    }
    return front ?? this.last
  }

  private phase(
    front: Attempt | undefined,
    now: number
  ): Pick<InFlight, "phase" | "phaseMillis" | "leftMillis" | "on"> {
    const wait = this.wait
    const since = (at: number): number => Math.max(0, now - at)
    if (front !== undefined && this.attempts.size > 0) {
      return front.contentAt === undefined
        ? { phase: "sending", phaseMillis: since(front.startedAt) }
        : { phase: "receiving", phaseMillis: since(front.contentAt) }
    }
    if (wait === undefined) return { phase: "starting", phaseMillis: since(this.begun.startedAt) }
    return {
      phase: wait.phase,
      phaseMillis: since(wait.since),
      ...(wait.phase === "retrying" ? { leftMillis: Math.max(0, wait.until - now) } : undefined),
      ...named("on", wait.on)
    }
  }
}

class Attempt {
  readonly span = undefined
  readonly propagates = false
  readonly provider: string
  readonly model: string
  readonly startedAt: number
  parts = 0
  characters = 0
  /** When something came last, once there was content. */
  contentAt: number | undefined = undefined
  private readonly board: Board
  private readonly operation: Operation

  constructor(board: Board, operation: Operation, { model, provider }: Attempted) {
    this.board = board
    this.operation = operation
    this.provider = nameOf(provider)
    this.model = nameOf(model)
    this.startedAt = board.now()
  }

  arrived(parts: ReadonlyArray<Part.Part>, first: boolean): void {
    this.parts += parts.length
    for (const part of parts) {
      if (part.type === "text-delta" || part.type === "reasoning-delta" || part.type === "tool-params-delta") {
        this.characters += part.delta.length
      }
    }
    if (first || this.contentAt !== undefined) this.contentAt = this.board.now()
    this.board.version++
  }

  ended(): void {
    this.operation.ended(this)
    this.board.version++
  }
}
