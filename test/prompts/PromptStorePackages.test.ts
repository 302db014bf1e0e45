/**
 * Packages that are optional, and are not there.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Layer } from "effect"
import { PromptStore } from "effect-bulwark/prompts"
import { vi } from "vitest"
import { build, folder } from "./support/homes.ts"

vi.mock("yaml", () => {
  throw Object.assign(new Error("Cannot find package 'yaml'"), { code: "ERR_MODULE_NOT_FOUND" })
})

describe("without the package `yaml`", () => {
  it.effect("files say so, and how to install it; nothing else does", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const files = PromptStore.layerFiles({ directory }).pipe(Layer.provide(NodeServices.layer))
      const pinned = Effect.provide(PromptStore.pinFiles({ directory }), NodeServices.layer)
      for (const error of [yield* Effect.flip(build(files)), yield* Effect.flip(pinned)]) {
        assert.strictEqual(error._tag, "PromptStoreError")
        assert.include(String(error.cause), "npm install yaml")
      }
      const store = yield* build(PromptStore.layerMemory)
      assert.strictEqual((yield* store.snapshot).prompts.size, 0)
    }))
})
