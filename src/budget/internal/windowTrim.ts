/**
 * Leaves out the oldest turns of a conversation until the rest fits.
 *
 * A turn begins with a message of the user and has all that was said and done about it. What is kept is all that the system says, and
 * some of the newest turns, whole: so no call of a tool loses its result, and no history begins with an answer.
 */
import * as Prompt from "effect/ai/Prompt"
import * as Effect from "effect/Effect"

/** Prompts that begin later and later in a conversation; the first one is the prompt itself. */
export const shortened = (prompt: Prompt.Prompt, keepTurns: number): ReadonlyArray<() => Prompt.Prompt> => {
  const messages = prompt.content
  const begins = messages.flatMap(({ role }, index) => role === "user" ? [index] : [])
  // What stands before the first message of a user goes with it.
  const cuts = begins.slice(1, Math.max(1, begins.length - keepTurns + 1))
  const parts = partedPairs(messages)
  return [
    () => prompt,
    ...cuts.filter((cut) => parts[cut] === 0).map((cut) => () =>
      Prompt.fromMessages(messages.filter(({ role }, index) => index >= cut || role === "system"))
    )
  ]
}

/** How many calls a cut before each message would part from their results, or requests for approval from their answers. */
const partedPairs = (messages: ReadonlyArray<Prompt.Message>): ReadonlyArray<number> => {
  const opened = new Map<string, number>()
  const changes = Array.from({ length: messages.length + 1 }, () => 0)
  const close = (id: string, index: number): void => {
    const from = opened.get(id)
    if (from === undefined) return
    changes[from + 1]! += 1
    changes[index + 1]! -= 1
  }
  for (const [index, message] of messages.entries()) {
    if (typeof message.content === "string") continue
    for (const part of message.content) {
      if (part.type === "tool-call") opened.set(`call ${part.id}`, index)
      else if (part.type === "tool-result") close(`call ${part.id}`, index)
      else if (part.type === "tool-approval-request") opened.set(`approval ${part.approvalId}`, index)
      else if (part.type === "tool-approval-response") close(`approval ${part.approvalId}`, index)
    }
  }
  let open = 0
  return changes.map((change) => open += change)
}

/** The longest of some prompts, each shorter than the one before it, that fits; undefined where none does. */
export const longest = <A>(
  prompts: ReadonlyArray<() => Prompt.Prompt>,
  fits: (prompt: Prompt.Prompt) => Effect.Effect<A | undefined>
): Effect.Effect<A | undefined> =>
  Effect.gen(function*() {
    let from = 0
    let to = prompts.length
    let found: A | undefined
    while (from < to) {
      const middle = from + Math.floor((to - from) / 2)
      const fitting = yield* fits(prompts[middle]!())
      if (fitting === undefined) from = middle + 1
      else {
        found = fitting
        to = middle
      }
    }
    return found
  })
