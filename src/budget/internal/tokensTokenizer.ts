/**
 * `effect/ai`'s tokenizer over a meter. The one that `Tokenizer.make` builds counts all that it has kept again with each message.
 */
import * as Prompt from "effect/ai/Prompt"
import type * as Tokenizer from "effect/ai/Tokenizer"
import * as Effect from "effect/Effect"
import { type Meter, zeros } from "./tokensRequest.ts"

export const makeTokenizer = (meter: Effect.Effect<Meter>): Tokenizer.Service => ({
  tokenize: (input) =>
    Effect.map(meter, (meter) => {
      const tokens: Array<number> = []
      // Not spread into a call: a long text has more tokens than a call may have arguments.
      for (const message of Prompt.make(input).content) {
        for (const token of tokensOf(meter, message)) tokens.push(token)
      }
      return tokens
    }),
  truncate: (input, tokens) =>
    Effect.map(meter, (meter) => {
      const messages = Prompt.make(input).content
      let from = messages.length
      let left = tokens
      while (from > 0) {
        left -= lengthOf(meter, messages[from - 1]!)
        if (left < 0) break
        from--
      }
      return Prompt.fromMessages(messages.slice(from))
    })
})

const tokensOf = (meter: Meter, message: Prompt.Message): ReadonlyArray<number> =>
  typeof message.content === "string"
    ? meter.encode(message.content)
    : message.content.flatMap((part) =>
      part.type === "text" ? meter.encode(part.text) : zeros(lengthOfPart(meter, part))
    )

const lengthOf = (meter: Meter, message: Prompt.Message): number =>
  typeof message.content === "string"
    ? Math.ceil(meter.text(message.content).bound)
    : message.content.reduce((tokens, part) => tokens + lengthOfPart(meter, part), 0)

const lengthOfPart = (meter: Meter, part: Prompt.Part): number => Math.ceil(meter.part(part).bound)
