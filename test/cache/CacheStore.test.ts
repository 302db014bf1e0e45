/**
 * What a cache store does, in each of its homes.
 */
import { alone, shared } from "./support/homes.ts"
import { sharedSuite, suite } from "./support/storeSuite.ts"

for (const home of [...alone, ...shared]) suite(home)
for (const home of shared) sharedSuite(home)
