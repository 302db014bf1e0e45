/**
 * What the ids of tool calls are to a server that does not take those of others.
 */

/** What an id of a prompt is to the server. */
export type IdOf = (id: string) => string

export const anyIds: IdOf = (id) => id

/**
 * Ids of nine letters and digits: those that are so already, and the next free one for each of the others. They follow from the prompt
 * alone, so that a conversation that grows is sent in the same words, and a cache of the server's finds it.
 */
export const nineIds = (): IdOf => {
  const ids = new Map<string, string>()
  const taken = new Set<string>()
  let next = 0
  return (id) => {
    let nine = ids.get(id)
    if (nine === undefined) {
      nine = id
      while (!/^[a-zA-Z0-9]{9}$/.test(nine) || taken.has(nine)) nine = `c${(next++).toString(36).padStart(8, "0")}`
      ids.set(id, nine)
      taken.add(nine)
    }
    return nine
  }
}
