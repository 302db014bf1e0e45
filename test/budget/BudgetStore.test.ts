/**
 * What a budget store does, in each of its homes.
 */
import { alone, shared } from "./support/homes.ts"
import { suite } from "./support/storeSuite.ts"

for (const home of [...alone, ...shared]) suite(home)
