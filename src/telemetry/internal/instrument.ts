/**
 * Spans and metrics of operations, as one who watches them.
 */
import * as Clock from "effect/Clock"
import type { Instrument, OperationWatch } from "../../core/internal/instrument.ts"
import type * as Receipt from "../../core/Receipt.ts"
import { type MeterOptions, Meters, OperationMeter } from "./operationMeter.ts"
import { OperationSpan, type SpanOptions } from "./operationSpan.ts"
import { Spans } from "./span.ts"

export interface Settings {
  readonly spans: SpanOptions | undefined
  readonly metrics: MeterOptions | undefined
}

/** A receipt with the costs of requests that nobody has kept account of. */
export type Priced = (receipt: Receipt.Receipt) => Receipt.Receipt

export const makeInstrument = ({ metrics, spans }: Settings, priced: Priced | undefined): Instrument => {
  const meters = metrics === undefined ? undefined : new Meters(metrics, priced !== undefined)
  return {
    operation: (begun, fiber): OperationWatch | undefined => {
      const clock = fiber.getRef(Clock.Clock)
      const tracing = spans === undefined ? undefined : Spans.of(fiber, clock)
      if (tracing === undefined && meters === undefined) return undefined
      const span = tracing === undefined ? undefined : new OperationSpan(tracing, begun, fiber, spans!)
      const meter = meters === undefined ? undefined : new OperationMeter(meters, begun, clock, fiber.context)
      return {
        span: span?.span,
        attempt: (record, request) => {
          const counted = meter?.attempt(record)
          const traced = span?.attempt(record, request)
          return {
            span: traced?.span,
            propagates: traced?.propagates ?? false,
            arrived: (parts, first) => {
              // (Once a part: a span has no interest in the others.)
              if (first) traced?.arrived(parts, first)
              counted?.arrived(parts, first)
            },
            ended: (error) => {
              traced?.ended(error)
              counted?.ended(error)
            }
          }
        },
        decided: (event, to, from) => {
          span?.decided(event, to, from)
          meter?.decided(event, to, from)
        },
        noted: (note) => {
          span?.noted(note)
          meter?.noted(note)
        },
        joined: (other) => span?.joined(other),
        closed: (receipt, ending) => {
          const full = priced === undefined ? receipt : priced(receipt)
          span?.closed(full, ending)
          meter?.closed(full, ending)
        }
      }
    }
  }
}
