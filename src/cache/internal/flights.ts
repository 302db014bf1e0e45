/**
 * The flights of a program by key: who begins one, who joins one, and how one is run.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Call } from "../../core/Call.ts"
import { toPull } from "../../core/internal/pull.ts"
import type { Opened } from "../../core/Opened.ts"
import { reportUnhandled } from "../../policies/internal/reportUnhandled.ts"
import { Flight, type Tower } from "./flight.ts"
import type { Hooks, Shared } from "./flightAnswer.ts"
import { type Asked, Participant } from "./flightParticipant.ts"

/** The flights that the fiber is a part of: it would wait for itself if it joined one of them. */
const Aboard = Context.Reference<ReadonlyArray<Flight>>("effect-bulwark/cache/internal/Aboard", {
  defaultValue: () => []
})

export class Flights implements Tower {
  readonly maxBytes: number
  private readonly scope: Scope.Scope
  /** Those that can be joined. */
  private readonly open_ = new Map<string, Flight>()
  /** Those that have not ended, whether or not they can be joined. */
  private readonly all = new Set<Flight>()

  constructor(scope: Scope.Scope, maxBytes: number) {
    this.scope = scope
    this.maxBytes = maxBytes
  }

  get size(): number {
    return this.all.size
  }

  closeOff(flight: Flight): void {
    if (this.open_.get(flight.key) === flight) this.open_.delete(flight.key)
  }

  open<E, R>(
    key: string,
    call: Call,
    begin: (call: Call) => Effect.Effect<Opened, E, R | Scope.Scope>,
    hooks: Hooks | undefined
  ): Effect.Effect<Shared, E, R | Scope.Scope> {
    const alone = Effect.suspend(() => Effect.map(begin(call), (opened): Shared => ({ opened, joined: false })))
    if (call.single || call.continues !== undefined) return alone
    return Effect.contextWith((context: Context.Context<R | Scope.Scope>) => {
      const aboard = Context.get(context, Aboard)
      const found = this.open_.get(key)
      if (found !== undefined && aboard.includes(found)) return alone
      const participant = new Participant({
        call,
        context,
        begin: (call, scope) => Effect.provideContext(begin(call), Context.add(context, Scope.Scope, scope)),
        hooks
      })
      // Who has come aboard leaves again, whenever it is interrupted.
      return Effect.uninterruptibleMask((restore) =>
        Effect.andThen(
          Effect.addFinalizer(() => participant.leave),
          Effect.andThen(
            this.board(key, participant),
            Effect.onExit(
              Effect.map(
                // Whoever began it has the same key, and so the same failures.
                restore(participant.await as Effect.Effect<Opened, E>),
                (opened): Shared => ({ opened, joined: participant.joined })
              ),
              (exit) => Exit.isFailure(exit) ? participant.leave : Effect.void
            )
          )
        )
      )
    })
  }

  /** Joins the flight of the key, or begins it. */
  private board(key: string, ...participants: readonly [Participant, ...Array<Participant>]): Effect.Effect<void> {
    const found = this.open_.get(key)
    if (found?.isOpen === true) {
      for (const participant of participants) found.add(participant)
      return Effect.void
    }
    // Who has the most time makes the call.
    const leader = participants.reduce((a, b) => b.until > a.until ? b : a)
    const flight = new Flight(key, leader, this)
    this.open_.set(key, flight)
    this.all.add(flight)
    for (const participant of participants) {
      if (participant !== leader) flight.add(participant)
    }
    return this.depart(flight, leader.asked)
  }

  private depart(flight: Flight, { context }: Asked): Effect.Effect<void> {
    const departed: Effect.Effect<void> = Effect.suspend(() => {
      if (flight.isCancelled || this.scope.state._tag === "Closed") {
        flight.ended(Cause.interrupt())
        return this.land(flight)
      }
      return Effect.map(
        Effect.forkIn(this.run(flight), this.scope, { startImmediately: true, uninterruptible: true }),
        (fiber) => flight.runsIn(fiber)
      )
    })
    // All that is ambient is the leader's, also where it is begun by whoever has failed before.
    return Effect.updateContext(departed, (_: Context.Context<never>) => context)
  }

  /** The whole of a flight, in a fiber of its own. Only what happens upstream, and what is told at the end, can be interrupted. */
  private run(flight: Flight): Effect.Effect<void> {
    const { begin, context } = flight.leader.asked
    const upstream = (scope: Scope.Scope) =>
      Effect.provideService(
        Effect.flatMap(begin(flight.call, scope), (opened): Effect.Effect<void, unknown> => {
          if (opened._tag === "Flow") {
            return Effect.flatMap(Scope.provide(toPull(opened.parts), scope), (pull) => flight.receive(pull))
          }
          flight.receiveWhole(opened.parts)
          return Effect.void
        }),
        Aboard,
        [...Context.get(context, Aboard), flight]
      )
    return Effect.suspend(() => {
      const scope = Scope.makeUnsafe()
      return Effect.flatMap(Effect.exit(Effect.interruptible(upstream(scope))), (exit) => {
        flight.ended(Exit.isFailure(exit) ? exit.cause : undefined)
        return Effect.flatMap(Effect.exit(Scope.close(scope, exit)), (closed) => {
          // As in any call: what dies while it is closed is the end of it.
          if (Exit.isFailure(closed)) flight.ended(closed.cause)
          return this.land(flight)
        })
      })
    })
  }

  private land(flight: Flight): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { answer } = flight
      const whole = flight.leader.asked.hooks?.whole
      const answered = Effect.suspend(() => {
        const [first, ...rest] = flight.settle()
        return first === undefined ? Effect.void : this.board(flight.key, first, ...rest)
      })
      const over = Effect.sync(() => {
        this.closeOff(flight)
        this.all.delete(flight)
      })
      if (answer === undefined || whole === undefined) return Effect.andThen(answered, over)
      // Begun before anybody is answered, so that what takes no time is done by then, and waited for afterwards.
      const telling = Effect.forkChild(Effect.interruptible(Effect.suspend(() => whole(answer))), {
        startImmediately: true
      })
      return Effect.flatMap(telling, (fiber) =>
        Effect.andThen(
          Effect.andThen(
            answered,
            Effect.catchCause(
              Effect.onInterrupt(Effect.interruptible(Fiber.join(fiber)), () => Fiber.interrupt(fiber)),
              (cause) =>
                Cause.hasInterruptsOnly(cause)
                  ? Effect.void
                  : reportUnhandled("SingleFlight: what was to be done with an answer has died", cause)
            )
          ),
          over
        ))
    })
  }
}
