/**
 * A toolkit whose handlers succeed, fail, and are wrong, as a test needs it.
 */
import { Context, Effect, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

export class UnknownCity extends Schema.TaggedError<UnknownCity>()("UnknownCity", { city: Schema.String }) {}

/** What the handlers need. */
export class Station extends Context.Service<Station, {
  readonly celsius: (city: string) => Effect.Effect<number, UnknownCity>
}>()("test/Station") {}

export const Weather = Tool.make("Weather", {
  description: "The weather in a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ celsius: Schema.Finite }),
  failure: UnknownCity,
  failureMode: "error"
})

export const Forecast = Tool.make("Forecast", {
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.String,
  failure: UnknownCity,
  failureMode: "return"
})

export const toolkit = Toolkit.make(Weather, Forecast)

export const handlers = toolkit.toLayer(Effect.map(Station, (station) => ({
  Weather: ({ city }) => Effect.map(station.celsius(city), (celsius) => ({ celsius })),
  Forecast: ({ city }) => Effect.map(station.celsius(city), (celsius) => `${celsius + 1} °C tomorrow`)
})))

/** Knows Paris, and that is all. */
export const station = Station.of({
  celsius: (city) =>
    city === "Paris"
      ? Effect.succeed(21)
      : city === "Nowhere"
      ? Effect.succeed(NaN)
      : Effect.fail(new UnknownCity({ city }))
})
