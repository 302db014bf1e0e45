/**
 * What the providers under test are asked.
 */
import { assert } from "@effect/vitest"
import { Llm, type LlmError } from "effect-bulwark"
import { Provider } from "effect-bulwark/providers"
import * as Prompt from "effect/ai/Prompt"
import * as Result from "effect/Result"

/** The provider under test, and its model. */
export class P extends Provider.Service<P>()("p") {}

export const llm = Llm.model(P, "model-x")

/** What a provider is asked where it does not matter, but for `rest`. */
export const request = (rest: Partial<Provider.Request> = {}): Provider.Request => ({
  model: "model-x",
  prompt: Prompt.make("Hello?"),
  tools: [],
  toolChoice: "auto",
  responseFormat: { type: "text" },
  settings: {},
  ...rest
})

/** Writes requests as a protocol does, and gives the body, or the refusal. */
export const writing = <Encoded>() =>
<Dialect>(
  encodeRequest: (
    provider: string,
    request: Provider.Request,
    dialect: Dialect,
    stream: boolean
  ) => Result.Result<string, LlmError.InvalidRequest>,
  dialect: Dialect,
  model = "m"
) => {
  const written = (rest: Partial<Provider.Request>, own: Partial<Dialect>, stream: boolean) =>
    encodeRequest("p", request({ model, ...rest }), { ...dialect, ...own }, stream)

  return {
    encode: (rest: Partial<Provider.Request>, own: Partial<Dialect> = {}, stream = false): Encoded => {
      const body = written(rest, own, stream)
      if (Result.isFailure(body)) throw body.failure
      return JSON.parse(body.success) as Encoded
    },
    refuse: (rest: Partial<Provider.Request>, own: Partial<Dialect> = {}): LlmError.InvalidRequest => {
      const body = written(rest, own, false)
      assert(Result.isFailure(body), "it is encoded")
      return body.failure
    }
  }
}
