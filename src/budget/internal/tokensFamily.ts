/**
 * How the models of each family count, as far as that is documented or has been measured. `docs/context-window.md` has the
 * sources.
 */
import type * as Prompt from "effect/ai/Prompt"
import type { Encoding } from "./tokensEncoding.ts"

/** A number for which one is likely and another is hardly ever exceeded. */
export interface Share {
  readonly expected: number
  readonly bound: number
}

const share = (expected: number, bound = expected): Share => ({ expected, bound })

/** How an image becomes tokens. */
export type ImageRule =
  /** OpenAI's older models: so many at first, and for each tile of 512 pixels. */
  | { readonly type: "tiles"; readonly base: number; readonly tile: number }
  /** Patches of so many pixels, at most so many, each of so many tokens. */
  | {
    readonly type: "patches"
    readonly pixels: number
    readonly limit: number
    readonly longestEdge: number
    readonly factor: number
  }
  /** Gemini 2 and before: tiles of up to 768 pixels, 258 tokens each. */
  | { readonly type: "crops" }
  /** Gemini 3 and later: the same for all sizes. */
  | { readonly type: "fixed"; readonly tokens: number }

/** How the models of a family count. */
export interface Family {
  readonly name: string
  /** The encoding that it has, or that its own is compared with. */
  readonly encoding: Encoding
  /** Whether the encoding is its own. */
  readonly encoded: boolean
  /** Whether it is documented how messages are put together. */
  readonly documented: boolean
  /** Its tokens for one of the encoding; of a family that has the encoding, for one of an estimate without tables. */
  readonly text: Share
  /**
   * On top of that, its tokens for a character of another script than the Latin one; of a family that has the encoding, only where
   * there are no tables.
   */
  readonly foreign: Share
  /** What is around a request, a message, a call of a tool or its result. */
  readonly request: Share
  readonly message: Share
  readonly call: Share
  /** What is around the definitions of tools, and around each. */
  readonly tools: Share
  readonly tool: Share
  /** Its tokens for one of the JSON of a definition or a schema. */
  readonly json: Share
  /** Whether a thought is sent to it. */
  readonly thinks: (part: Prompt.ReasoningPart) => boolean
  readonly image: ImageRule
  /** A page of a PDF document. */
  readonly page: Share
  /** A second of sound, and of a film. */
  readonly sound: Share
  readonly film: Share
}

const openai: Family = {
  name: "openai",
  encoding: "o200k_base",
  encoded: true,
  documented: false,
  text: share(1),
  foreign: share(0),
  request: share(3),
  // Three around it, and its role.
  message: share(4),
  call: share(6, 10),
  tools: share(9, 16),
  tool: share(0, 6),
  // Definitions are rewritten as types of TypeScript, which are shorter than JSON schema.
  json: share(0.75, 1),
  // Chat Completions has no field for them.
  thinks: () => false,
  image: { type: "patches", pixels: 32, limit: 2500, longestEdge: 2048, factor: 1.2 },
  page: share(1200, 3000),
  sound: share(10, 20),
  film: share(263, 300)
}

const tiles = (base: number, tile: number): ImageRule => ({ type: "tiles", base, tile })

const patches = (factor: number): ImageRule => ({
  type: "patches",
  pixels: 32,
  limit: 1536,
  longestEdge: Infinity,
  factor
})

const cl100k: Family = {
  ...openai,
  encoding: "cl100k_base",
  documented: true,
  text: share(1.05, 1.2),
  foreign: share(0.4, 0.8),
  image: tiles(85, 170)
}

const differently = (own: Partial<Family>): Family => ({ ...openai, ...own })

// The first that fits.
const openaiModels: ReadonlyArray<readonly [model: RegExp, family: Family]> = [
  [/^gpt-4o-mini/, differently({ documented: true, image: tiles(2833, 5667) })],
  [/^(?:gpt-4o|chatgpt-4o)/, differently({ documented: true, image: tiles(85, 170) })],
  [/^gpt-4\.1-mini/, differently({ image: patches(1.62) })],
  [/^gpt-4\.1-nano/, differently({ image: patches(2.46) })],
  [/^gpt-4\./, differently({ image: tiles(85, 170) })],
  [/^o4-mini|^codex-mini/, differently({ image: patches(1.72) })],
  [/^o[13]/, differently({ image: tiles(75, 150) })],
  [/^computer-use/, differently({ image: tiles(65, 129) })],
  // What is documented; what is billed has been measured as 1.2 and 1.5.
  [/^gpt-5(?:\.\d+)?-mini/, differently({ image: patches(1.62) })],
  [/^gpt-5(?:\.\d+)?-nano/, differently({ image: patches(2.46) })],
  [/^gpt-5(?![.\d])/, differently({ image: tiles(70, 140) })],
  [/^gpt-oss/, differently({ request: share(3, 120), thinks: () => true })]
]

