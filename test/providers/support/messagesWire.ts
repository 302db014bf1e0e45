/**
 * Answers in the form of the Messages API, written for these tests.
 */

/** One event of a stream. */
export const event = (value: { readonly type: string; readonly [field: string]: unknown }): string =>
  `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`

export const start = (usage: object = { input_tokens: 9, output_tokens: 1 }): string =>
  event({
    type: "message_start",
    message: {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "served-model",
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage
    }
  })

export const blockStart = (index: number, block: object): string =>
  event({ type: "content_block_start", index, content_block: block })

export const delta = (index: number, delta: object): string => event({ type: "content_block_delta", index, delta })

export const blockStop = (index: number): string => event({ type: "content_block_stop", index })

/** A block that begins like this and grows by these deltas. */
export const block = (index: number, begin: object, ...deltas: ReadonlyArray<object>): string =>
  blockStart(index, begin) + deltas.map((next) => delta(index, next)).join("") + blockStop(index)

export const textBlock = (index: number, ...words: ReadonlyArray<string>): string =>
  block(index, { type: "text", text: "" }, ...words.map((text) => ({ type: "text_delta", text })))

export const callBlock = (index: number, id: string, name: string, ...pieces: ReadonlyArray<string>): string =>
  block(
    index,
    { type: "tool_use", id, name, input: {} },
    ...pieces.map((partial_json) => ({ type: "input_json_delta", partial_json }))
  )

export const ending = (stop_reason = "end_turn", rest: object = {}, usage: object = { output_tokens: 3 }): string =>
  event({ type: "message_delta", delta: { stop_reason, stop_sequence: null, ...rest }, usage })

export const stop = event({ type: "message_stop" })

/** A stream of these blocks. */
export const streamOf = (blocks: string, reason = "end_turn"): string => start() + blocks + ending(reason) + stop

/** A stream that has said these words, and no more. */
export const begun = (...words: ReadonlyArray<string>): string =>
  start() + blockStart(0, { type: "text", text: "" }) +
  words.map((text) => delta(0, { type: "text_delta", text })).join("")

export const error = (type: string, message: string): string => event({ type: "error", error: { type, message } })

/** A full answer. */
export const answer = (content: ReadonlyArray<object>, rest: object = {}): string =>
  JSON.stringify({
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "served-model",
    content,
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 9, output_tokens: 3 },
    ...rest
  })

export const textAnswer = (text: string, rest: object = {}): string => answer([{ type: "text", text }], rest)
