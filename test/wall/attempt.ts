/**
 * One run of one scenario.
 */
import { Effect, Random } from "effect"
import type { Check } from "./checks.ts"
import * as Http from "./http.ts"
import type { Lab } from "./lab.ts"
import type { Outcome, Scenario } from "./scenario.ts"
import * as Scripted from "./scripted.ts"
import { standard } from "./stack.ts"

/** Over real HTTP. */
export const http = (options: Pick<Lab, "mode" | "scale" | "seed" | "slack"> & Partial<Lab>): Lab => ({
  stackOf: standard,
  backend: Http.backend,
  ...options
})

/** Without a network, at the published times, by whatever clock there is. */
export const scripted = (options: Pick<Lab, "mode" | "seed"> & Partial<Lab>): Lab => ({
  scale: 1,
  slack: 0,
  stackOf: standard,
  backend: Scripted.backend,
  ...options
})

/** Runs a scenario, with chance from the seed. */
export const attempt = (scenario: Scenario, lab: Lab): Effect.Effect<Outcome> =>
  Effect.scoped(scenario.run(lab)).pipe(Random.withSeed(`wall ${lab.seed}`))

/** The checks that do not hold, in words. */
export const failed = (checks: ReadonlyArray<Check>): ReadonlyArray<string> =>
  checks.filter((check) => !check.holds).map((check) => `${check.what}: ${check.seen}`)
