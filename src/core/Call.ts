/**
 * One logical call in flight: what policies see, change and hand on.
 *
 * A call is made once an operation and passed down through the policies to a provider. A policy changes it by passing on a
 * copy: a nearer deadline, the number of the attempt, other settings.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Attribution } from "./Attribution.ts"
import type {
  BudgetExceeded,
  ContextLengthExceeded,
  InvalidRequest,
  StoreUnavailable,
  UnknownPrice
} from "./internal/errors.ts"
import type { Cost, Recorder } from "./internal/recorder.ts"
import { mergeSettings, type Request, type Settings, type Target } from "./internal/request.ts"
import type { PromptReference } from "./PromptReference.ts"
import type { Usage } from "./Usage.ts"

export {
  /**
   * What a request has cost.
   *
   * @category models
   * @since 0.1.0
   */
  type Cost,
  /**
   * Combines two settings: what the second one sets wins, extra fields are merged.
   *
   * @category combining
   * @since 0.1.0
   */
  mergeSettings,
  /**
   * What is asked of a model, in `effect/ai`'s vocabulary.
   *
   * @category models
   * @since 0.1.0
   */
  type Request,
  /**
   * Request parameters that models share. What is absent is left to the provider's default.
   *
   * @category models
   * @since 0.1.0
   */
  type Settings,
  /**
   * A model of a provider, as receipts, plans and errors name it.
   *
   * @category models
   * @since 0.1.0
   */
  type Target
}

/**
 * What a provider said of one of its limits when it answered.
 *
 * @category models
 * @since 0.1.0
 */
export interface RateLimit {
  /** What is limited, in the provider's word: `requests`, `tokens`, `input-tokens`, ... */
  readonly resource: string
  /** How much there is in a whole window. */
  readonly limit: number | undefined
  /** How much is left of it. */
  readonly remaining: number | undefined
  /** When it is whole again, in milliseconds since 1970. */
  readonly resetsAt: number | undefined
}

/**
 * Permission for calls beyond the one that every operation makes: retries and hedges.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExtraCalls {
  /** Takes permission for one more call; false where there is none left. */
  readonly withdraw: Effect.Effect<boolean>
}

/**
 * One request that is about to be sent: what an {@link Account} is asked about.
 *
 * @category models
 * @since 0.1.0
 */
export interface Asked {
  /** The name of the provider service. */
  readonly provider: string
  /** The provider's name for the model. */
  readonly model: string
  /** What it is asked, with all settings. */
  readonly request: Request
  /** How the provider is asked: whether the parts of the answer are seen as they arrive. */
  readonly transport: Call["transport"]
}

/**
 * How a request has ended, as far as it matters to an {@link Account}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ending {
  /** Whether it was sent. */
  readonly sent: boolean
  /** Whether all of the answer has arrived. */
  readonly whole: boolean
  /** What the provider says it used. */
  readonly usage: Usage | undefined
  /** All that has arrived of an answer, as text. */
  readonly seen: () => string
  /** What it has failed with; nothing where it is whole, was interrupted, or died. */
  readonly error: unknown
}

/**
 * One request in the books of an {@link Account}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Charge {
  /** Holds the most that it can cost, and gives the settings to send it with: they bound the answer. */
  readonly reserve: Effect.Effect<Settings, BudgetExceeded | StoreUnavailable | UnknownPrice>
  /** Books what it has cost, and lets go what was held. The first time counts, and it may come at any time. */
  readonly settle: (ending: Ending) => Effect.Effect<Cost>
}

/**
 * Who pays for requests: asked before each that is sent, retries, hedges and fallbacks among them, and told how it ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Account {
  /** Begins a charge. Nothing is held until it is told to reserve. */
  readonly charge: (asked: Asked) => Charge
}

/**
 * What a provider reports while a call is being opened, for policies that watch the time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pulse {
  /** A request is about to be sent. */
  readonly attempt: () => void
  /** The response has begun, with a status and headers: with what the provider says of its limits. */
  readonly response: (limits: ReadonlyArray<RateLimit>) => void
  /** Parts have arrived; `content` when there was content among them. */
  readonly parts: (content: boolean) => void
  /** The request has failed: whatever comes next, it is no part of this one. */
  readonly failed: () => void
}

/**
 * Looks at what a model is about to be asked, with all settings, and hands on the same request, another one, or a refusal.
 *
 * **When to use**
 *
 * For policies whose word depends on the model, wherever they stand: around a fallback, each model has the request prepared for
 * itself. The failures are those that a model has anyway, and are dealt with where the model's are.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prepare {
  (target: Target, request: Request): Effect.Effect<Request, ContextLengthExceeded | InvalidRequest>
}

/**
 * One logical call in flight.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  /** The id of the operation. */
  readonly id: string
  /** Whether opening ends with the `whole` answer or with the first content part of a `stream`. */
  readonly mode: "whole" | "stream"
  /**
   * How to ask the provider. A whole answer is streamed from the provider when a policy has to see its parts arrive, and
   * collected before opening ends.
   */
  readonly transport: "whole" | "stream"
  /** What is asked. */
  readonly request: Request
  /**
   * When the call must be over, in milliseconds since 1970. Whoever sets it ends the call when it passes; all others start
   * nothing that it leaves no time for.
   */
  readonly deadline: number | undefined
  /** When the call must have opened, in milliseconds since 1970, so that what comes after it still has time. As above. */
  readonly openBy: number | undefined
  /** How many times the innermost retry around it has tried before: 0 for the first attempt. */
  readonly attempt: number
  /** Who it is made for. */
  readonly attribution: Attribution
  /** Which version of which prompt it is made with, where it comes from a registry. */
  readonly prompt: PromptReference | undefined
  /** Whether only one request may be sent: it is a probe, and retries and hedges hold still. */
  readonly single: boolean
  /** Where retries and hedges ask for permission; they need none where it is absent. */
  readonly extraCalls: ExtraCalls | undefined
  /** Who pays for its requests; nobody keeps books where it is absent. */
  readonly account: Account | undefined
  /** Whether the consumer of a stream understands a `retract` part. */
  readonly retractable: boolean
  /** The text that the request ends with and the model is to go on from; it has been delivered already. */
  readonly continues: string | undefined
  /** What every model has its request pass before it sends it. */
  readonly prepare: Prepare | undefined
  /** Listens to the arrival of parts. */
  readonly pulse: Pulse | undefined
  /** The receipt under construction. */
  readonly recorder: Recorder
}
