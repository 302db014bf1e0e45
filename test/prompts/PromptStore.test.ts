/**
 * What every home of prompts has to do, in every home.
 */
import { alone, shared } from "./support/homes.ts"
import { suite } from "./support/storeSuite.ts"

for (const home of [...alone, ...shared]) suite(home)
