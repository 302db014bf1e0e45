/**
 * What a scenario of the wall is.
 */
import { Effect, type Scope } from "effect"
import * as Checks from "./checks.ts"
import { type Lab, type Mode, open, type Seen, type SeenRequest, type Setup, type World } from "./lab.ts"

/** What a run of a scenario shows. */
export interface Outcome {
  readonly checks: ReadonlyArray<Checks.Check>
  /** How often each upstream was asked. */
  readonly asked: { readonly primary: number; readonly backup: number }
}

export interface Scenario {
  readonly name: string
  /** The fault, and what is expected, in one sentence. */
  readonly sentence: string
  /** How it can be asked for. */
  readonly modes: ReadonlyArray<Mode>
  /** Whether only bytes show it, so that it needs a server. */
  readonly wire: boolean
  readonly run: (lab: Lab) => Effect.Effect<Outcome, never, Scope.Scope>
}

export const both: ReadonlyArray<Mode> = ["streamed", "full"]

/** What happens in a scenario of one call, and what is asked of it. */
export interface Single {
  readonly setup: Setup
  readonly checks: (
    seen: Seen,
    requests: ReadonlyArray<SeenRequest>,
    world: World
  ) => ReadonlyArray<Checks.Check>
}

/** A scenario of one call. */
export const single = (
  name: string,
  sentence: string,
  about: { readonly modes?: ReadonlyArray<Mode>; readonly wire?: boolean },
  of: (lab: Lab) => Single
): Scenario => ({
  name,
  sentence,
  modes: about.modes ?? both,
  wire: about.wire ?? false,
  run: Effect.fnUntraced(function*(lab) {
    const { checks, setup } = of(lab)
    const world = yield* open(lab, setup)
    const seen = yield* world.ask()
    const requests = yield* world.requests
    return {
      checks: [...checks(seen, requests, world), Checks.accounted(seen, requests)],
      asked: Checks.asked(requests)
    }
  })
})
