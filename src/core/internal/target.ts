/**
 * A model of a provider, between the one name that plans have for it and its two parts.
 */
import type { Target } from "./request.ts"

/** The parts of `provider/model`: a model may have slashes in its name, a provider has none. */
export const targetOf = (name: string | undefined): Target | undefined => {
  const slash = name?.indexOf("/") ?? -1
  return name === undefined || slash < 0
    ? undefined
    : { provider: name.slice(0, slash), model: name.slice(slash + 1) }
}
