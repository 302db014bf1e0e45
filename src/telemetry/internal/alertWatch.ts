/**
 * From "it is out of the ordinary this minute" to one alert when it begins and one when it is over.
 */
import type { Resolution } from "./alertModel.ts"

/** In minutes, for alerts of all kinds. */
interface Common {
  /** For how many it must be as before until it is over. */
  readonly resolveAfter: number
  /** For how many after its end it does not begin again. */
  readonly coolDown: number
  readonly repeatEvery: number | undefined
}

/** In minutes, for those of one kind. */
interface Own {
  /** For how many it must be out of the ordinary. */
  readonly confirm: number
  /** After how many that it lasts it is what is usual. */
  readonly acceptAfter: number
}

/** What has become of it this minute. */
export type Change = "begins" | "again" | Resolution | undefined

export class Watch {
  firing = false
  /** The first minute of it. */
  began = 0
  private firedAt = 0
  private toldAt = 0
  private endedAt = -Infinity
  private hotFor = 0
  private coolFor = 0
  private readonly common: Common
  private readonly own: Own

  constructor(common: Common, own: Own) {
    this.common = common
    this.own = own
  }

  /**
   * One minute. `hot`: it is out of the ordinary; `cool`: it clearly is not, which takes more than not being hot. `held` where something
   * else explains it: then it does not begin.
   */
  update(minute: number, hot: boolean, cool: boolean, held: boolean): Change {
    const { coolDown, repeatEvery, resolveAfter } = this.common
    const { acceptAfter, confirm } = this.own
    if (!this.firing) {
      if (!hot || held) {
        this.hotFor = 0
        return undefined
      }
      if (this.hotFor === 0) this.began = minute
      this.hotFor++
      // A clock that was set back must not make it wait for longer.
      if (this.hotFor < confirm || (minute >= this.endedAt && minute - this.endedAt < coolDown)) return undefined
      this.firing = true
      this.firedAt = minute
      this.toldAt = minute
      this.coolFor = 0
      return "begins"
    }
    this.firedAt = Math.min(this.firedAt, minute)
    this.toldAt = Math.min(this.toldAt, minute)
    this.coolFor = cool ? this.coolFor + 1 : 0
    if (this.coolFor >= resolveAfter) return this.end(minute, "recovered")
    if (minute - this.firedAt >= acceptAfter) return this.end(minute, "accepted")
    if (repeatEvery !== undefined && minute - this.toldAt >= repeatEvery) {
      this.toldAt = minute
      return "again"
    }
    return undefined
  }

  /** Ends it, whatever it is like. */
  end(minute: number, resolution: Resolution): Resolution {
    this.firing = false
    this.endedAt = minute
    this.hotFor = 0
    return resolution
  }
}
