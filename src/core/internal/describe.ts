/**
 * The one form of every error message: who, what, how to mend it, and the codes to quote. Nothing in it can be a key, a
 * prompt or an answer: callers pass their own words, numbers and identifiers only.
 */
export const describe = (
  error: {
    readonly provider?: string
    readonly model?: string
    readonly status?: number
    readonly code?: string
    readonly requestId?: string
  },
  words: { readonly what: string; readonly mend: string | undefined }
): string => {
  const who = error.provider === undefined
    ? error.model
    : error.model === undefined
    ? error.provider
    : `${error.provider}/${error.model}`
  const facts = [
    error.status === undefined ? undefined : `status ${error.status}`,
    error.code === undefined ? undefined : `code ${error.code}`,
    error.requestId === undefined ? undefined : `request ${error.requestId}`
  ].filter((fact) => fact !== undefined)
  return (who === undefined ? "" : `${who}: `) + words.what +
    (facts.length === 0 ? "" : ` [${facts.join(", ")}]`) +
    (words.mend === undefined ? "" : `; ${words.mend}`)
}
