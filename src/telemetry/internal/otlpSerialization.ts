/**
 * OTLP without the one attribute that is no attribute: metrics carry their unit as one, for exporters to take it from.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"

type Data = Parameters<OtlpSerialization.OtlpSerialization["Service"]["metrics"]>[0]

export const layerSerialization = (
  protocol: "protobuf" | "json"
): Layer.Layer<OtlpSerialization.OtlpSerialization> =>
  Layer.effect(
    OtlpSerialization.OtlpSerialization,
    Effect.map(OtlpSerialization.OtlpSerialization, (inner) => ({
      ...inner,
      metrics: (data) => inner.metrics(withoutUnits(data))
    }))
  ).pipe(Layer.provide(protocol === "json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf))

const withoutUnits = (data: Data): Data => ({
  ...data,
  resourceMetrics: data.resourceMetrics?.map((resource) => ({
    ...resource,
    scopeMetrics: resource.scopeMetrics.map((scope) => ({
      ...scope,
      metrics: scope.metrics.map((metric) => ({
        ...metric,
        ...points("sum", metric.sum),
        ...points("gauge", metric.gauge),
        ...points("histogram", metric.histogram)
      }))
    }))
  }))
})

interface Points {
  readonly dataPoints: ReadonlyArray<{ readonly attributes?: ReadonlyArray<{ readonly key: string }> }>
}

/** What metrics of one kind have measured, without the attribute. */
const points = (kind: string, measured: Points | undefined) =>
  measured === undefined ? undefined : {
    [kind]: {
      ...measured,
      dataPoints: measured.dataPoints.map((point) => ({
        ...point,
        attributes: point.attributes?.filter(({ key }) => key !== "unit") ?? []
      }))
    }
  }
