/**
 * Placeholder of the signatures, until the module is written.
 */
import { dual } from "effect/Function"
import * as Llm from "../core/Llm.ts"
import * as Plan from "../core/Plan.ts"

export interface Options {
  readonly times?: number | undefined
}

const placeholder = (name: string): {
  <E2, R2>(that: Llm.Llm<E2, R2>, options?: Options): <E, R>(self: Llm.Llm<E, R>) => Llm.Llm<E, R | R2>
  <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>, options?: Options): Llm.Llm<E, R | R2>
} =>
  dual(
    (args) => Llm.isLlm(args[0]) && Llm.isLlm(args[1]),
    <E, R, E2, R2>(self: Llm.Llm<E, R>, that: Llm.Llm<E2, R2>): Llm.Llm<E, R | R2> =>
      Llm.make({ plan: Plan.policy(name, { children: [self.plan, that.plan] }), open: self.open })
  )

export const restart = placeholder("restart")

const continue_ = placeholder("continue")

export { continue_ as continue }
