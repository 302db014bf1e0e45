/**
 * One upstream call, and all who take part in it. All of it but the upstream itself happens at once, without another fiber in between.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { Call } from "../../core/Call.ts"
import type { Recorder } from "../../core/internal/recorder.ts"
import { StreamInterrupted, TimedOut } from "../../core/LlmError.ts"
import * as Opened from "../../core/Opened.ts"
import type { Part } from "../../core/Part.ts"
import type { Answer } from "./flightAnswer.ts"
import { FlightBuffer, type Parts } from "./flightBuffer.ts"
import type { Participant } from "./flightParticipant.ts"
import { FlightPulse } from "./flightPulse.ts"

type PartsPull = Pull.Pull<Parts, StreamInterrupted>

/** What a flight asks of those who keep it. */
export interface Tower {
  readonly maxBytes: number
  /** Nobody may join it any more. */
  readonly closeOff: (flight: Flight) => void
}

export class Flight {
  readonly key: string
  readonly leader: Participant
  readonly recorder: Recorder
  /** The call as it is made upstream. */
  readonly call: Call
  private readonly tower: Tower
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Whether the last one has left. */
  private cancelled = false
  /** Whether the answer is all there. */
  private finished = false
  /** The upstream call is closed. */
  private readonly closed = Deferred.makeUnsafe<void>()
  private readonly startedAt: number
  private finishedAt = 0
  /** In the order in which they came. */
  private readonly participants = new Set<Participant>()
  private owner: Participant | undefined = undefined
  private readonly buffer = new FlightBuffer()
  private phase: "opening" | "flowing" | "over" = "opening"
  private failure: Cause.Cause<unknown> | undefined = undefined
  /** Whether the answer is too large to be kept. */
  private oversize = false
  /** Whether readers are being woken one after the other: until all are, nobody is slow. */
  private handing = false
  /** Goes on upstream, while that is held up by slow readers. */
  private goOn: (() => void) | undefined = undefined
  private readonly pulse = new FlightPulse(this.participants)

