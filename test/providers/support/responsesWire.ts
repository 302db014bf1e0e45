/**
 * Answers in the form of the Responses API, written for these tests.
 */

/** One event of a stream. */
export const event = (value: { readonly type: string; readonly [field: string]: unknown }): string =>
  `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`

export const usage = {
  input_tokens: 9,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 3,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 12
}

/** The answer that events and bodies hold. */
export const response = (output: ReadonlyArray<object>, rest: object = {}): object => ({
  id: "resp_1",
  object: "response",
  created_at: 1_700_000_000,
  status: "completed",
  error: null,
  incomplete_details: null,
  model: "served-model",
  output,
  store: true,
  usage,
  ...rest
})

export const message = (text: string, rest: object = {}, part: object = {}): object => ({
  id: "msg_1",
  type: "message",
  status: "completed",
  role: "assistant",
  content: [{ type: "output_text", text, annotations: [], ...part }],
  ...rest
})

export const refusal = (refusal: string): object => ({
  id: "msg_1",
  type: "message",
  status: "completed",
  role: "assistant",
  content: [{ type: "refusal", refusal }]
})

export const reasoning = (summary: ReadonlyArray<string> = [], rest: object = {}): object => ({
  id: "rs_1",
  type: "reasoning",
  summary: summary.map((text) => ({ type: "summary_text", text })),
  ...rest
})

export const call = (name: string, args: string, rest: object = {}): object => ({
  id: "fc_1",
  type: "function_call",
  status: "completed",
  call_id: "call_1",
  name,
  arguments: args,
  ...rest
})

export const search: object = {
  id: "ws_1",
  type: "web_search_call",
  status: "completed",
  action: { type: "search", query: "q" }
}

/** A full answer. */
export const answer = (output: ReadonlyArray<object>, rest: object = {}): string =>
  JSON.stringify(response(output, rest))

export const textAnswer = (text: string): string => answer([message(text)])

export const created = (rest: object = {}): string =>
  event({ type: "response.created", response: response([], { status: "in_progress", usage: null, ...rest }) }) +
  event({ type: "response.in_progress", response: response([], { status: "in_progress", usage: null, ...rest }) })

export const added = (output_index: number, item: object): string =>
  event({ type: "response.output_item.added", output_index, item })

export const done = (output_index: number, item: object): string =>
  event({ type: "response.output_item.done", output_index, item })

export const textDelta = (output_index: number, delta: string, item_id = "msg_1", content_index = 0): string =>
  event({ type: "response.output_text.delta", item_id, output_index, content_index, delta })

/** A message that begins, and is not done. */
export const growing = (index: number, ...words: ReadonlyArray<string>): string => {
  const at = { item_id: "msg_1", output_index: index, content_index: 0 }
  return added(index, message("", { status: "in_progress", content: [] })) +
    event({ type: "response.content_part.added", ...at, part: { type: "output_text", text: "", annotations: [] } }) +
    words.map((delta) => event({ type: "response.output_text.delta", ...at, delta })).join("")
}

/** A message, with all its events. */
export const textItem = (index: number, ...words: ReadonlyArray<string>): string => {
  const at = { item_id: "msg_1", output_index: index, content_index: 0 }
  const text = words.join("")
  return growing(index, ...words) +
    event({ type: "response.output_text.done", ...at, text }) +
    event({ type: "response.content_part.done", ...at, part: { type: "output_text", text, annotations: [] } }) +
    done(index, message(text))
}

/** A call, with all its events. */
export const callItem = (
  index: number,
  name: string,
  pieces: ReadonlyArray<string>,
  ids: { readonly id: string; readonly call_id: string } = { id: "fc_1", call_id: "call_1" }
): string => {
  const at = { item_id: ids.id, output_index: index }
  return added(index, call(name, "", { ...ids, status: "in_progress" })) +
    pieces.map((delta) => event({ type: "response.function_call_arguments.delta", ...at, delta })).join("") +
    event({ type: "response.function_call_arguments.done", ...at, arguments: pieces.join("") }) +
    done(index, call(name, pieces.join(""), ids))
}

/** A thought with summaries, with all its events. */
export const reasoningItem = (index: number, summary: ReadonlyArray<string>, rest: object = {}): string =>
  added(index, reasoning()) +
  summary.map((text, summary_index) => {
    const at = { item_id: "rs_1", output_index: index, summary_index }
    return event({ type: "response.reasoning_summary_part.added", ...at, part: { type: "summary_text", text: "" } }) +
      [...text].map((delta) => event({ type: "response.reasoning_summary_text.delta", ...at, delta })).join("") +
      event({ type: "response.reasoning_summary_text.done", ...at, text }) +
      event({ type: "response.reasoning_summary_part.done", ...at, part: { type: "summary_text", text } })
  }).join("") +
  done(index, reasoning(summary, rest))

export const completed = (output: ReadonlyArray<object>, rest: object = {}): string =>
  event({ type: "response.completed", response: response(output, rest) })

export const incomplete = (reason: string, output: ReadonlyArray<object> = [], rest: object = {}): string =>
  event({
    type: "response.incomplete",
    response: response(output, { status: "incomplete", incomplete_details: { reason }, ...rest })
  })

export const failed = (error: object | null): string =>
  event({ type: "response.failed", response: response([], { status: "failed", error, usage: null }) })

export const error = (code: string | null, message = "no", rest: object = {}): string =>
  event({ type: "error", sequence_number: 2, error: { type: code, code, message, param: null, ...rest } })

/** A stream that has said these words, and no more. */
export const begun = (...words: ReadonlyArray<string>): string => created() + growing(0, ...words)

/** A stream that says these words. */
export const streamOf = (...words: ReadonlyArray<string>): string =>
  created() + textItem(0, ...words) + completed([message(words.join(""))])
