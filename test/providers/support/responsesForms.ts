/**
 * Answers of the Responses API in all the forms in which a server may send them.
 */
import { assert } from "@effect/vitest"
import { Part } from "effect-bulwark"
import { OpenAiResponses } from "effect-bulwark/providers"
import * as Effect from "effect/Effect"
import { asking } from "./ask.ts"
import * as Wire from "./responsesWire.ts"

export const { failure, streamed, whole } = asking(OpenAiResponses.make("p", {}))

/** The last event of an answer. */
const ending = (output: ReadonlyArray<object>, rest: { readonly status?: string | undefined } = {}): string =>
  Wire.event({ type: `response.${rest.status ?? "completed"}`, response: Wire.response(output, rest) })

/** The items as a server streams them that says everything of them at every chance. */
export const events = (output: ReadonlyArray<object>, last = ending(output), first: object = {}): string =>
  Wire.created(first) + output.map((item, index) => Wire.added(index, item) + Wire.done(index, item)).join("") + last

/** The same items in every form in which a server may send them. */
export const forms = (
  output: ReadonlyArray<object>,
  rest: { readonly status?: string; readonly store?: boolean; readonly [field: string]: unknown } = {}
) =>
  Effect.gen(function*() {
    const answer = Wire.answer(output, rest)
    const folded = yield* whole(answer)
    const sent = {
      "an answer instead of a stream": answer,
      "a stream of nothing but its end": ending(output, rest),
      "a stream of items": events(output, ending(output, rest), { store: rest.store }),
      "a stream whose end has no output": events(output, ending([], rest), { store: rest.store })
    }
    for (const [form, body] of Object.entries(sent)) {
      assert.deepStrictEqual(Part.toAnswer(yield* streamed(body)), folded, form)
      assert.deepStrictEqual(yield* whole(body), folded, `${form}, whole`)
    }
    return folded
  })

/** What an answer's part has in its metadata. */
export const own = (part: { readonly metadata?: { readonly [provider: string]: unknown } | undefined } | undefined) =>
  (part?.metadata?.["openai"] ?? {}) as { readonly [field: string]: unknown }

export const openai = (fields: object) => ({ metadata: { openai: fields } })
