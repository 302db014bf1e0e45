/**
 * Answers in the form of OpenAI's Responses API, written for these tests.
 */

const event = (value: { readonly type: string; readonly [field: string]: unknown }): string =>
  `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`

const usage = { input_tokens: 9, output_tokens: 3, total_tokens: 12 }

const response = (output: ReadonlyArray<object>, rest: object = {}) => ({
  id: "resp_1",
  object: "response",
  created_at: 1_700_000_000,
  status: "completed",
  model: "served-model",
  error: null,
  incomplete_details: null,
  output,
  usage,
  ...rest
})

const message = (text: string) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [], logprobs: [] }]
})

/** A full answer. */
export const textAnswer = (text: string): string => JSON.stringify(response([message(text)]))

const created = event({ type: "response.created", response: response([], { status: "in_progress", usage: null }) })

/** A stream that has said these words, and no more. */
export const begun = (...words: ReadonlyArray<string>): string =>
  created +
  event({
    type: "response.output_item.added",
    output_index: 0,
    item: { id: "msg_1", type: "message", role: "assistant", status: "in_progress", content: [] }
  }) +
  words.map((delta) =>
    event({
      type: "response.output_text.delta",
      item_id: "msg_1",
      output_index: 0,
      content_index: 0,
      delta,
      logprobs: []
    })
  ).join("")

const completed = (output: ReadonlyArray<object>): string =>
  event({ type: "response.completed", response: response(output) })

/** A whole stream that says these words. */
export const streamOf = (...words: ReadonlyArray<string>): string => {
  const item = message(words.join(""))
  return begun(...words) + event({ type: "response.output_item.done", output_index: 0, item }) + completed([item])
}

/** An answer that calls a tool. */
export const callAnswer = (call_id: string, name: string, args: string) => {
  const item = { id: "fc_1", type: "function_call", call_id, name, arguments: args, status: "completed" }
  return {
    whole: JSON.stringify(response([item])),
    streamed: created +
      event({ type: "response.output_item.added", output_index: 0, item: { ...item, arguments: "" } }) +
      event({ type: "response.function_call_arguments.delta", item_id: "fc_1", output_index: 0, delta: args }) +
      event({ type: "response.output_item.done", output_index: 0, item }) +
      completed([item])
  }
}

export const error = (code: string, message: string): string =>
  event({ type: "error", sequence_number: 1, error: { type: code, code, message, param: null } })
