/**
 * The upstreams a program can ask: the provider service, and its adapters. One namespace a concept.
 *
 * @since 0.1.0
 */
export * as AnthropicMessages from "./AnthropicMessages.ts"
export * as Embedding from "./Embedding.ts"
export * as Failure from "./Failure.ts"
export * as Gemini from "./Gemini.ts"
export * as LanguageModelProvider from "./LanguageModelProvider.ts"
export * as OpenAiChat from "./OpenAiChat.ts"
export * as OpenAiResponses from "./OpenAiResponses.ts"
export * as Provider from "./Provider.ts"
