/**
 * Keys and prompts stay where they belong, however a server of the Gemini API echoes them.
 */
import { Gemini } from "effect-bulwark/providers"
import * as Wire from "./support/geminiWire.ts"
import { P } from "./support/request.ts"
import { commonPlants, echo, error, keepsSecrets, key } from "./support/secretsSuite.ts"

const details = [
  { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: key, metadata: { key } },
  { "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations: [{ quotaId: key, quotaMetric: key }] },
  { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: key },
  { "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: [{ field: key, description: echo }] }
]

const ratings = [{ category: key, probability: "HIGH" }]

keepsSecrets((options) => Gemini.layer(P, options), {
  ...commonPlants,
  "an error with details": {
    status: 400,
    body: JSON.stringify(Wire.error(400, "INVALID_ARGUMENT", echo, { details }))
  },
  "a list of errors": { status: 429, body: JSON.stringify([Wire.error(429, "RESOURCE_EXHAUSTED", echo, { details })]) },
  "an error inside a stream": { status: 200, body: Wire.events(Wire.chunk([]), { error }) },
  "an error after the first words": { status: 200, body: Wire.begun("one") + Wire.event({ error }) },
  "an error that is one by its name": {
    status: 200,
    body: `event: error\ndata: ${JSON.stringify({ message: echo })}\n\n`
  },
  "a prompt that was blocked": {
    status: 200,
    body: JSON.stringify({
      promptFeedback: { blockReason: key, blockReasonMessage: echo, safetyRatings: ratings },
      responseId: key
    })
  },
  "an answer that was withheld": {
    status: 200,
    body: Wire.answer(undefined, "SAFETY", { finishMessage: echo, safetyRatings: ratings }, { responseId: key })
  },
  "a model that erred": {
    status: 200,
    body: Wire.answer(undefined, "MALFORMED_FUNCTION_CALL", { finishMessage: echo }, { responseId: key })
  },
  "a stream of nothing": { status: 200, body: `event: ${key}\ndata: ${echo}\n\n` }
})
