/**
 * OpenAI's Responses, in the field order of the real API.
 */
import { fieldsOf } from "./checked.ts"
import {
  type Dialect,
  type Draft,
  type Event,
  ordinalId,
  type Refusal,
  type Said,
  sse,
  typed,
  type Writing
} from "./dialect.ts"
import { openAi } from "./openAi.ts"
import { parseResponsesRequest } from "./responsesRequest.ts"

type Status = "in_progress" | "completed" | "incomplete" | "failed"

/** The status of an answer that ends like this, and the reason why it is not complete. */
const endOf = (finish: string | null): { readonly status: Status; readonly reason: string | undefined } => {
  switch (finish) {
    case null:
      return { status: "in_progress", reason: undefined }
    case "stop":
    case "tool_calls":
    case "completed":
      return { status: "completed", reason: undefined }
    case "length":
      return { status: "incomplete", reason: "max_output_tokens" }
    default:
      return { status: "incomplete", reason: finish }
  }
}

const itemOf = ({ answer, envelope }: Draft, text: string, status: Status) =>
  answer.tool === undefined
    ? {
      id: ordinalId("msg_", 48, envelope.ordinal),
      type: "message",
      status,
      content: status === "in_progress" && text === "" ? [] : [partOf(text)],
      role: "assistant"
    }
    : {
      id: ordinalId("fc_", 48, envelope.ordinal),
      type: "function_call",
      status,
      arguments: text,
      call_id: ordinalId("call_", 24, envelope.ordinal),
      name: answer.tool
    }

const partOf = (text: string) => ({ type: "output_text", annotations: [], logprobs: [], text })

interface State {
  readonly status: Status
  readonly output: ReadonlyArray<object>
  readonly reason?: string | undefined
  readonly error?: object
}

const responseOf = ({ answer, body, envelope }: Draft, { error, output, reason, status }: State) => {
  const request = fieldsOf(body)
  const tokens = answer.tokens.length
  return {
    id: ordinalId("resp_", 48, envelope.ordinal),
    object: "response",
    created_at: envelope.created,
    status,
    access_programs: null,
    background: false,
    error: error ?? null,
    incomplete_details: reason === undefined ? null : { reason },
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: null,
    model: envelope.model,
    output,
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: null,
    prompt_cache_key: request.prompt_cache_key ?? null,
    reasoning: { effort: null, summary: null, ...fieldsOf(request.reasoning) },
    safety_identifier: null,
    service_tier: "default",
    store: request.store ?? true,
    temperature: request.temperature ?? 1,
    text: { format: { type: "text" }, verbosity: "medium", ...fieldsOf(request.text) },
    tool_choice: request.tool_choice ?? "auto",
    tools: request.tools ?? [],
    top_logprobs: 0,
    top_p: request.top_p ?? 1,
    truncation: request.truncation ?? "disabled",
    usage: status === "in_progress" || status === "failed" ? null : {
      input_tokens: answer.promptTokens,
      input_tokens_details: { cache_write_tokens: 0, cached_tokens: 0 },
      output_tokens: tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: answer.promptTokens + tokens
    },
    user: null,
    metadata: request.metadata ?? {}
  }
}

/** The codes that a response may fail with have a name for every failure. */
const errorOf = ({ code, message }: Said) => ({ code: code ?? "server_error", message })

const write = (draft: Draft): Writing => {
  const { answer } = draft
  const text = answer.tokens.join("")
  const whole = (finish: string | null) => {
    const { reason, status } = endOf(finish)
    return responseOf(draft, { status, reason, output: [itemOf(draft, text, status)] })
  }
  const { id: item_id } = itemOf(draft, "", "in_progress")
  const begun = { status: "in_progress", output: [] } as const
  const opening: ReadonlyArray<Unnumbered> = [
    { type: "response.created", response: responseOf(draft, begun) },
    { type: "response.in_progress", response: responseOf(draft, begun) },
    { type: "response.output_item.added", output_index: 0, item: itemOf(draft, "", "in_progress") },
    ...(answer.tool === undefined
      ? [{ type: "response.content_part.added", item_id, output_index: 0, content_index: 0, part: partOf("") }]
      : [])
  ]
  const closing = (status: Status): ReadonlyArray<Unnumbered> => [
    ...(answer.tool === undefined
      ? [
        { type: "response.output_text.done", item_id, output_index: 0, content_index: 0, text, logprobs: [] },
        { type: "response.content_part.done", item_id, output_index: 0, content_index: 0, part: partOf(text) }
      ]
      : [{
        type: "response.function_call_arguments.done",
        item_id,
        output_index: 0,
        name: answer.tool,
        arguments: text
      }]),
    { type: "response.output_item.done", output_index: 0, item: itemOf(draft, text, status) }
  ]
  return {
    whole,
    wholeError: (said) => responseOf(draft, { status: "failed", output: [], error: errorOf(said) }),
    contentType: "text/event-stream; charset=utf-8",
    frame: sse,
    trailer: () => "",
    opening: numbered(opening, 0),
    pieces: answer.tokens.length,
    piece: (index) =>
      oneNumbered(
        answer.tool === undefined
          ? {
            type: "response.output_text.delta",
            item_id,
            output_index: 0,
            content_index: 0,
            delta: answer.tokens[index],
            logprobs: []
          }
          : { type: "response.function_call_arguments.delta", item_id, output_index: 0, delta: answer.tokens[index] },
        opening.length + index
      ),
    ending: (finish) => {
      const { status } = endOf(finish)
      const from = opening.length + answer.tokens.length
      const closed = closing(status)
      return {
        closing: numbered(closed, from),
        finish: oneNumbered({ type: `response.${status}`, response: whole(finish) }, from + closed.length),
        usage: [],
        done: undefined
      }
    },
    failing: (said, index) =>
      numbered([
        { type: "error", code: said.code, message: said.message, param: said.param },
        {
          type: "response.failed",
          response: responseOf(draft, { status: "failed", output: [], error: errorOf(said) })
        }
      ], opening.length + index)
  }
}

interface Unnumbered {
  readonly type: string
  readonly [field: string]: unknown
}

const oneNumbered = (event: Unnumbered, sequence_number: number): Event => typed({ ...event, sequence_number })

const numbered = (events: ReadonlyArray<Unnumbered>, from: number): ReadonlyArray<Event> =>
  events.map((event, index) => oneNumbered(event, from + index))

/** What it says in other words than Chat Completions. */
const refusal = (why: Refusal): Said => {
  const usual = openAi.refusal(why)
  switch (why.type) {
    case "contextLengthExceeded":
      return {
        ...usual,
        message: "Your input exceeds the context window of this model. Please adjust your input and try again.",
        param: "input"
      }
    case "contentFiltered":
      return {
        ...usual,
        message: "Invalid prompt: your prompt was flagged as potentially violating our usage policy. " +
          "Please try again with a different prompt.",
        code: "invalid_prompt"
      }
    case "unknownModel":
      return {
        ...usual,
        status: 400,
        message: `The requested model '${why.model}' does not exist.`,
        param: "model"
      }
    default:
      return usual
  }
}

export const responses: Dialect = {
  ...openAi,
  name: "openai-responses",
  answersAt: (path) => path.endsWith("/responses"),
  read: parseResponsesRequest,
  refusal,
  write
}
