/**
 * Cuts text into pieces as a tokenizer would: about six characters each, the space kept in front of its word.
 *
 * No model's vocabulary is used, because what matters is that the pieces of a text are always the same, and that joined
 * they are the text again, whatever it contains.
 */
const piece = /\s{2,6}| ?[\p{L}\p{M}\p{N}_]{1,5}| ?[^\s\p{L}\p{M}\p{N}_]{1,3}|\s/gu

export const tokenize = (text: string): ReadonlyArray<string> => text.match(piece) ?? []

export const countTokens = (text: string): number => tokenize(text).length
