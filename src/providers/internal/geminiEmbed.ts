/**
 * Embeddings of the Gemini API, many at once, and of Vertex AI, one at a time.
 */
import { type EmbedProtocol, numbers } from "./embed.ts"
import { encodeJson } from "./encode.ts"
import type { Endpoint } from "./endpoint.ts"
import { fields, items } from "./read.ts"

// What the API takes at once.
const maxInputs = 100

const usageOf = (answer: { readonly [field: string]: unknown }): unknown =>
  fields(answer["usageMetadata"])["promptTokenCount"]

/** `batchEmbedContents`: the model and the settings stand with each text. */
export const geminiEmbedBatch = (provider: string, endpoint: Endpoint): EmbedProtocol => ({
  endpoint,
  maxInputs,
  encode: ({ dimensions, extra, inputs, model }) =>
    encodeJson(provider, model, () => ({
      requests: inputs.map((text) => ({
        model: `models/${model}`,
        content: contentOf(text),
        ...(dimensions === undefined ? undefined : { outputDimensionality: dimensions }),
        ...extra
      }))
    })),
  vectors: (answer) => items(answer["embeddings"]).map((embedding) => numbers(fields(embedding)["values"])),
  inputTokens: usageOf
})

/** `embedContent`: the settings stand in a field of their own. */
export const geminiEmbedSingle = (provider: string, endpoint: Endpoint): EmbedProtocol => ({
  endpoint,
  maxInputs: 1,
  encode: ({ dimensions, extra, inputs, model }) => {
    const config = { ...(dimensions === undefined ? undefined : { outputDimensionality: dimensions }), ...extra }
    return encodeJson(provider, model, () => ({
      content: contentOf(inputs[0] ?? ""),
      ...(Object.keys(config).length === 0 ? undefined : { embedContentConfig: config })
    }))
  },
  vectors: (answer) => "embedding" in answer ? [numbers(fields(answer["embedding"])["values"])] : [],
  inputTokens: usageOf
})

const contentOf = (text: string) => ({ parts: [{ text }] })
