/**
 * What the calls of all tables ask for: tools, a schema, and files.
 */
import * as Tool from "effect/ai/Tool"
import * as Schema from "effect/Schema"

export const Weather = Tool.make("weather", {
  description: "Tells the weather.",
  parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Finite) })
})

/** The same, held to its schema by the provider. */
export const StrictWeather = Weather.annotate(Tool.Strict, true)

/** It takes nothing and says nothing of itself. */
export const Clock = Tool.make("clock")

export const Search = Tool.dynamic("search", {
  description: "Searches for it.",
  parameters: {
    type: "object",
    properties: { query: { type: "string" }, filters: { anyOf: [{ type: "null" }, { type: "string" }] } },
    required: ["query"]
  }
})

export const City = Schema.Struct({
  name: Schema.String.annotate({ description: "Its name in English." }),
  kind: Schema.Literals(["capital", "other"]),
  rivers: Schema.Array(Schema.String),
  mayor: Schema.NullOr(Schema.Struct({ name: Schema.String })),
  inhabitants: Schema.optionalKey(Schema.Finite)
})

/** One pixel, more or less. */
export const png = new Uint8Array([137, 80, 78, 71])

export const pngBase64 = "iVBORw=="

export const pdfBase64 = "JVBERi0="

/** Words that encoders are known to spoil. */
export const unicode = "Grüße, 世界 👩‍👩‍👧 \u2028 \"quoted\" \\ \u0007 \uFFFD e\u0301"

/** The schemas of the above, as they are sent. */
export const weatherSchema = {
  type: "object" as const,
  properties: { city: { type: "string" }, days: { type: "number" } },
  required: ["city"],
  additionalProperties: true
}

/** Where all is required, what may be absent may be null. */
export const strictWeatherSchema = {
  type: "object" as const,
  properties: { city: { type: "string" }, days: { anyOf: [{ type: "number" }, { type: "null" }] } },
  required: ["city", "days"],
  additionalProperties: false
}

export const clockSchema = { type: "object" as const, properties: {}, additionalProperties: false }

export const searchSchema = {
  type: "object" as const,
  properties: { query: { type: "string" }, filters: { anyOf: [{ type: "null" }, { type: "string" }] } },
  required: ["query"]
}

export const citySchema = {
  type: "object",
  properties: {
    name: { type: "string", description: "Its name in English." },
    kind: { type: "string", enum: ["capital", "other"] },
    rivers: { type: "array", items: { type: "string" } },
    mayor: {
      anyOf: [
        { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false },
        { type: "null" }
      ]
    },
    inhabitants: { anyOf: [{ type: "number" }, { type: "null" }] }
  },
  required: ["name", "kind", "rivers", "mayor", "inhabitants"],
  additionalProperties: false
}

/** A list is no object, and so it has no strict form. */
export const Rivers = Schema.Array(Schema.String)

export const riversSchema = { type: "array", items: { type: "string" } }