  constructor(key: string, leader: Participant, tower: Tower) {
    this.key = key
    this.leader = leader
    this.tower = tower
    this.recorder = leader.call.recorder.apart()
    this.call = { ...leader.call, recorder: this.recorder, pulse: this.pulse }
    this.startedAt = this.recorder.now()
    this.add(leader)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // who takes part
  // -------------------------------------------------------------------------------------------------------------------

  /** Whether a call may join that comes now. The time of the one who began it is over for all that happens upstream. */
  get isOpen(): boolean {
    if (this.failure !== undefined || this.oversize) return false
    return this.finished || (!this.cancelled && this.recorder.now() < this.until)
  }

  /** Until when it has time, as far as upstream knows. */
  private get until(): number {
    return this.phase === "opening" ? this.leader.until : this.call.deadline ?? Infinity
  }

  /** Whether all have left before it was over. */
  get isCancelled(): boolean {
    return this.cancelled
  }

  add(participant: Participant): void {
    participant.join(this, participant !== this.leader, this.recorder.now())
    this.participants.add(participant)
    if (this.owner === undefined && this.phase !== "over") this.own(participant)
    this.pulse.replay(participant)
    if (this.phase === "over") this.giveWhole(participant)
    else if (this.phase === "flowing") this.giveFlow(participant)
  }

  private own(participant: Participant): void {
    if (this.owner !== undefined) this.owner.owns = false
    this.owner = participant
    participant.owns = true
  }

  /** What is run in it at once may have ended it already. */
  runsIn(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.fiber = fiber
    if (this.cancelled) fiber.interruptUnsafe()
  }

  /** One leaves. Where it was the last, this waits until the upstream call is closed. */
  remove(participant: Participant): Effect.Effect<void> {
    this.participants.delete(participant)
    participant.ended("interrupted")
    this.tellSaved(participant)
    if (this.phase === "over") return Effect.void
    const [next] = this.participants
    if (next === undefined) return this.cancel(participant.gaveUp)
    if (this.owner === participant) this.own(next)
    this.makeRoom()
    return Effect.void
  }

  private cancel(outcome: string | undefined): Effect.Effect<void> {
    this.cancelled = true
    // The answer may be whole already, and only its end not seen: then it is still told.
    if (!this.finished) this.tower.closeOff(this)
    if (outcome !== undefined) this.recorder.endSince(0, outcome)
    this.goOn = undefined
    this.fiber?.interruptUnsafe()
    return Deferred.await(this.closed)
  }

  private tellSaved({ call, owns, served }: Participant): void {
    if (served && !owns) call.recorder.saved = this.recorder.serving?.answerSpent
  }

  // -------------------------------------------------------------------------------------------------------------------
  // what comes from upstream
  // -------------------------------------------------------------------------------------------------------------------

  /** An answer that is all there. It is handed on when all of the upstream call is closed. */
  receiveWhole(parts: ReadonlyArray<Part>): void {
    this.buffer.push(parts)
    this.oversize = this.buffer.bytes > this.tower.maxBytes
    this.finish()
  }

  private finish(): void {
    this.finished = true
    this.finishedAt = this.recorder.now()
  }

  /** The parts of an answer, as they come: reads all of it. */
  receive(pull: PartsPull): Effect.Effect<void, StreamInterrupted> {
    this.phase = "flowing"
    for (const participant of this.participants) this.giveFlow(participant)
    const next: Effect.Effect<void, StreamInterrupted> = Effect.suspend(() =>
      Pull.matchEffect(pull, {
        onSuccess: (parts) => {
          this.push(parts)
          return this.isFull() ? Effect.andThen(this.room, next) : next
        },
        onFailure: (cause) => Effect.failCause(cause),
        onDone: () => Effect.void
      })
    )
    return next
  }

  private push(parts: Parts): void {
    this.buffer.push(parts)
    for (const part of parts) {
      if (part.type === "finish") this.finish()
    }
    if (!this.oversize && this.buffer.bytes > this.tower.maxBytes) {
      this.oversize = true
      this.tower.closeOff(this)
    }
    this.handing = true
    for (const participant of this.participants) {
      if (participant.wake !== undefined) participant.wake()
      else if (!participant.opened && participant.listens) participant.call.pulse?.parts(true)
    }
    this.handing = false
    this.makeRoom()
  }

  /** Those that read at their own pace; nothing where somebody waits for the whole of it, who needs the whole of it. */
  private readers(): ReadonlyArray<Participant> | undefined {
    const readers: Array<Participant> = []
    for (const participant of this.participants) {
      if (!participant.opened) return undefined
      if (participant.broken === undefined) readers.push(participant)
    }
    return readers
  }

  /** What all have read is dropped of an answer that is too large. */
  private makeRoom(): void {
    if (!this.oversize || this.handing || this.phase !== "flowing") return
    const readers = this.readers()
    if (readers !== undefined) {
      this.buffer.drop(readers.reduce((least, { index }) => Math.min(least, index), this.buffer.end))
    }
    if (!this.isHeldUp()) this.goOn?.()
  }

  private isFull(): boolean {
    return this.oversize && this.buffer.bytes > this.tower.maxBytes && this.readers() !== undefined
  }

  /** Whether there is no room, and nobody who is harmed by that. */
  private isHeldUp(): boolean {
    return this.isFull() && this.readers()?.some(({ wake }) => wake !== undefined) !== true
  }

  /** Upstream waits while all are slow. */
  private readonly held: Effect.Effect<void> = Effect.callback((resume) => {
    if (!this.isHeldUp()) return resume(Effect.void)
    this.goOn = () => {
      this.goOn = undefined
      resume(Effect.void)
    }
    return Effect.sync(() => {
      this.goOn = undefined
    })
  })

  /** Waits until there is room, or makes some: whoever holds up others is cut off. */
  private readonly room: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.isFull()) return Effect.void
    if (this.isHeldUp()) return Effect.andThen(this.held, this.room)
    // Whoever is about to read does so before it is called slow.
    return Effect.andThen(
      Effect.yieldNow,
      Effect.suspend(() => {
        if (!this.isHeldUp()) this.cutOffSlow()
        return this.room
      })
    )
  })

  private cutOffSlow(): void {
    const readers = this.readers() ?? []
    for (const reader of readers.toSorted((a, b) => a.index - b.index)) {
      this.buffer.drop(reader.index)
      if (!this.isFull()) return
      reader.break((view) => view?.interrupted("closed") ?? brokenOff("closed", this.textTo(reader)))
      reader.left = true
      // Somebody waits for more, so it is not the last one.
      this.participants.delete(reader)
      const [next] = this.participants
      if (this.owner === reader && next !== undefined) this.own(next)
    }
  }

  /** How upstream has ended: from now on nobody joins what has failed, or has no end. */
  ended(failure: Cause.Cause<unknown> | undefined): void {
    // Whose readers have all left with the last part has been read to its end.
    this.failure = failure !== undefined && this.cancelled && this.finished ? undefined : failure
    if (this.failure !== undefined || this.oversize || !this.finished) this.tower.closeOff(this)
  }

  /** All of upstream is closed: who waits is answered. Hands back those who ask anew. */
  settle(): ReadonlyArray<Participant> {
    const midFlow = this.phase === "flowing"
    const { failure } = this
    const now = this.recorder.now()
    const waiting = [...this.participants].filter(({ opened }) => !opened)
    const again = failure !== undefined
      ? waiting.filter((one) => this.asksAnew(one, failure, midFlow, now))
      // A stream that ends without its last part has broken off too.
      : midFlow && !this.finished
      ? waiting
      : []
    for (const participant of again) this.participants.delete(participant)
    this.phase = "over"
    const left = [...this.participants]
    // (Whoever asks anew had not begun it, but may have come to own it: then its requests stay where they are.)
    for (const participant of left) {
      if (participant.opened) participant.wake?.()
      else if (failure === undefined) this.giveWhole(participant)
      else participant.give(Effect.failCause(failure))
    }
    Deferred.doneUnsafe(this.closed, Effect.void)
    return again
  }

  /**
   * Whether a failure is not that of a call which waits: it had less time than others of its kind would have, since it came late or since
   * the one who began had less. And whoever waits for a whole answer has not been handed anything of one that broke off.
   */
  private asksAnew(one: Participant, failure: Cause.Cause<unknown>, midFlow: boolean, now: number): boolean {
    const error = Cause.hasDies(failure) ? undefined : failure.reasons.find(Cause.isFailReason)?.error
    if (error === undefined) return false
    if (midFlow) return true
    const timedOut = error instanceof TimedOut
    const late = one.joinedAt > this.startedAt
    const outOfTime = now >= this.until || (timedOut && error.phase === "total")
    return one !== this.leader && now < one.until &&
      ((timedOut && late) || (outOfTime && (late || one.until > this.until)))
  }

  /** What is told of an answer that is whole, where it could be kept. */
  get answer(): Answer | undefined {
    if (!this.finished || this.failure !== undefined || this.oversize) return undefined
    const { degraded, serving } = this.recorder
    return {
      parts: this.buffer.said(),
      degraded,
      provider: serving?.provider,
      model: serving?.servedModel ?? serving?.model,
      finishReason: serving?.finishReason,
      usage: serving?.answerSpent.usage,
      cost: serving?.answerSpent.cost,
      startedAt: this.startedAt,
      durationMillis: this.finishedAt - this.startedAt
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // what those who take part get
  // -------------------------------------------------------------------------------------------------------------------

  /** An answer that is over; also a stream gets it whole. */
  private giveWhole(participant: Participant): void {
    participant.see(this)
    participant.index = this.buffer.end
    const parts = this.buffer.read(this.buffer.saidFrom)
    participant.took(parts)
    participant.served = true
    participant.ended("success")
    participant.give(Effect.succeed(Opened.whole(parts)))
  }

  private giveFlow(participant: Participant): void {
    if (participant.call.mode === "whole" || participant.opened) return
    participant.see(this)
    // Who cannot read a `retract` begins with what has not been unsaid.
    participant.index = participant.call.retractable ? 0 : this.buffer.saidFrom
    participant.give(Effect.succeed(Opened.flow(Stream.fromPull(Effect.succeed(this.read(participant))))))
  }

  private read(reader: Participant): PartsPull {
    const next: PartsPull = Effect.suspend((): PartsPull => {
      if (reader.broken !== undefined) return Effect.fail(reader.broken)
      if (reader.index < this.buffer.end) return this.hand(reader)
      return this.phase === "over" ? this.end(reader) : more
    })
    const more: PartsPull = Effect.callback((resume) => {
      // Between two steps a fiber may yield, and more may have come.
      if (reader.broken !== undefined || reader.index < this.buffer.end || this.phase === "over") return resume(next)
      reader.wake = () => {
        reader.wake = undefined
        resume(next)
      }
      // It may be the one that the others hold up.
      this.makeRoom()
      return Effect.sync(() => {
        reader.wake = undefined
      })
    })
    return next
  }

  private hand(reader: Participant): PartsPull {
    const retract = reader.call.retractable ? undefined : this.buffer.retractFrom(reader.index)
    if (retract?.index === reader.index) {
      const { reason } = retract.part
      // For whoever cannot read that it is unsaid, the answer has broken off.
      return Effect.fail(reader.break((view) => view?.interrupted(reason) ?? brokenOff(reason, this.textTo(reader))))
    }
    reader.see(this)
    // There is one, since it reads before the end.
    const parts = this.buffer.read(reader.index, retract?.index) as Parts
    reader.index += parts.length
    reader.took(parts)
    this.makeRoom()
    return Effect.succeed(parts)
  }

  private end(reader: Participant): PartsPull {
    if (this.failure === undefined) return Cause.done()
    // What flows can fail with nothing else.
    const failure = this.failure as Cause.Cause<StreamInterrupted>
    reader.ended(Cause.hasInterruptsOnly(failure) ? "interrupted" : "StreamInterrupted")
    return Effect.failCause(failure)
  }

  /** The text that a reader has been handed. */
  textTo(reader: Participant): string {
    return this.buffer.textTo(reader.index, () => this.recorder.serving?.partial() ?? "")
  }
}

const brokenOff = (reason: StreamInterrupted["reason"], partial: string): StreamInterrupted =>
  new StreamInterrupted({ partial: Redacted.make(partial), reason })
