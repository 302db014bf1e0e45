/**
 * Keys and prompts stay where they belong, however a server of the Responses API echoes them.
 */
import { OpenAiResponses } from "effect-bulwark/providers"
import { P } from "./support/request.ts"
import * as Wire from "./support/responsesWire.ts"
import { commonPlants, echo, error, keepsSecrets, key } from "./support/secretsSuite.ts"

keepsSecrets((options) => OpenAiResponses.layer(P, options), {
  ...commonPlants,
  "an error inside a stream": { status: 200, body: Wire.created() + Wire.event({ type: "error", error }) },
  "a flat error inside a stream": { status: 200, body: Wire.event({ ...error, type: "error" }) },
  "an error after the first words": { status: 200, body: Wire.begun("one") + Wire.event({ type: "error", error }) },
  "an answer that has failed": { status: 200, body: Wire.answer([], { status: "failed", error }) },
  "a stream that has failed": { status: 200, body: Wire.created() + Wire.failed(error) },
  "a refusal": { status: 200, body: Wire.answer([Wire.refusal(echo)]) },
  "a refusal in a stream": { status: 200, body: Wire.created() + Wire.completed([Wire.refusal(echo)]) },
  "a filtered answer": {
    status: 200,
    body: Wire.answer([], {
      id: key,
      status: "incomplete",
      incomplete_details: { reason: "content_filter" },
      content_filters: [{ content_filter_results: { [key]: { filtered: true } } }]
    })
  },
  "an answer that is not finished": {
    status: 200,
    body: Wire.answer([], { id: key, status: "queued", background: echo })
  },
  "a call that cannot be read": { status: 200, body: Wire.answer([Wire.call(key, echo)]) },
  "a stream of nothing": { status: 200, body: `event: ${key}\ndata: ${echo}\n\n` }
})
