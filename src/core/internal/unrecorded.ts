/**
 * `effect/ai`'s part in an operation with tools, without traces of its own: it writes the parameters of every call on the span that
 * it finds, and its spans end with failures that quote what the model wrote. What runs within it (the requests, the handlers of the
 * tools) is traced as the caller has it.
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { watchTool } from "./instrument.ts"
import { begun } from "./operation.ts"
import { outcomeOf } from "./recorder.ts"

/** Traces again what is run while traces are off, as a context has it. */
export const tracedAs = (outer: Context.Context<never>) => {
  const enabled = Context.get(outer, References.TracerEnabled)
  return <R>(context: Context.Context<R>): Context.Context<R> => Context.add(context, References.TracerEnabled, enabled)
}

type Tools = Record<string, Tool.Any>

/** The same tools, whose handlers are traced as a context has it. */
export const tracedTools = <E, R>(
  toolkit: LanguageModel.ToolkitInput<Tools, E, R>,
  outer: Context.Context<never>
): Effect.Effect<Toolkit.WithHandler<Tools>, E, R> => {
  const traced = tracedAs(outer)
  const parent = Context.getOption(outer, Tracer.ParentSpan)
  const handled = <A, E2, R2>(
    effect: Effect.Effect<A, E2, R2>,
    params: unknown,
    tool: Tracer.AnySpan | undefined
  ): Effect.Effect<A, E2, R2> =>
    Effect.updateContext(effect, (context: Context.Context<R2>) => {
      const above = tool ?? Option.getOrUndefined(parent)
      if (above === undefined) return traced(context)
      // A span of the tool says which tool it is, in our words.
      const hides = (key: string, value: unknown) => value === params || (tool !== undefined && key === "tool")
      return Context.add(traced(context), Tracer.ParentSpan, without(above, hides))
    })
  // From the call until its last result.
  const watched = <A, E2, R2, E3, R3>(
    called: (span?: Tracer.Span) => Effect.Effect<Stream.Stream<A, E2, R2>, E3, R3>,
    name: string
  ): Effect.Effect<Stream.Stream<A, E2, R2>, E3, R3> =>
    begun((fiber, restore) => {
      const tool = watchTool(fiber, name, outer)
      if (tool === undefined) return restore(called())
      const end = (exit: Exit.Exit<unknown, unknown>) => Effect.sync(() => tool.ended(outcomeOf(exit)))
      return Effect.onExit(
        Effect.map(restore(called(tool.span)), (results) => Stream.onExit(results, end)),
        (exit) => Exit.isFailure(exit) ? end(exit) : Effect.void
      )
    })
  // A toolkit is an effect: of its tools together with their handlers.
  const resolved: Effect.Effect<Toolkit.WithHandler<Tools>, E, R> = Effect.isEffect(toolkit)
    ? toolkit
    : Effect.succeed(toolkit)
  return Effect.map(resolved, (kit) => ({
    ...kit,
    handle: (name, params, ...rest) =>
      watched(
        (span) => handled(kit.handle(name, params, ...rest), params, span),
        // What is not in the toolkit is the model's word.
        Object.hasOwn(kit.tools, name) ? name : "unknown"
      )
  }))
}

/** A span that takes every attribute but some. It is the same span for all that look at it. */
const without = (span: Tracer.AnySpan, hides: (key: string, value: unknown) => boolean): Tracer.AnySpan =>
  span._tag === "ExternalSpan" ? span : new Proxy(span, {
    get: (target, key) => {
      if (key === "attribute") {
        return (name: string, value: unknown) => hides(name, value) ? undefined : target.attribute(name, value)
      }
      const value: unknown = Reflect.get(target, key)
      return typeof value === "function" ? value.bind(target) : value
    }
  })
