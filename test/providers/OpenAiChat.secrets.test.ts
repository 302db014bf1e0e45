/**
 * Keys and prompts stay where they belong, however a server of Chat Completions echoes them.
 */
import { OpenAiChat } from "effect-bulwark/providers"
import { P } from "./support/request.ts"
import { commonPlants, echo, error, keepsSecrets, key } from "./support/secretsSuite.ts"
import * as Wire from "./support/wire.ts"

keepsSecrets((options) => OpenAiChat.layer(P, options), {
  ...commonPlants,
  "an error inside a stream": { status: 200, body: Wire.event(Wire.chunk({ content: "" })) + Wire.event({ error }) },
  "an error after the first words": { status: 200, body: Wire.textChunk("one") + Wire.event({ error }) },
  "an error in a field of its own": { status: 200, body: `: hi\n\nerror: ${JSON.stringify({ error })}\n\n` },
  "a filtered answer": {
    status: 200,
    body: Wire.event(
      Wire.chunk({}, { finish_reason: "content_filter", content_filter_results: { [key]: { filtered: true } } })
    )
  },
  "a refusal": {
    status: 200,
    body: Wire.event(Wire.chunk({ refusal: echo }, { finish_reason: "stop" }))
  },
  "a stream of nothing": { status: 200, body: Wire.event(echo) }
})
