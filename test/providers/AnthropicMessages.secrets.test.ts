/**
 * Keys and prompts stay where they belong, however a server of the Messages API echoes them.
 */
import { AnthropicMessages } from "effect-bulwark/providers"
import * as Wire from "./support/messagesWire.ts"
import { P } from "./support/request.ts"
import { commonPlants, echo, error, keepsSecrets, key } from "./support/secretsSuite.ts"

keepsSecrets((options) => AnthropicMessages.layer(P, options), {
  ...commonPlants,
  "an error inside a stream": {
    status: 200,
    body: Wire.start() + Wire.event({ type: "error", error, request_id: key })
  },
  "an error after the first words": { status: 200, body: Wire.begun("one") + Wire.event({ type: "error", error }) },
  "an error that is one by its name": {
    status: 200,
    body: `event: error\ndata: ${JSON.stringify({ message: echo })}\n\n`
  },
  "a refusal": {
    status: 200,
    body: Wire.start() + Wire.ending("refusal", { stop_details: { category: key, explanation: echo } }) + Wire.stop
  },
  "a stream of nothing": { status: 200, body: `event: ${key}\ndata: ${echo}\n\n` }
})
