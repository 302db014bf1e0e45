/**
 * The headers of OpenAI's APIs: who is billed.
 */
import type { OwnHeader } from "./endpoint.ts"

export const openAiHeaders = (options: {
  readonly organization?: string | undefined
  readonly project?: string | undefined
}): ReadonlyArray<OwnHeader> => [
  ["organization", "openai-organization", options.organization],
  ["project", "openai-project", options.project]
]
