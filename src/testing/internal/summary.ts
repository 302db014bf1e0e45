/**
 * Extractive text: the sentences and words of an input, and the few sentences that say most of it.
 */
const common = new Set(
  ("a an and are as at be been but by can could did do does for from had has have how i if in into is it its may me " +
    "more my no not of on or our please she should so some such than that the their them then there these they this " +
    "to was we were what when which who will with would you your he his her about also each following").split(" ")
)

const abbreviations = new Set([
  "mr",
  "mrs",
  "ms",
  "dr",
  "prof",
  "st",
  "vs",
  "etc",
  "fig",
  "no",
  "e.g",
  "i.e",
  "cf",
  "al"
])

const longest = 400

export const words = (text: string): ReadonlyArray<string> => text.match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}'’-]*/gu) ?? []

/**
 * Cuts a text to at most `length` characters, at a space if there is one.
 */
export const clip = (text: string, length: number): string => {
  if (text.length <= length) return text
  const space = text.lastIndexOf(" ", length)
  // Never half of a surrogate pair
  return text.slice(0, space > 0 ? space : length).replace(/[\uD800-\uDBFF]$/, "").trimEnd()
}

const proseBlocks = (text: string): ReadonlyArray<string> => {
  const blocks: Array<string> = []
  let open: Array<string> = []
  let fence: string | undefined
  const close = () => {
    if (open.length > 0) blocks.push(open.join(" "))
    open = []
  }
  for (const raw of text.split(/\r\n|\r|\n/)) {
    const line = raw.trim()
    const mark = /^(```|~~~)/.exec(line)?.[1]
    if (mark !== undefined && (fence === undefined || fence === mark)) {
      close()
      fence = fence === undefined ? mark : undefined
    } else if (fence !== undefined) {
      continue
    } else if (line === "" || /^#{1,6}(\s|$)/.test(line) || /^([-*_=]\s*){3,}$/.test(line) || line.startsWith("|")) {
      close()
    } else {
      const item = /^(?:[-*+•]|\d{1,3}[.)])\s+(.*)$/.exec(line)
      if (item !== null) close()
      open.push((item?.[1] ?? line).replace(/^>\s?/, "").replace(/\s+/g, " "))
    }
  }
  close()
  return blocks
}

const endsSentence = (block: string, at: number): boolean => {
  const mark = block.charAt(at)
  if ("。！？".includes(mark)) return true
  if (!".!?…".includes(mark)) return false
  const rest = block.slice(at + 1, at + 8)
  if (!/^["'”’)\]]{0,4}(\s|$)/.test(rest)) return false
  // A full stop inside a sentence: "e.g. this", "J. Smith", "Dr. No"
  if (/^["'”’)\]]{0,4}\s+\p{Ll}/u.test(rest)) return false
  const before = /[\p{L}.]+$/u.exec(block.slice(Math.max(0, at - 12), at))?.[0].toLowerCase()
  return mark !== "." || before === undefined || !(abbreviations.has(before) || /^\p{L}$/u.test(before))
}

/**
 * The sentences of a text in order, each as it stands there (white space folded); headings, tables, rules and code are
 * left out.
 */
export const sentences = (text: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const block of proseBlocks(text)) {
    let start = 0
    for (let at = 0; at < block.length; at++) {
      if (!endsSentence(block, at)) continue
      let end = at + 1
      while (end < block.length && "\"'”’)]".includes(block.charAt(end))) end++
      found.push(block.slice(start, end).trim())
      start = end
      at = end - 1
    }
    found.push(block.slice(start).trim())
  }
  return found.filter((sentence) => sentence !== "")
}

const frequencies = (text: string): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const word of words(text)) {
    const key = word.toLowerCase()
    if (key.length > 2 && !common.has(key)) counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/**
 * The words that carry a text, the most frequent first; names (capitals inside a sentence) count double.
 */
export const keywords = (text: string): ReadonlyArray<string> => {
  const scores = new Map<string, { readonly word: string; score: number }>()
  const names = new Set(text.match(/(?<=[\p{Ll},] )\p{Lu}[\p{L}\p{N}]+/gu) ?? [])
  for (const word of words(text)) {
    const key = word.toLowerCase()
    if (key.length < 3 || common.has(key)) continue
    const entry = scores.get(key) ?? { word, score: 0 }
    entry.score += names.has(word) ? 2 : 1
    scores.set(key, entry)
  }
  return Array.from(scores.values()).toSorted((a, b) => b.score - a.score).map((entry) => entry.word)
}

const best = (found: ReadonlyArray<string>, text: string): ReadonlyArray<string> => {
  const counts = frequencies(text)
  const scored = found.map((sentence, index) => {
    const parts = words(sentence)
    const sum = parts.reduce((total, word) => total + (counts.get(word.toLowerCase()) ?? 0), 0)
    const fits = parts.length >= 4 && sentence.length <= longest
    return { sentence, index, fits, score: sum / Math.sqrt(parts.length + 4) }
  })
  const candidates = scored.some((one) => one.fits) ? scored.filter((one) => one.fits) : scored
  const most = 3 + (found.length > 20 ? 1 : 0) + (found.length > 60 ? 1 : 0)
  return candidates
    .toSorted((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, Math.min(most, Math.ceil(found.length / 2)))
    .toSorted((a, b) => a.index - b.index)
    .map((one) => clip(one.sentence, longest))
}

/**
 * Up to five real sentences of the text, in their order; a polite sentence with its words if it is too short for that.
 */
export const summarize = (text: string): string => {
  const found = sentences(text)
  if (found.length >= 2 && words(text).length >= 12) return best(found, text).join(" ")
  const said = clip((found[0] ?? text).replace(/\s+/g, " ").trim(), longest)
  if (said === "") return "Thank you. There was no text to answer."
  const about = keywords(said).slice(0, 3).join(", ")
  return `Thank you for your message: "${said}".${about === "" ? "" : ` It is about ${about}.`}`
}
