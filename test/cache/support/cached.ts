/**
 * Caches of tests: what was asked and how it was answered, and stores that fail when they are told to.
 */
import { Effect, Layer } from "effect"
import { Llm, type Receipt } from "effect-bulwark"
import { Cache, CacheStore } from "effect-bulwark/cache"
import { ScriptedProvider } from "effect-bulwark/testing"
import { OpenAi, question } from "../../core/support/stack.ts"

/** A provider that says how often it was asked. */
export const counting = (options?: ScriptedProvider.AnswerOptions) =>
  ScriptedProvider.make(OpenAi, (_, index) => ScriptedProvider.text(`answer ${index + 1}`, options))

/** What an operation gave, and what the cache did for it. */
export const ask = <E, R>(llm: Llm.Llm<E, R>, prompt = question.prompt) =>
  Effect.map(Llm.generateText(llm, { prompt }), ({ receipt, text }) => said(receipt, text))

export const said = (receipt: Receipt.Receipt, text: string): string => `${receipt.cache}: ${text}`

export type Fault = "fails" | "is silent" | undefined

type Operation = CacheStore.CacheStoreError["operation"]

/** A store that fails, or does not answer, where it is told to, and tells what it was asked. */
export const faulty = (home: Layer.Layer<CacheStore.CacheStore> = CacheStore.layerMemory()) => {
  const faults: { [Key in Operation]?: Fault } = {}
  const asked: Array<Operation> = []
  const step = <A>(
    operation: Operation,
    effect: Effect.Effect<A, CacheStore.CacheStoreError>
  ): Effect.Effect<A, CacheStore.CacheStoreError> =>
    Effect.suspend(() => {
      asked.push(operation)
      switch (faults[operation]) {
        case undefined:
          return effect
        case "fails":
          return Effect.fail(new CacheStore.CacheStoreError({ operation, cause: new Error("so the test says") }))
        case "is silent":
          return Effect.never
      }
    })
  const layer = Layer.effect(
    CacheStore.CacheStore,
    Effect.map(CacheStore.CacheStore, (store) =>
      CacheStore.CacheStore.of({
        lookup: (key, tags) => step("lookup", store.lookup(key, tags)),
        write: (key, value, options) => step("write", store.write(key, value, options)),
        remove: (key) => step("remove", store.remove(key)),
        invalidate: (tag) => step("invalidate", store.invalidate(tag)),
        clear: step("clear", store.clear),
        lease: (key, holder, duration) => step("lease", store.lease(key, holder, duration)),
        release: (key, holder) => step("release", store.release(key, holder)),
        statistics: step("statistics", store.statistics)
      }))
  ).pipe(Layer.provide(home))
  /** A cache over it. */
  const cache = Cache.layer().pipe(Layer.provideMerge(layer))
  return {
    faults,
    asked,
    layer,
    cache,
    all: (fault: Fault) => {
      for (const operation of CacheStore.CacheStoreError.fields.operation.literals) faults[operation] = fault
    }
  }
}
