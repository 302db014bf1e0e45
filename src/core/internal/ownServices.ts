/**
 * What a service of `effect/ai` that is served by us keeps of where it was made, and what it takes from its caller.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Random from "effect/Random"
import * as Tracer from "effect/Tracer"
import * as Attribution from "../Attribution.ts"
import { Observer } from "../Receipt.ts"
import { Alerts, Live, Propagates, Telemetry, Within } from "./instrument.ts"

/**
 * Completes a caller's context with the upstreams that the service was made with: a caller that has others of the same name must not
 * reach them by accident. Whatever else is ambient (for whom, observed by whom, at what time, within which span) is the caller's.
 */
export const ownServices = <R>(
  context: Context.Context<R>
): (current: Context.Context<never>) => Context.Context<R> => {
  const own = Context.omit(
    Tracer.ParentSpan,
    Attribution.Current,
    Observer,
    Clock.Clock,
    Random.Random,
    Telemetry,
    Live,
    Alerts,
    Within,
    Propagates
  )(context)
  // (None of these is something that we ask for, so taking them out leaves `R` as it was.)
  return (current) => Context.merge(current, own as Context.Context<R>)
}
