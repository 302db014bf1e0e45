/**
 * Reads a full Chat Completions answer.
 */
import type { AnswerPart } from "../../core/Part.ts"
import { readObject } from "./answerBody.ts"
import { finishedParams, readCalls, readContent } from "./chatContent.ts"
import { finishPart, isNativeError, usageField } from "./chatFinish.ts"
import { classifyInBand, type Exchange, identifiers, malformed, note } from "./classify.ts"
import { filteredCategories, isError } from "./errorBody.ts"
import type { Read } from "./exchange.ts"
import { finishReason, metadataPart } from "./finish.ts"
import { fields, isFields, items, Names, text } from "./read.ts"
import type { RestoreParams } from "./toolSchema.ts"

/** Reads the body of a response with status 200, which may be an error all the same. */
export const readAnswer = (exchange: Exchange, body: string, restore: RestoreParams): Read => {
  const read = readObject(exchange, body)
  if ("failure" in read) return read
  const answer = read.value
  if (isError(answer)) return { failure: classifyInBand(exchange, answer) }
  const choice = items(answer["choices"]).find(isFields)
  if (choice === undefined) return { failure: malformed(exchange, "it has no choices") }
  if (isFields(choice["error"])) return { failure: classifyInBand(exchange, choice) }
  const message = choice["message"]
  if (!isFields(message)) return { failure: malformed(exchange, "its choice has no message") }

  const parts: Array<AnswerPart> = []
  const names = new Names(exchange.origin.secrets)
  const metadata = metadataPart(names, answer)
  if (metadata !== undefined) parts.push(metadata)
  let refusal = ""
  const ignoredParts = new Set<string>()
  readContent(message, {
    text: (words) => parts.push({ type: "text", text: words }),
    reasoning: (words) => parts.push({ type: "reasoning", text: words }),
    refusal: (words) => {
      refusal += words
    },
    ignored: (name) => note(ignoredParts, name)
  })
  const raw = text(choice["finish_reason"])
  const mapped = isNativeError(choice) ? "error" : finishReason(raw ?? "")
  const calls = readCalls(message)
  const reason = refusal !== "" && (mapped === "stop" || mapped === "unknown")
    ? "content-filter"
    : calls.length > 0 && (mapped === "stop" || mapped === "other" || mapped === "unknown")
    ? "tool-calls"
    : mapped
  if (reason !== "content-filter" && reason !== "error") {
    for (const [index, { custom, id, name, params }] of calls.entries()) {
      const finished = finishedParams(params, custom)
      if (name !== undefined && finished !== undefined) {
        parts.push({ type: "tool-call", id: id ?? `call_${index}`, name, params: restore(name, finished) })
      } else if (reason !== "length") {
        const problem = name === undefined ? "a tool call has no name" : "the parameters of a tool call are not JSON"
        return { failure: malformed(exchange, problem) }
      }
    }
  }
  parts.push(finishPart(names, reason, {
    raw,
    native: text(choice["native_finish_reason"]),
    systemFingerprint: text(answer["system_fingerprint"]),
    serviceTier: text(answer["service_tier"]),
    usage: usageField(answer),
    refusal: text(names.scrub(refusal)),
    categories: identifiers(names, filteredCategories(fields(choice["content_filter_results"]))),
    ignoredParts,
    ignoredEvents: new Set(),
    malformedChunks: 0,
    errorAfterFinish: undefined
  }))
  return { parts }
}
