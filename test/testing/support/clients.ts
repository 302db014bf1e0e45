/**
 * What the tests of official clients have in common: what is asked, and what becomes of promises.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import OpenAI from "openai"
import * as FaultServer from "../../../src/testing/FaultServer.ts"

export const story =
  "Lighthouses guided ships along the coast for centuries. Keepers lit the lamps at dusk and watched the lamps " +
  "all night. Most lighthouses are automatic today, and the keepers have left the coast. Some of the towers are museums."

export const weatherQuestion = "What is the weather in Paris today?"

/** The parameters of a tool. */
export const weatherParameters = {
  type: "object" as const,
  properties: { city: { type: "string" }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } },
  required: ["city", "unit"],
  additionalProperties: false
}

export const WeatherParameters = Schema.Struct({
  city: Schema.String,
  unit: Schema.Literals(["celsius", "fahrenheit"])
})

export const Summary = Schema.Struct({
  title: Schema.String.check(Schema.isMaxLength(30)),
  keyPoints: Schema.Array(Schema.String).check(Schema.isMinLength(1)),
  mood: Schema.Literals(["calm", "tense"]),
  confidence: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  source: Schema.NullOr(Schema.Struct({ pages: Schema.Int }))
})

export const summarySchema = {
  type: "object",
  properties: {
    title: { type: "string", maxLength: 30 },
    keyPoints: { type: "array", items: { type: "string" }, minItems: 1 },
    mood: { $ref: "#/$defs/mood" },
    confidence: { type: "number", minimum: 0, maximum: 1 },
    source: {
      anyOf: [{ type: "object", properties: { pages: { type: "integer" } }, required: ["pages"] }, { type: "null" }]
    }
  },
  required: ["title", "keyPoints", "mood", "confidence", "source"],
  additionalProperties: false,
  $defs: { mood: { type: "string", enum: ["calm", "tense"] } }
}

class Rejected extends Data.TaggedError("Rejected")<{ readonly cause: unknown }> {}

export const attempt = <A>(run: () => PromiseLike<A>) =>
  Effect.tryPromise({ try: () => run(), catch: (cause) => new Rejected({ cause }) })

/** What a promise is rejected with. */
export const rejection = <A>(run: () => PromiseLike<A>) =>
  Effect.map(Effect.flip(attempt(run)), (rejected) => rejected.cause)

/** All that a stream gives. */
export const collect = async <A>(stream: AsyncIterable<A>): Promise<ReadonlyArray<A>> => {
  const found: Array<A> = []
  for await (const one of stream) found.push(one)
  return found
}

/** OpenAI's client of a server. */
export const openAiOf = (server: FaultServer.FaultServer, apiKey = "test-key") =>
  new OpenAI({ apiKey, baseURL: server.url, maxRetries: 0, logLevel: "off" })

/** What a client's call is rejected with that meets a fault. */
export const failing = <Client>(
  clientOf: (server: FaultServer.FaultServer) => Client,
  ask: (client: Client, streamed: boolean) => PromiseLike<unknown>
) =>
  Effect.fnUntraced(function*(fault: FaultServer.Fault, streamed = false) {
    const client = clientOf(yield* FaultServer.make({ script: { "*": [fault] } }))
    return yield* rejection(() => ask(client, streamed))
  })

/** Faults that break an answer on its way, and whether it is streamed. */
export const breaks: ReadonlyArray<readonly [fault: FaultServer.Fault, streamed: boolean]> = [
  [FaultServer.cutAfter(2), true],
  [FaultServer.cutAfter(2), false],
  [FaultServer.malformedChunkAt(2), true],
  [FaultServer.malformedChunkAt(2), false],
  [FaultServer.truncatedJson, false]
]
