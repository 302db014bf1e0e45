/**
 * The headers of OpenAI's APIs: who is billed.
 */
import type { EndpointOptions } from "./endpoint.ts"

/** The headers of a provider's options. Those that the user names win. */
export const openAiHeaders = (options: {
  readonly organization?: string | undefined
  readonly project?: string | undefined
  readonly headers?: EndpointOptions["headers"]
}): NonNullable<EndpointOptions["headers"]> => ({
  ...(options.organization === undefined ? undefined : { "openai-organization": options.organization }),
  ...(options.project === undefined ? undefined : { "openai-project": options.project }),
  ...options.headers
})