const signedBy = (provider: string, field: string) => (part: Prompt.ReasoningPart): boolean => {
  const own = part.options[provider]
  return typeof own === "object" && own !== null && field in own
}

const claude: Family = {
  name: "claude",
  encoding: "o200k_base",
  encoded: false,
  documented: false,
  text: share(1.2, 1.4),
  foreign: share(0.4, 0.9),
  request: share(8, 16),
  message: share(4, 8),
  call: share(20, 50),
  // A prompt of its own that explains how to call them.
  tools: share(346, 530),
  tool: share(10, 30),
  json: share(1),
  thinks: signedBy("anthropic", "signature"),
  image: { type: "patches", pixels: 28, limit: 1600, longestEdge: 1568, factor: 1 },
  page: share(2300, 4600),
  sound: share(32),
  film: share(300)
}

/** Claude since Opus 4.7, with another tokenizer and sharper eyes. */
const claude5: Family = {
  ...claude,
  name: "claude5",
  text: share(1.5, 1.8),
  tools: share(470, 900),
  image: { type: "patches", pixels: 28, limit: 4800, longestEdge: 2576, factor: 1 },
  page: share(2500, 7800)
}

const gemini: Family = {
  name: "gemini",
  encoding: "o200k_base",
  encoded: false,
  documented: false,
  text: share(1.15, 1.4),
  foreign: share(0, 0.3),
  request: share(1, 8),
  message: share(2, 8),
  call: share(10, 40),
  tools: share(20, 80),
  tool: share(5, 20),
  json: share(1),
  thinks: signedBy("google", "thoughtSignature"),
  image: { type: "fixed", tokens: 1120 },
  page: share(560, 1680),
  sound: share(32),
  film: share(263, 300)
}

const gemini2: Family = { ...gemini, name: "gemini2", image: { type: "crops" }, page: share(258, 1400) }

/** Anything else: Llama, Mistral, Qwen, DeepSeek, and what has a name of its own. */
const other: Family = {
  name: "other",
  encoding: "o200k_base",
  encoded: false,
  documented: false,
  text: share(1.15, 1.5),
  foreign: share(0.4, 0.9),
  // Some templates bring a system prompt of their own.
  request: share(10, 60),
  message: share(5, 10),
  call: share(20, 50),
  tools: share(100, 400),
  tool: share(10, 30),
  json: share(1),
  thinks: () => true,
  image: { type: "patches", pixels: 28, limit: 16_384, longestEdge: Infinity, factor: 1 },
  page: share(1500, 4600),
  sound: share(25, 50),
  film: share(263, 600)
}

// Up to Opus and Sonnet 4.6 and Haiku 4.5.
const oldClaude =
  /claude-(?:v?[123](?!\d)|instant|(?:opus|sonnet|haiku)-4(?:[-.][0-6](?!\d)|$|[-@:](?:latest|v\d|\d{6,})|@))/

const cache = new Map<string, Family>()

/** Whose models a name is one of; names of gateways and clouds before it do not matter. */
export const familyOf = (model: string): Family => {
  let family = cache.get(model)
  if (family === undefined) {
    family = find(model.toLowerCase())
    // Names come from programs, not from their users; and if not, then not for ever.
    if (cache.size >= 1000) cache.clear()
    cache.set(model, family)
  }
  return family
}

const find = (model: string): Family => {
  if (model.includes("claude")) return oldClaude.test(model) ? claude : claude5
  if (/gemini|gemma/.test(model)) return /gemini-[12](?!\d)|gemma/.test(model) ? gemini2 : gemini
  const name =
    /(?:^|[/:.])((?:gpt-|gpt35|chatgpt|o[134](?![a-z\d])|codex|computer-use|davinci-002|babbage-002|text-embedding).*)$/
      .exec(model)?.[1]
  if (name === undefined) return other
  if (/^(?:gpt-3|gpt35|gpt-4(?![.o\d])|davinci|babbage|text-embedding)/.test(name)) return cl100k
  return openaiModels.find(([pattern]) => pattern.test(name))?.[1] ?? openai
}
