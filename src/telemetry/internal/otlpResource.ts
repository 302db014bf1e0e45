/**
 * Who it is that exports over OTLP, where nobody has said: OpenTelemetry has a word for that, and `effect/observability` dies of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Otlp from "effect/observability/Otlp"
import * as OtlpResource from "effect/observability/OtlpResource"

type Resource = Parameters<typeof Otlp.layer>[0]["resource"]

const unknown = "unknown_service"

/** The resource with a name, unless it has one, or the environment does. */
export const named = (resource: Resource): Effect.Effect<Resource> =>
  Effect.map(
    Effect.exit(OtlpResource.fromConfig(resource)),
    // What else may be wrong with the environment is wrong with a name too, and comes to light there.
    (exit) => Exit.isSuccess(exit) ? resource : { ...resource, serviceName: unknown }
  )
