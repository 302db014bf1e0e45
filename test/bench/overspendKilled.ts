/**
 * A process that is killed in the middle of its calls. What it is to do comes as JSON.
 */
import { type Killed, untilKilled } from "./overspend.ts"

await untilKilled(JSON.parse(process.argv[2] ?? "") as Killed)
