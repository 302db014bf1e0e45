/**
 * What the requests of a flight do, as all hear it who wait for that.
 */
import type { Pulse, RateLimit } from "../../core/Call.ts"
import type { Participant } from "./flightParticipant.ts"

export class FlightPulse implements Pulse {
  private readonly participants: Iterable<Participant>
  /** What the request has done that is under way. */
  private under: { responded: boolean; parts: "none" | "some" | "content" } | undefined = undefined

  constructor(participants: Iterable<Participant>) {
    this.participants = participants
  }

  readonly attempt = (): void => {
    this.under = { responded: false, parts: "none" }
    this.each((pulse) => pulse.attempt())
  }

  readonly response = (limits: ReadonlyArray<RateLimit>): void => {
    if (this.under !== undefined) this.under.responded = true
    this.each((pulse) => pulse.response(limits))
  }

  readonly parts = (content: boolean): void => {
    if (this.under !== undefined && this.under.parts !== "content") this.under.parts = content ? "content" : "some"
    this.each((pulse) => pulse.parts(content))
  }

  readonly failed = (): void => {
    this.under = undefined
    this.each((pulse) => pulse.failed())
  }

  /** Who comes late hears what has been done. What was said of limits, those have heard who came in time. */
  replay({ call: { pulse }, listens }: Participant): void {
    if (this.under === undefined || pulse === undefined || !listens) return
    pulse.attempt()
    if (this.under.responded) pulse.response([])
    if (this.under.parts !== "none") pulse.parts(this.under.parts === "content")
  }

  private each(tell: (pulse: Pulse) => void): void {
    for (const { call: { pulse }, listens } of this.participants) {
      if (listens && pulse !== undefined) tell(pulse)
    }
  }
}
