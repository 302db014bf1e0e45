/**
 * Answers in the protocol's form, written for these tests.
 */

/** One event of a stream. */
export const event = (value: unknown): string =>
  `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`

export const done = event("[DONE]")

/** A chunk with a delta. */
export const chunk = (delta: unknown, rest: object = {}, top: object = {}): object => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_700_000_000,
  model: "served-model",
  ...top,
  choices: [{ index: 0, delta, finish_reason: null, ...rest }]
})

export const textChunk = (content: string): string => event(chunk({ content }))

export const finishChunk = (reason = "stop", top: object = {}): string =>
  event(chunk({}, { finish_reason: reason }, top))

/** A whole stream that says these words. */
export const streamOf = (...words: ReadonlyArray<string>): string =>
  [event(chunk({ role: "assistant", content: "" })), ...words.map(textChunk), finishChunk(), done].join("")

/** A full answer. */
export const answer = (message: object, rest: object = {}, top: object = {}): string =>
  JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: "served-model",
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop", ...rest }],
    usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
    ...top
  })
