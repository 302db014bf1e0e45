/**
 * Where prompts are kept: their versions, the labels that point to them, experiments, and scores.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  type Entry,
  type ExperimentRecord,
  type ExperimentSave,
  type LabelEvent,
  type LabelMove,
  type Problem,
  PromptConflict,
  PromptRefused,
  PromptStore,
  PromptStoreError,
  type Score,
  type ScoreQuery,
  type ScoreTotal,
  type Snapshot
} from "./internal/store.ts"
import { makeStore } from "./internal/storeHome.ts"
import { makeHome as makeMemoryHome } from "./internal/storeMemory.ts"

export {
  type Entry,
  type ExperimentRecord,
  type ExperimentSave,
  type LabelEvent,
  type LabelMove,
  type Problem,
  PromptConflict,
  PromptRefused,
  PromptStore,
  PromptStoreError,
  type Score,
  type ScoreQuery,
  type ScoreTotal,
  type Snapshot
}

/**
 * Keeps prompts in the process.
 *
 * **When to use**
 *
 * Use in tests, and over the files of a project while it is developed.
 *
 * **Details**
 *
 * Of scores it keeps the last 100,000.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<PromptStore> = Layer.effect(PromptStore, Effect.map(makeMemoryHome, makeStore))
