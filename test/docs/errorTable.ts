/**
 * `docs/errors.md`, made from the table that policies read.
 */
import { LlmError } from "effect-bulwark"

const yes = (condition: boolean): string => condition ? "yes" : "no"

/** The page. */
export const render = (): string => {
  const rows = Object.entries(LlmError.table).map(([tag, row]) =>
    `| \`${tag}\` | ${row.meaning} | ${yes(row.transient)} | ${
      yes(row.failsOver)
    } | ${row.breaker} | ${row.httpStatus} | \`${row.aiReason}\` | ${row.strategy} |`
  )
  return `# Errors

Every way a call can fail, and what it means. This page is made from \`LlmError.table\`, which is what the policies read.

| Tag | What happened | Transient | Fails over | Circuit | HTTP status | \`AiError\` reason | What to do |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}

- **Transient**: sending the same request again may succeed (\`LlmError.isTransient\`). An error may know better than its row: a rate
  limit that one request exceeds all by itself is not transient, a total limit that has passed leaves no time to try again, and a
  stream that broke off is as transient as the failure behind it.
- **Fails over**: another model may succeed (\`LlmError.failsOver\`), so \`Llm.orElse\` handles it and takes it out of the type.
- **Circuit**: whether it counts against the provider. Errors of the caller do not.
- **HTTP status**: what to answer one's own caller with (\`LlmError.toHttpStatus\`).
- **\`AiError\` reason**: what it becomes behind \`effect/ai\`'s \`LanguageModel\` (\`LlmError.toAiError\`).

All are \`Schema.TaggedError\`s and survive a round trip through JSON by way of the \`LlmError.LlmError\` schema. Their messages are
made of our own words, numbers and machine-readable codes: never a key, a prompt or an answer. What the provider wrote is in
\`detail\`, what had arrived of an answer in \`partial\`; both are \`Redacted\`.
`
}
