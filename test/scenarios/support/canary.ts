/**
 * Words that must not be seen, planted wherever a program or a provider can put them, and who finds them where.
 */
import { Provider } from "effect-bulwark/providers"
import type * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Seen } from "../../support/observe.ts"

/** What must not be seen anywhere. */
export const secrets = {
  key: "sk-canary-0123456789abcdef",
  header: "canary-header-5e5e5e5e",
  query: "canary-query-7a7a7a7a"
}

/** What is seen where it belongs, and nowhere else. */
export const content = {
  system: "the canary of the system sings",
  user: "the canary of the user sings",
  file: "the canary of the file name sings",
  called: "the canary of an earlier call sings",
  result: "the canary of a tool result sings",
  handled: "the canary of a handler sings",
  text: "the canary of the answer sings",
  reasoning: "the canary of the thoughts sings",
  params: "the canary of the call sings",
  refusal: "the canary of the refusal sings"
}

/** What a server says that says all that it knows. */
export const echo = [...Object.values(secrets), `Bearer ${secrets.key}`, ...Object.values(content)].join(" / ")

// Servers cut keys when they echo them, and printers break lines.
const pieces = (words: ReadonlyArray<string>) => words.flatMap((word) => [word, word.slice(0, 12)])

/** What of it stands in a text. */
const found = (text: string, words: { readonly [name: string]: string }): ReadonlyArray<string> =>
  Object.entries(words).flatMap(([name, word]) => text.includes(word) ? [name] : [])

const secretPieces = pieces(Object.values(secrets))

/** Secrets in what is seen by those who unwrap it, where content may be. */
export const secretLeaks = (text: string): ReadonlyArray<string> => secretPieces.filter((piece) => text.includes(piece))

/** Where secrets or content are seen. */
export const leaks = (seen: Seen): ReadonlyArray<string> =>
  Object.entries(seen).flatMap(([where, text]) => {
    const names = [...found(text, content)]
    if (secretLeaks(text).length > 0) names.push("a secret")
    return names.map((name) => `${where}: ${name}`)
  })

export const Weather = Tool.make("Weather", {
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.String
})

export const toolkit = Toolkit.make(Weather)

export const handlers = toolkit.toLayer({ Weather: () => Effect.succeed(content.handled) })

export const schema = Schema.Struct({ answer: Schema.Finite })

/** A prompt with a canary in each of its places. */
export const prompt: Prompt.RawInput = [
  { role: "system", content: content.system },
  {
    role: "user",
    content: [
      { type: "text", text: content.user },
      { type: "file", mediaType: "application/pdf", data: "JVBERi0=", fileName: content.file }
    ]
  },
  {
    role: "assistant",
    content: [{ type: "tool-call", id: "call_0", name: "Weather", params: { city: content.called } }]
  },
  {
    role: "tool",
    content: [{ type: "tool-result", id: "call_0", name: "Weather", isFailure: false, result: content.result }]
  }
]

export class P extends Provider.Service<P>()("p") {}

export class Q extends Provider.Service<Q>()("q") {}

/** What an adapter is given: a secret wherever it takes one. */
export interface Options {
  readonly apiKey: Redacted.Redacted<string>
  readonly headers: { readonly [name: string]: Redacted.Redacted<string> }
  readonly query: { readonly [name: string]: Redacted.Redacted<string> }
}

export const options: Options = {
  apiKey: Redacted.make(secrets.key),
  headers: { "x-more": Redacted.make(secrets.header) },
  query: { sig: Redacted.make(secrets.query) }
}

/** What a server answers. */
export interface Plant {
  readonly status?: number
  /** The body of a whole answer; `undefined` where the connection breaks before it. */
  readonly whole: string | undefined
  /** The same, where parts are asked for. */
  readonly stream: string | undefined
  /** The connection breaks after the body. */
  readonly breaks?: boolean
}

export const both = (body: string, rest: Partial<Plant> = {}): Plant => ({ whole: body, stream: body, ...rest })

/** An error whose every field says all. Names are what a server may choose freely, so it chooses secrets. */
export const error = {
  message: echo,
  type: secrets.key,
  code: secrets.header,
  status: echo,
  param: secrets.query,
  innererror: { code: secrets.key, content_filter_result: { [secrets.key]: { filtered: true } } },
  metadata: { reasons: [secrets.key, echo], raw: echo, resets_at: secrets.key, headers: { "X-RateLimit-Reset": echo } },
  details: [{ reason: secrets.key, violations: [{ quotaId: secrets.header }], fieldViolations: [{ field: echo }] }],
  errors: [{ message: echo, location: echo }]
}

const headers = {
  "x-request-id": secrets.key,
  "request-id": secrets.header,
  "cf-ray": secrets.key.slice(0, 14),
  "retry-after": secrets.key,
  "x-ratelimit-limit-requests": secrets.key,
  "x-ratelimit-reset-requests": secrets.key,
  location: `https://example.com/?key=${secrets.key}`,
  "x-echo": encodeURIComponent(echo)
}

/** What any server may answer. */
export const commonPlants: { readonly [name: string]: Plant } = {
  ...Object.fromEntries(
    [302, 400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529].map((status): [string, Plant] => [
      `an error with status ${status}`,
      both(JSON.stringify({ error, request_id: secrets.key }), { status })
    ])
  ),
  "an error that is a text": both(echo, { status: 400 }),
  "an error that wraps another": both(
    JSON.stringify({ error: { message: `upstream said ${JSON.stringify({ error })}`, code: 502 } }),
    { status: 500 }
  ),
  "a list of validation errors": both(
    JSON.stringify({ detail: [{ loc: ["body", secrets.key], msg: echo, type: secrets.key, input: echo }] }),
    { status: 422 }
  ),
  "an error that is a web page": both(`<html><title>${echo}</title></html>`, { status: 502 }),
  "an error with nothing": both("", { status: 500 }),
  "an answer that is an error": both(JSON.stringify({ error })),
  "an answer that is a web page": both(`<html><title>${echo}</title></html>`),
  "an answer that is no JSON": both(echo),
  "an answer that is half of one": both(`{"x":"${echo}`, { breaks: true }),
  "an event that is no JSON": both(`event: ${secrets.key}\ndata: ${echo}\n\n`),
  "an event that is an error by its name": both(`event: error\ndata: ${JSON.stringify({ message: echo })}\n\n`),
  "a connection that breaks at once": { whole: undefined, stream: undefined }
}

const encoder = new TextEncoder()

const bodyOf = (body: string, breaks: boolean): BodyInit | null => {
  if (!breaks) return body === "" ? null : body
  let sent = false
  return new ReadableStream({
    pull: (controller) => {
      if (sent) return controller.error(new Error(echo))
      sent = true
      controller.enqueue(encoder.encode(body))
    }
  })
}

/** A client whose server answers every request with a plant, and takes note of them. */
export const client = (
  plant: Plant,
  isStreamed: (url: string, body: string) => boolean,
  requests: Array<string>
): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.suspend(() => {
        const sent = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
        // (As JSON, headers hide what is secret in them.)
        requests.push(`${url.href} ${Object.values(request.headers).join(" ")} ${sent}`)
        const body = isStreamed(url.href, sent) ? plant.stream : plant.whole
        const response = body === undefined
          ? new Response(bodyOf("", true), { status: plant.status ?? 200, headers })
          : new Response(bodyOf(body, plant.breaks === true), { status: plant.status ?? 200, headers })
        return Effect.succeed(HttpClientResponse.fromWeb(request, response))
      })
    )
  )
