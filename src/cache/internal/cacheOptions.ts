/**
 * What can be said to a cache: around which calls, and for one of them. `../Cache.ts` hands these on.
 */
import type * as Duration from "effect/Duration"
import type { Call } from "../../core/Call.ts"
import type { LlmError } from "../../core/LlmError.ts"
import type { MicroUsd } from "../../core/Money.ts"
import type { ProviderPart } from "../../core/Part.ts"
import type { Usage } from "../../core/Usage.ts"

/** An answer that may be kept. */
export interface Candidate {
  readonly provider: string
  readonly model: string
  /** Why it ended, in `effect/ai`'s word: `stop`, `length`, `tool-calls`, ... */
  readonly finishReason: string
  /** Whether it calls tools, or asks to be allowed to. */
  readonly callsTools: boolean
  /** Its text. */
  readonly text: string
  readonly parts: ReadonlyArray<ProviderPart>
  readonly usage: Usage | undefined
  readonly cost: MicroUsd | undefined
}

export interface Options {
  /** How long an answer is fresh: from when it was there, to the millisecond, at which it no longer is. */
  readonly timeToLive: Duration.Input
  /**
   * Who shares answers: the calls of one tenant (`tenant`, the default), of one user of a tenant (`user`), all (`public`), or those for
   * which a function gives the same name. A call that has none (no user, or `undefined`) passes by the cache. Calls without a tenant share
   * among themselves.
   */
  readonly scope?: "tenant" | "user" | "public" | ((call: Call) => string | undefined) | undefined
  /** For how long after that it is still given, at once, while a new one is asked for behind it. Default: not at all. */
  readonly staleWhileRevalidate?: Duration.Input | undefined
  /**
   * For how long after its time to live it is given where no new one is to be had for now: the failure is transient, a circuit is open
   * because of such failures, or all models failed and one of them so. Default: not at all.
   */
  readonly staleIfError?: Duration.Input | undefined
  /**
   * Whether an answer may be asked for anew a little before its time is over, by chance, behind the one that is given: the longer it takes
   * to get, the earlier. `beta` (1 with `true`) makes it earlier or later. Default: no.
   */
  readonly earlyRefresh?: boolean | { readonly beta: number } | undefined
  /**
   * Which answers are kept. Default: those that the model has ended by itself (finish reason `stop`), and that call no tools. Whatever
   * it says, an answer is not kept that is not whole, was withheld by a content policy, comes from no model, or does not decode as the
   * object that was asked for.
   */
  readonly cacheable?: ((candidate: Candidate) => boolean) | undefined
  /** Whether answers that call tools are kept too, where `cacheable` does not decide. Default: no. */
  readonly toolCalls?: boolean | undefined
  /** Failures that are kept, by tag, and for how long: whoever asks again fails at once. Default: none. */
  readonly negative?:
    | { readonly errors: ReadonlyArray<LlmError["_tag"]>; readonly timeToLive: Duration.Input }
    | undefined
  /** How a kept answer is streamed: all `atOnce` (the default), or a part `every` so often. The parts are those of the model. */
  readonly replay?: "atOnce" | { readonly every: Duration.Input } | undefined
  /** Names by which answers can be invalidated, of documents say. They are a part of the key. */
  readonly tags?: ReadonlyArray<string> | ((call: Call) => ReadonlyArray<string>) | undefined
  /**
   * What the key is made of in the place of the messages, tools, choice and format, as JSON; `undefined` passes by the cache. Scope,
   * models, settings, prompt version and tags stay in it. What it leaves out makes no difference to what is answered.
   */
  readonly key?: ((call: Call) => unknown) | undefined
  /**
   * What happens when the store fails, or does not answer in time: the call goes on as if nothing had been found (`allow`, the default),
   * or fails with `StoreUnavailable` before anything is sent (`fail`). Either way it is logged, at `References.UnhandledLogLevel`.
   */
  readonly onStoreError?: "allow" | "fail" | undefined
  /** How long to wait for the store each time. Default: 250 milliseconds. */
  readonly storeTimeout?: Duration.Input | undefined
  /**
   * Whether calls for the same answer that are under way at once share one. `waitForOthers` is how long a process waits, at most, for one
   * that was there first, before it asks itself (default: 10 seconds, and never more than half of the time the call has left; 0 for not at
   * all); `lease` is how long the others may think so of one that died (default: 2 minutes). Default: yes.
   */
  readonly coalesce?:
    | boolean
    | {
      readonly waitForOthers?: Duration.Input | undefined
      readonly lease?: Duration.Input | undefined
    }
    | undefined
}

/** What one call wants of the cache. */
export interface Directive {
  /**
   * - `skip`: pass by it. Nothing is read, shared or written.
   * - `refresh`: ask a model, and nobody else's call, and keep the answer.
   * - `readOnly`: what is found is given, and what is not is asked for and not kept.
   * - `writeOnly`: do not look; ask a model, or share a call that is under way, and keep the answer.
   *
   * Default: read and write.
   */
  readonly mode?: "default" | "skip" | "refresh" | "readOnly" | "writeOnly" | undefined
  /** The greatest age of an answer that is good enough, fresh or stale. */
  readonly maximumAge?: Duration.Input | undefined
  /** Names by which the answer can be invalidated, beside those of the policy. They are a part of the key. */
  readonly tags?: ReadonlyArray<string> | undefined
}
