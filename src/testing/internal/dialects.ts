/**
 * All dialects, and which of them a request is written in.
 */
import { chat } from "./chat.ts"
import type { Dialect, Target } from "./dialect.ts"
import { gemini } from "./gemini.ts"
import { messages } from "./messages.ts"
import { responses } from "./responses.ts"

const dialects = [gemini, messages, responses, chat]

/** What is asked for: an answer, the list of models, or nothing that there is. */
export interface Addressed {
  readonly dialect: Dialect
  readonly resource: "answer" | "models" | undefined
}

/** The path decides; where it is none of ours or everybody's, the client that seems to ask. */
export const addressed = (target: Target): Addressed => {
  const dialect = dialects.find(({ answersAt }) => answersAt(target.path))
  return dialect === undefined
    ? {
      dialect: dialects.find(({ speaks }) => speaks(target)) ?? chat,
      resource: target.path.endsWith("/models") ? "models" : undefined
    }
    : { dialect, resource: "answer" }
}
