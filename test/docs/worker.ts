/**
 * Runs examples in a process of their own, each when its file is named, and answers what came of the results it states.
 */
import * as Equal from "effect/Equal"
import { pathToFileURL } from "node:url"
import { inspect, isDeepStrictEqual } from "node:util"

/** What came of an example. */
export interface Answer {
  readonly error?: string
  readonly outcomes: ReadonlyArray<Outcome>
}

/** What came of a stated result. */
export interface Outcome {
  readonly index: number
  readonly equal: boolean
  readonly actual: string
  readonly expected: string
}

let outcomes: Array<Outcome> = []

const check = <A>(index: number, actual: A, value: () => unknown): A => {
  const expected = value()
  outcomes.push({
    index,
    equal: Equal.equals(actual, expected) || isDeepStrictEqual(actual, expected),
    actual: inspect(actual, { depth: 8 }),
    expected: inspect(expected, { depth: 8 })
  })
  return actual
}

// The examples call it by the name that the process is given.
Object.assign(globalThis, { [String(process.argv[2])]: check })

process.on("message", async (file: string) => {
  outcomes = []
  const answer = await import(pathToFileURL(file).href).then(
    (): Answer => ({ outcomes }),
    (error: unknown): Answer => ({ error: inspect(error), outcomes })
  )
  process.send?.(answer)
})
