/**
 * How good answers were, by the version that they were made with.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { PromptReference } from "../../core/PromptReference.ts"
import type { Prompts } from "./registryPrompts.ts"
import type { PromptRefused, PromptStoreError, Score } from "./store.ts"
import { remarks } from "./storeHome.ts"

/**
 * It is not known which prompt an operation was made with, and nothing was scored.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownOperation extends Schema.TaggedError<UnknownOperation>()("UnknownOperation", {
  /** The id of the operation. */
  operationId: Schema.String,
  /** What is wrong, as a sentence. */
  problem: Schema.String,
  /** How to mend it, as a sentence. */
  remedy: Schema.String
}) {
  /**
   * Says what is wrong, and how to mend it.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return `the operation ${JSON.stringify(this.operationId)} cannot be scored: ${this.problem}. ${this.remedy}`
  }
}

export type Scored = string | { readonly operationId: string; readonly prompt?: PromptReference | undefined }

export interface ScoreOptions {
  readonly id?: string | undefined
  readonly by?: string | undefined
  readonly comment?: string | undefined
}

export const score = (
  prompts: Prompts,
  scored: Scored,
  metric: string,
  value: number,
  options: ScoreOptions
): Effect.Effect<Score, UnknownOperation | PromptStoreError | PromptRefused> =>
  Effect.gen(function*() {
    const operationId = typeof scored === "string" ? scored : scored.operationId
    const prompt = typeof scored === "string" ? prompts.recent.find(operationId)?.prompt : scored.prompt
    if (prompt === undefined) {
      return yield* typeof scored === "string"
        ? new UnknownOperation({
          operationId,
          problem: "it is none of the last ones that this registry has run",
          remedy: "Give the receipt of the operation, or what was kept of it: `{ operationId, prompt }`"
        })
        : new UnknownOperation({
          operationId,
          problem: "its receipt names no prompt",
          remedy: "Score operations that were run by the registry"
        })
    }
    const { by, id = [operationId, metric, ...(by === undefined ? [] : [by])].join("/") } = options
    const record: Score = {
      id,
      operationId,
      prompt,
      metric,
      value,
      at: yield* Clock.currentTimeMillis,
      ...remarks({ by, comment: options.comment }, "by", "comment")
    }
    yield* prompts.inTime("score", prompts.options.store.score([record]))
    return record
  })
