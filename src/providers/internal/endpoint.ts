/**
 * Where a provider over HTTP is and how it is authorised: what all protocols have in common of their options.
 */
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"

export interface EndpointOptions {
  readonly apiKey?: Redacted.Redacted<string> | undefined
  readonly apiKeyHeader?: string | undefined
  readonly baseUrl: string
  readonly query?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
  /** Headers that options of their own stand for, by the option. `headers` win over them. */
  readonly ownHeaders?: ReadonlyArray<OwnHeader> | undefined
  readonly maxBodyBytes?: number | undefined
  readonly maxEventBytes?: number | undefined
}

/** A header that an option stands for; none where the option is not set. */
export type OwnHeader = readonly [option: string, header: string, value: string | undefined]

export interface Endpoint {
  /** Makes the request for a model, with a JSON body. */
  readonly request: (model: string, body: string, accept: string) => HttpClientRequest.HttpClientRequest
  /** The names of the headers whose values are secret, in lower case. */
  readonly secretHeaders: ReadonlyArray<string>
  /** The secret values. */
  readonly secrets: ReadonlyArray<string>
  readonly maxBodyBytes: number
  readonly maxEventBytes: number
}

const defaultMaxBodyBytes = 32 * 1024 * 1024

const defaultMaxEventBytes = 1024 * 1024

/** Checks the options and prepares what is the same for every request. */
export const makeEndpoint = (module: string, path: string, options: EndpointOptions): Endpoint => {
  const illegal = (what: string): RangeError => new RangeError(`${module}: ${what}`)
  const url = checkBaseUrl(options.baseUrl, path, illegal)
  const headers = new Map<string, string>()
  const secretHeaders: Array<string> = []
  const secrets: Array<string> = []

  const setHeader = (
    option: string,
    name: string,
    value: string | Redacted.Redacted<string>,
    { nameOption = option, prefix = "" }: { readonly nameOption?: string; readonly prefix?: string } = {}
  ): void => {
    const plain = typeof value === "string" ? value : Redacted.value(value)
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) throw illegal(`\`${nameOption}\` is not the name of a header`)
    if (!/^[\t\x20-\x7E\x80-\xFF]*$/.test(plain)) {
      throw illegal(`\`${option}\` holds characters that a header cannot carry (a line break at its end?): remove them`)
    }
    const key = name.toLowerCase()
    headers.set(key, prefix + plain)
    if (typeof value === "string") return
    secretHeaders.push(key)
    secrets.push(plain)
  }

  if (options.apiKey !== undefined) {
    const name = options.apiKeyHeader ?? "authorization"
    if (Redacted.value(options.apiKey).trim() === "") {
      throw illegal("`apiKey` is empty: leave it out where the server asks for none")
    }
    setHeader("apiKey", name, options.apiKey, {
      nameOption: "apiKeyHeader",
      prefix: name.toLowerCase() === "authorization" ? "Bearer " : ""
    })
  }
  for (const [option, name, value] of options.ownHeaders ?? []) {
    if (value !== undefined) setHeader(option, name, value)
  }
  for (const [name, value] of Object.entries(options.headers ?? {})) setHeader(`headers.${name}`, name, value)
  for (const value of Object.values(options.query ?? {})) {
    if (typeof value !== "string") secrets.push(Redacted.value(value))
  }
  const urlParams = Object.entries(options.query ?? {})
  const fixed = Object.fromEntries(headers)
  return {
    secretHeaders,
    secrets,
    maxBodyBytes: bytes("maxBodyBytes", options.maxBodyBytes ?? defaultMaxBodyBytes, illegal),
    maxEventBytes: bytes("maxEventBytes", options.maxEventBytes ?? defaultMaxEventBytes, illegal),
    request: (model, body, accept) => {
      const request = HttpClientRequest.post(url.replace("{model}", encodeURIComponent(model)), {
        urlParams,
        // As bytes: what prints a request prints the text of a body, which is the prompt.
        body: HttpBody.uint8Array(encoder.encode(body)),
        headers: {}
      })
      return HttpClientRequest.setHeaders(request, { "content-type": "application/json", accept, ...fixed })
    }
  }
}

const encoder = new TextEncoder()

const bytes = (option: string, value: number, illegal: (what: string) => RangeError): number => {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw illegal(`\`${option}\` must be a positive number of bytes, got ${value}`)
  }
  return value
}

const checkBaseUrl = (baseUrl: string, path: string, illegal: (what: string) => RangeError): string => {
  const got = `got ${JSON.stringify(baseUrl.slice(0, 200))}`
  const url = URL.parse(baseUrl.replace("{model}", "model"))
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw illegal(`\`baseUrl\` must be an absolute http or https URL, ${got}`)
  }
  if (url.username !== "" || url.password !== "") {
    throw illegal("`baseUrl` must not hold a user or a password: use `apiKey` or `headers`")
  }
  if (url.search !== "" || url.hash !== "") {
    throw illegal("`baseUrl` must not have a query or a fragment: use `query`")
  }
  const trimmed = baseUrl.replace(/\/+$/, "")
  if (trimmed.endsWith(path)) throw illegal(`\`baseUrl\` must end before ${path}, which is added to it, ${got}`)
  return trimmed + path
}
