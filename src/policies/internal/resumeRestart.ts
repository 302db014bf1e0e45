/**
 * Beginning again.
 */
import type { Call } from "../../core/Call.ts"
import type { StreamInterrupted } from "../../core/LlmError.ts"
import type { Retract } from "../../core/Part.ts"
import type { Answer, Taken, Way } from "./resumeFlow.ts"

export class Restarting implements Way {
  private readonly call: Call

  /** Nothing has to be looked at, and nothing is held back. */
  readonly hand = undefined
  readonly rest = () => undefined
  readonly failure = (error: StreamInterrupted): StreamInterrupted => error

  constructor(call: Call) {
    this.call = call
  }

  readonly next = (): Call => ({
    ...this.call,
    openBy: undefined,
    recorder: this.call.recorder.branch()
  })

  readonly takeOver = (answer: Answer, error: StreamInterrupted): Taken => {
    this.call.recorder.adopt(answer.recorder)
    const retract: Retract = { type: "retract", reason: error.reason }
    return { parts: answer.first === undefined ? [retract] : [retract, ...answer.first] }
  }
}
