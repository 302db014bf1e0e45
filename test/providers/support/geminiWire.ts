/**
 * Answers in the form of the Gemini API, written for these tests.
 */

/** One event of a stream. */
export const event = (value: object): string => `data: ${JSON.stringify(value)}\r\n\r\n`

export const usage = { promptTokenCount: 9, candidatesTokenCount: 3, totalTokenCount: 12 }

/** An answer, or a chunk of one, with these parts. */
export const chunk = (parts: ReadonlyArray<object> | undefined, candidate: object = {}, rest: object = {}): object => ({
  candidates: [{
    ...(parts === undefined ? undefined : { content: { role: "model", parts } }),
    index: 0,
    ...candidate
  }],
  usageMetadata: usage,
  modelVersion: "served-model",
  responseId: "resp-1",
  ...rest
})

export const text = (words: string): object => ({ text: words })

export const call = (name: string, args: unknown, rest: object = {}): object => ({
  functionCall: { name, args, ...rest }
})

export const finished = (
  parts: ReadonlyArray<object> | undefined,
  finishReason = "STOP",
  candidate: object = {},
  rest: object = {}
): object => chunk(parts, { finishReason, ...candidate }, rest)

/** A stream of these chunks. */
export const events = (...chunks: ReadonlyArray<object>): string => chunks.map(event).join("")

/** A stream that has said these words, and no more. */
export const begun = (...words: ReadonlyArray<string>): string => events(...words.map((word) => chunk([text(word)])))

/** A stream that says these words. */
export const streamOf = (...words: ReadonlyArray<string>): string => begun(...words) + event(finished([text("")]))

/** A full answer. */
export const answer = (
  parts: ReadonlyArray<object> | undefined,
  finishReason = "STOP",
  candidate: object = {},
  rest: object = {}
): string => JSON.stringify(finished(parts, finishReason, candidate, rest))

export const textAnswer = (words: string): string => answer([text(words)])

/** An error, as the API writes it. */
export const error = (code: number, status: string, message = "no", rest: object = {}): object => ({
  error: { code, message, status, ...rest }
})
