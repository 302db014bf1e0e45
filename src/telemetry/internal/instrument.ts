/**
 * Spans and metrics of operations, as one who watches them.
 */
import * as Clock from "effect/Clock"
import { type Instrument, reportOnce, together, unharmed, Within } from "../../core/internal/instrument.ts"
import type * as Receipt from "../../core/Receipt.ts"
import { MetricContexts } from "./meters.ts"
import { type MeterOptions, Meters, OperationMeter } from "./operationMeter.ts"
import { OperationSpan, type SpanOptions } from "./operationSpan.ts"
import { Spans } from "./span.ts"
import { toolSpan } from "./toolSpan.ts"

export interface Settings {
  readonly spans: SpanOptions | undefined
  readonly metrics: MeterOptions | undefined
}

/** A receipt with the costs of requests that nobody has kept account of. */
export type Priced = (receipt: Receipt.Receipt) => Receipt.Receipt

export const makeInstrument = ({ metrics, spans }: Settings, priced: Priced | undefined): Instrument => {
  const meters = metrics === undefined ? undefined : new Meters(metrics, priced !== undefined)
  const contexts = new MetricContexts()
  return {
    tool: spans === undefined ? undefined : toolSpan,
    operation: (begun, fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const tracing = spans === undefined ? undefined : Spans.of(fiber.context, clock)
      if (tracing === undefined && meters === undefined) return undefined
      const report = reportOnce(fiber)
      // A tracer that throws takes no metrics along.
      const watch = together([
        tracing === undefined
          ? undefined
          : unharmed(() => new OperationSpan(tracing, begun, fiber.context, spans!), report),
        meters === undefined
          ? undefined
          : unharmed(() => new OperationMeter(meters, begun, clock, contexts.of(fiber), fiber.getRef(Within)), report)
      ])
      return watch === undefined || priced === undefined
        ? watch
        : { ...watch, closed: (receipt, ending) => watch.closed(priced(receipt), ending) }
    }
  }
}
