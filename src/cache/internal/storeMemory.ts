/**
 * A cache in the memory of a process.
 *
 * Values are in a map in the order of their last use, so that the first is the one to go. Generations are numbers that are counted up and
 * never used twice: one that was forgotten is replaced by a new one, which no value was written under.
 */
import { jsonBytes, stringBytes } from "./jsonSize.ts"
import { Leases } from "./leases.ts"
import type { Found, Value } from "./store.ts"

interface Entry {
  readonly value: Value
  readonly generation: string
  readonly expires: number
  readonly bytes: number
}

interface Generation {
  readonly id: number
  /** When it was last needed. */
  usedAt: number
}

/** What an entry takes besides its key and value: its place in the map, and the entry itself. Measured. */
const entryBytes = 200

/** Longer than any answer takes, from the look-up before it until it is written. */
const keepMillis = 3_600_000

export class MemoryStore {
  readonly leases = new Leases()
  evictions = 0
  bytes = 0
  private readonly maxEntries: number
  private readonly maxBytes: number
  private readonly entries = new Map<string, Entry>()
  private readonly generations = new Map<string, Generation>()
  private readonly removed = new Map<string, Generation>()
  private cleared = 0
  private ids = 0
  private longest = 0
  private sweepAt = 1_000

  constructor(options: { readonly maxEntries: number; readonly maxBytes: number }) {
    this.maxEntries = options.maxEntries
    this.maxBytes = options.maxBytes
  }

  get size(): number {
    return this.entries.size
  }

  lookup(key: string, tags: ReadonlyArray<string>, now: number): Found {
    const generation = this.generationOf(key, tags, now)
    const entry = this.entries.get(key)
    if (entry === undefined) return { value: undefined, generation }
    if (entry.expires <= now || entry.generation !== generation) {
      this.drop(key, entry)
      return { value: undefined, generation }
    }
    this.entries.delete(key)
    this.entries.set(key, entry)
    return { value: entry.value, generation }
  }

  write(key: string, value: Value, generation: string, timeToLive: number, now: number): void {
    if (!(timeToLive > 0)) return
    const before = this.entries.get(key)
    if (before !== undefined) this.drop(key, before)
    const bytes = entryBytes + stringBytes(key) + stringBytes(generation) + jsonBytes(value)
    // It would drive out all others, and then itself.
    if (bytes > this.maxBytes) {
      this.evictions++
      return
    }
    this.longest = Math.max(this.longest, timeToLive)
    this.entries.set(key, { value, generation, expires: now + timeToLive, bytes })
    this.bytes += bytes
    for (const [oldest, entry] of this.entries) {
      if (this.entries.size <= this.maxEntries && this.bytes <= this.maxBytes) break
      this.drop(oldest, entry)
      this.evictions++
    }
  }

  remove(key: string, now: number): void {
    const entry = this.entries.get(key)
    if (entry !== undefined) this.drop(key, entry)
    this.removed.set(key, { id: ++this.ids, usedAt: now })
    this.sweep(now)
  }

  invalidate(tag: string, now: number): void {
    this.generations.set(tag, { id: ++this.ids, usedAt: now })
    this.sweep(now)
  }

  clear(): void {
    this.cleared = ++this.ids
    this.entries.clear()
    this.generations.clear()
    this.removed.clear()
    this.bytes = 0
  }

  private drop(key: string, entry: Entry): void {
    this.entries.delete(key)
    this.bytes -= entry.bytes
  }

  /** The generations of the tags in their order, without those that come twice, and of the key itself where it was removed. */
  private generationOf(key: string, tags: ReadonlyArray<string>, now: number): string {
    let text = String(this.cleared)
    if (tags.length === 1) text += `.${this.generation(tags[0]!, now)}`
    else if (tags.length > 1) {
      let last: string | undefined
      for (const tag of tags.toSorted()) {
        if (tag !== last) text += `.${this.generation(tag, now)}`
        last = tag
      }
    }
    const removed = this.removed.get(key)
    if (removed === undefined) return text
    removed.usedAt = now
    return `${text}/${removed.id}`
  }

  private generation(tag: string, now: number): number {
    const known = this.generations.get(tag)
    if (known !== undefined) {
      known.usedAt = now
      return known.id
    }
    const id = ++this.ids
    this.generations.set(tag, { id, usedAt: now })
    this.sweep(now)
    return id
  }

  // They stay for as long as there can be a value that was begun under them.
  private sweep(now: number): void {
    if (this.generations.size + this.removed.size < this.sweepAt) return
    const before = now - keepMillis - this.longest
    for (const records of [this.generations, this.removed]) {
      for (const [name, { usedAt }] of records) {
        if (usedAt < before) records.delete(name)
      }
    }
    this.sweepAt = Math.max(1_000, (this.generations.size + this.removed.size) * 2)
  }
}
