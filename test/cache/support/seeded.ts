/**
 * Chance that can be had again: numbers from a seed, and a scheduler that runs what is due in an order of their choosing.
 */
import type { Scheduler } from "effect"

export interface Dice {
  /** A whole number from 0 up to, and without, another one. */
  readonly below: (n: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(from: ReadonlyArray<A>) => A
}

/** Mulberry32. */
export const dice = (seed: number): Dice => {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  return { below, chance: (probability) => next() < probability, pick: (from) => from[below(from.length)]! }
}

/**
 * Fibers yield between any two steps, with a probability, and those that are due run in any order. (Not before the first step after a
 * wait: a fiber that is interrupted before it has begun would then begin all the same, and no scheduler that counts steps does that.)
 */
export const scheduler = (dice: Dice, yields: number): Scheduler.Scheduler => {
  const tasks: Array<() => void> = []
  let scheduled = false
  const run = (): void => {
    scheduled = false
    while (tasks.length > 0) tasks.splice(dice.below(tasks.length), 1)[0]!()
  }
  return {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= 2048 || (fiber.currentOpCount > 1 && dice.chance(yields)),
    makeDispatcher: () => ({
      scheduleTask: (task) => {
        tasks.push(task)
        if (scheduled) return
        scheduled = true
        setImmediate(run)
      },
      flush: run
    })
  }
}
