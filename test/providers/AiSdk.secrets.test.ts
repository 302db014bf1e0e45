/**
 * Keys and prompts stay where they belong, however a server echoes them to a package of the AI SDK, and whatever its errors hold.
 */
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { APICallError, JSONParseError, TypeValidationError } from "@ai-sdk/provider"
import { assert, describe, it } from "@effect/vitest"
import * as AiSdk from "effect-bulwark/providers/AiSdk"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { v4, whole } from "./support/aiSdkModel.ts"
import * as Messages from "./support/messagesWire.ts"
import { P } from "./support/request.ts"
import { type Adapter, commonPlants, echo, error, keepsSecrets, key } from "./support/secretsSuite.ts"
import * as Wire from "./support/wire.ts"

type Given = Parameters<Adapter>[0]

const manual: typeof fetch = (input, init) => fetch(input, { ...init, redirect: "manual" })

const headersOf = ({ apiKey, apiKeyHeader, headers }: Given) => ({
  [apiKeyHeader]: Redacted.value(apiKey),
  ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Redacted.value(value)]))
})

// The key and the parameters of the URL are found; what looks like nothing in particular has to be named.
const secretsOf = ({ headers }: Given) => Object.values(headers)

const chatPlants = {
  ...commonPlants,
  "an error inside a stream": { status: 200, body: Wire.event({ error }) },
  "an error after the first words": { status: 200, body: Wire.textChunk("one") + Wire.event({ error }) },
  "an answer that was withheld": {
    status: 200,
    body: Wire.answer({ content: null, refusal: echo }, { finish_reason: "content_filter" })
  },
  "a call that is no JSON": {
    status: 200,
    body: Wire.answer({
      content: null,
      tool_calls: [{ id: key, type: "function", function: { name: key, arguments: echo } }]
    })
  }
}

describe("OpenAI", () => {
  keepsSecrets(
    (given) =>
      AiSdk.layer(
        P,
        createOpenAI({
          baseURL: given.baseUrl,
          apiKey: Redacted.value(given.apiKey),
          headers: headersOf(given),
          fetch: manual
        }).chat,
        { secrets: [...secretsOf(given), ...Object.values(given.query)] }
      ),
    chatPlants,
    { traced: false }
  )
})

describe("OpenAI-compatible", () => {
  keepsSecrets(
    (given) =>
      AiSdk.layer(
        P,
        createOpenAICompatible({
          name: "c",
          baseURL: given.baseUrl,
          apiKey: Redacted.value(given.apiKey),
          headers: headersOf(given),
          queryParams: Object.fromEntries(
            Object.entries(given.query).map(([name, value]) => [name, Redacted.value(value)])
          ),
          fetch: manual
        }),
        { secrets: [...secretsOf(given), ...Object.values(given.query)] }
      ),
    chatPlants,
    { traced: false }
  )
})

describe("Anthropic", () => {
  keepsSecrets(
    (given) =>
      AiSdk.layer(
        P,
        createAnthropic({
          baseURL: given.baseUrl,
          apiKey: Redacted.value(given.apiKey),
          headers: headersOf(given),
          fetch: manual
        }),
        { secrets: [...secretsOf(given), ...Object.values(given.query)] }
      ),
    {
      ...commonPlants,
      "an error inside a stream": { status: 200, body: Messages.event({ type: "error", error }) },
      "an error after the first words": {
        status: 200,
        body: Messages.begun("one") + Messages.event({ type: "error", error })
      },
      "an answer of another form": { status: 200, body: JSON.stringify({ content: echo, stop_reason: key }) }
    },
    { traced: false }
  )
})

describe("what errors of the SDK hold", () => {
  const secret = "unmarked-query-value-1234"
  const call = new APICallError({
    message: `no ${secret} ${key}`,
    url: `https://user-of-mine:${key}@example.com/v1?key=${secret}`,
    requestBodyValues: { prompt: echo, headers: { authorization: `Bearer ${key}` } },
    statusCode: 400,
    responseHeaders: { "x-request-id": secret },
    responseBody: JSON.stringify({ error: { message: `no ${secret} ${key}`, code: secret, param: key } })
  })
  const errors: { readonly [name: string]: unknown } = {
    "a response": call,
    "no response": new APICallError({ message: echo, url: call.url, requestBodyValues: echo, cause: call }),
    "no JSON": new JSONParseError({ text: echo, cause: call }),
    "another form": new TypeValidationError({ value: { answer: echo }, cause: call }),
    "any error": Object.assign(new Error(echo), { cause: call, code: key, request: call.requestBodyValues })
  }
  for (const [name, held] of Object.entries(errors)) {
    it.effect(`is not passed on: ${name}`, () =>
      Effect.gen(function*() {
        const failure = yield* Effect.flip(whole(v4({ generate: () => Promise.reject(held) }).model))
        const detail = failure.detail === undefined ? "" : Redacted.value(failure.detail)
        for (const seen of [inspect(failure, { depth: 12, showHidden: true }), JSON.stringify(failure), detail]) {
          assert.notInclude(seen, key)
          assert.notInclude(seen, secret)
        }
        assert.notInclude(inspect(failure, { depth: 12, showHidden: true }), "planted prompt")
      }))
  }
})
