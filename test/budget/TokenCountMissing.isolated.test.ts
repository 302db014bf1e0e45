import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TokenCount } from "effect-bulwark/budget"
import { vi } from "vitest"

vi.mock("gpt-tokenizer/encoding/o200k_base", () => {
  throw new Error("Cannot find package 'gpt-tokenizer'")
})

it.effect("a package that is missing is a failure of the layer, which says how to mend it", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Effect.scoped(Layer.build(TokenCount.layer())))
    assert.strictEqual(error._tag, "EncodingUnavailable")
    assert.include(error.message, "npm install gpt-tokenizer")
    assert.include(error.message, "TokenCount.layerEstimate")
  }))
