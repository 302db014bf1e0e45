/**
 * Finds what looks like a key in an error. The key of an AI SDK model is not known here, and servers are known to echo it.
 */
import { type Fields, fields, isFields, text } from "./read.ts"

// The beginnings of the keys that providers give out, and of tokens.
const keyLike =
  /\b(?:(?:sk|rk|pk|gsk|xai|csk|hf|r8|pplx|nvapi|fw|tgp)[-_]|AIza|ya29\.|eyJ)[\w.-]{8,}|(?<=\bBearer\s+)[\w.~+/=-]{8,}/gi

const maxLength = 65_536

/** What looks like a key in the words of errors, in the headers and the bodies of their responses, and in their URLs. */
export const keysIn = (chain: ReadonlyArray<Fields>): ReadonlyArray<string> => {
  const keys = new Set<string>()
  for (const error of chain) {
    for (const words of wordsOf(error)) {
      for (const [key] of words.slice(0, maxLength).matchAll(keyLike)) keys.add(key)
    }
    const url = URL.parse(text(error["url"]) ?? "")
    if (url === null) continue
    for (const value of url.searchParams.values()) keys.add(value)
    for (const secret of [url.password, url.username]) if (secret !== "") keys.add(decodeURIComponent(secret))
  }
  return [...keys]
}

const wordsOf = (error: Fields): ReadonlyArray<string> => {
  const { data, message, responseBody } = error
  return [
    text(message) ?? "",
    typeof responseBody === "string" ? responseBody : isFields(responseBody) ? JSON.stringify(responseBody) : "",
    data === undefined ? "" : JSON.stringify(data) ?? "",
    // What is no error is what a server has sent.
    error instanceof Error ? "" : JSON.stringify(error),
    ...Object.values(fields(error["responseHeaders"])).filter((value) => typeof value === "string")
  ]
}
