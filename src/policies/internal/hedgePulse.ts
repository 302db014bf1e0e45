/**
 * What those who watch the time see of two requests at once: one request, that lasts as long as either of them.
 */
import type { Pulse } from "../../core/Call.ts"

export const joined = (pulse: Pulse): Pulse => {
  let running = 0
  return {
    // While another request runs, one more is no new beginning, and one that fails is not the end.
    attempt: () => {
      if (running++ === 0) pulse.attempt()
    },
    response: pulse.response,
    parts: pulse.parts,
    failed: () => {
      if (--running === 0) pulse.failed()
    }
  }
}
