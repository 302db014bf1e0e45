/**
 * The wall: the published faults, and those that we add.
 */
import { more } from "./more.ts"
import { published } from "./published.ts"
import type { Scenario } from "./scenario.ts"

export { more, published }

export const scenarios: ReadonlyArray<Scenario> = [...published, ...more]
