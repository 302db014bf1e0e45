/**
 * The span of a tool that a model has called.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type { ToolWatch } from "../../core/internal/instrument.ts"
import { attributes } from "../Conventions.ts"
import { errorType, outcomeLabel, shown } from "./labels.ts"
import { Spans } from "./span.ts"

const operation = "execute_tool"

export const toolSpan = (name: string, caller: Context.Context<never>): ToolWatch | undefined => {
  const spans = Spans.of(caller, Context.get(caller, Clock.Clock))
  if (spans === undefined) return undefined
  const span = spans.outermost(caller, `${operation} ${name}`)
  span.attribute(attributes.operationName.key, operation)
  span.attribute(attributes.toolName.key, shown(name))
  return {
    span,
    ended: (outcome) => {
      span.attribute(attributes.outcome.key, outcomeLabel(outcome))
      const type = errorType(outcome)
      if (type !== undefined) span.attribute(attributes.errorType.key, type)
      // What a tool fails with is the application's, and so are its words.
      spans.end(span, outcome, undefined)
    }
  }
}
