/**
 * How servers of Chat Completions differ from OpenAI's own, as data; `../OpenAiChat.ts` is where it is documented as a whole.
 */
import type * as Redacted from "effect/Redacted"

/**
 * How a server likes its requests, where servers differ. A preset ({@link groq}, {@link mistral}, ...) is one, and so is whatever you
 * write down for a server of your own.
 *
 * **Example** (A server that is nearly another one)
 *
 * ```ts
 * import { OpenAiChat } from "effect-bulwark/providers"
 *
 * const gateway: OpenAiChat.Dialect = { ...OpenAiChat.mistral, baseUrl: "https://llm.example.com/v1", streamUsage: true }
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Dialect {
  /**
   * The URL up to, and without, `/chat/completions`. A `{model}` in it is replaced by the model's name. Default:
   * `https://api.openai.com/v1`.
   */
  readonly baseUrl?: string | undefined
  /**
   * The header that carries the key. Default: `Authorization`, with the key as a bearer token; any other header carries
   * the key as it is.
   */
  readonly apiKeyHeader?: string | undefined
  /**
   * What shares a quota: when one request is told to wait, all that share its quota wait. `model` where the server counts each
   * model by itself, as OpenAI mostly does. Default: the whole `account`.
   */
  readonly quotaDomain?: "account" | "model" | undefined
  /**
   * The field for `maxOutputTokens`. Reasoning models at OpenAI know only the newer name, some other servers only the
   * older. Default: `max_completion_tokens`.
   */
  readonly maxTokensField?: "max_completion_tokens" | "max_tokens" | undefined
  /** The field for `seed`. Default: `seed`. */
  readonly seedField?: "seed" | "random_seed" | undefined
  /**
   * How `reasoningEffort` is said. `reasoning_effort`: in the field of this name. `reasoning`: as `{ effort }` in the field of this name.
   * `thinking`: in `reasoning_effort`, but `none` as `thinking: { type: "disabled" }`. Default: `reasoning_effort`.
   */
  readonly reasoningEffort?: "reasoning_effort" | "reasoning" | "thinking" | undefined
  /**
   * The field in which a model's earlier reasoning is sent back to it. Servers with `reasoning_content` want it with tool calls, be it
   * empty; other servers ignore or refuse it. Default: it is not sent back.
   */
  readonly reasoningField?: "reasoning_content" | "reasoning" | undefined
  /** Asks for the usage of streamed answers, with `stream_options`, which some servers do not know. Default: true. */
  readonly streamUsage?: boolean | undefined
  /**
   * How JSON of a schema is asked for. `schema`: by the schema, as `response_format`. `schema-and-prompt`: in words too, in the system
   * message. `prompt`: only in words, beside a `response_format` that asks for JSON of any kind. Default: `schema`.
   */
  readonly jsonMode?: "schema" | "schema-and-prompt" | "prompt" | undefined
  /**
   * Which choices of tools a server understands. `named`: all. `words`: none that names a tool, so that this one tool is offered
   * alone, and required. `ignored`: none, so that tools are not offered where none is to be called, and one alone where that is to be
   * called; that it is called cannot be made sure of. Default: `named`.
   */
  readonly toolChoice?: "named" | "words" | "ignored" | undefined
  /**
   * The ids of tool calls that a server takes. `any`: all. `nine`: nine letters and digits, so that others, of another model that was
   * asked before, are replaced. Default: `any`.
   */
  readonly toolCallIds?: "any" | "nine" | undefined
  /** Marks the last message as the beginning of the answer (`prefix`), where it is one of the model. Default: false. */
  readonly prefixField?: boolean | undefined
  /**
   * How the numbers of embeddings are asked for. They are the same; `base64` is a quarter to a half of the bytes, and what the official
   * client of OpenAI asks for. Either is understood whichever was asked for. Default: `base64`.
   */
  readonly embeddingFormat?: "base64" | "float" | undefined
  /** Parameters of the URL, such as Azure's `api-version`. */
  readonly query?: { readonly [name: string]: string | Redacted.Redacted<string> } | undefined
}

/**
 * Azure OpenAI, v1. It needs your own `baseUrl`, such as `https://NAME.openai.azure.com/openai/v1`; a model is the name of a deployment.
 *
 * **Details**
 *
 * The key goes into `api-key`, and each deployment has a quota of its own. With a token of Entra ID instead of a key, set `apiKeyHeader`
 * to `Authorization`.
 *
 * Sources: [API version lifecycle](https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle),
 * [quotas](https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota).
 *
 * @category dialects
 * @since 0.1.0
 */
export const azure: Dialect = {
  // No URL, so that a key never goes to anybody else where one's own has been forgotten.
  baseUrl: "https://<resource>.openai.azure.com/openai/v1",
  apiKeyHeader: "api-key",
  quotaDomain: "model"
}

/**
 * Azure OpenAI, by deployments. It needs your own `baseUrl`, such as `https://NAME.openai.azure.com/openai/deployments/{model}`; the model
 * is the name of a deployment. The `api-version` is that of the last stable one of this API: set `query` for another.
 *
 * **Details**
 *
 * Source: [reference](https://learn.microsoft.com/azure/ai-foundry/openai/reference).
 *
 * @category dialects
 * @since 0.1.0
 */
export const azureDeployments: Dialect = {
  ...azure,
  baseUrl: "https://<resource>.openai.azure.com/openai/deployments/{model}",
  query: { "api-version": "2024-10-21" }
}

/**
 * OpenRouter.
 *
 * **Details**
 *
 * Efforts are in `reasoning`, and the text of earlier reasoning goes back to the model. A rate limit is mostly that of one
 * model's upstream, so that other models are not made to wait for it.
 *
 * Sources: [reasoning](https://openrouter.ai/docs/guides/best-practices/reasoning-tokens),
 * [API](https://openrouter.ai/docs/api-reference/overview), [limits](https://openrouter.ai/docs/api-reference/limits).
 *
 * @category dialects
 * @since 0.1.0
 */
export const openRouter: Dialect = {
  baseUrl: "https://openrouter.ai/api/v1",
  quotaDomain: "model",
  reasoningEffort: "reasoning",
  reasoningField: "reasoning"
}

/**
 * Groq.
 *
 * **Details**
 *
 * Limits are those of each model. Only some of its models know JSON of a schema: for the others set `jsonMode` to `prompt`. It refuses
 * reasoning that is sent back in the field that other servers have for it.
 *
 * Sources: [compatibility](https://console.groq.com/docs/openai), [limits](https://console.groq.com/docs/rate-limits),
 * [structured outputs](https://console.groq.com/docs/structured-outputs).
 *
 * @category dialects
 * @since 0.1.0
 */
export const groq: Dialect = { baseUrl: "https://api.groq.com/openai/v1", quotaDomain: "model" }

/**
 * Together AI.
 *
 * **Details**
 *
 * It knows the older name of the limit of tokens, wants a schema in the words of the prompt as well, and limits each model by itself.
 *
 * Sources: [chat completions](https://docs.together.ai/reference/chat-completions-1),
 * [structured outputs](https://docs.together.ai/docs/inference/chat/structured-outputs),
 * [limits](https://docs.together.ai/docs/rate-limits).
 *
 * @category dialects
 * @since 0.1.0
 */
export const together: Dialect = {
  baseUrl: "https://api.together.xyz/v1",
  quotaDomain: "model",
  maxTokensField: "max_tokens",
  jsonMode: "schema-and-prompt"
}

/**
 * DeepSeek.
 *
 * **Details**
 *
 * It knows JSON, but no schema: that stands in the words of the prompt. Reasoning goes back to the model, which refuses its own tool
 * calls without. The effort `none` turns thinking off. To let a model go on from words of its own, use its beta:
 * `{ ...OpenAiChat.deepSeek, baseUrl: "https://api.deepseek.com/beta", prefixField: true }`.
 *
 * Sources: [chat completions](https://api-docs.deepseek.com/api/create-chat-completion),
 * [JSON](https://api-docs.deepseek.com/guides/json_mode), [thinking](https://api-docs.deepseek.com/guides/thinking_mode),
 * [prefixes](https://api-docs.deepseek.com/guides/chat_prefix_completion).
 *
 * @category dialects
 * @since 0.1.0
 */
export const deepSeek: Dialect = {
  baseUrl: "https://api.deepseek.com",
  maxTokensField: "max_tokens",
  jsonMode: "prompt",
  reasoningEffort: "thinking",
  reasoningField: "reasoning_content"
}

/**
 * Mistral.
 *
 * **Details**
 *
 * It refuses fields that it does not know: `max_completion_tokens`, `seed` (which is `random_seed` there), `stream_options` (the usage
 * comes unasked). Ids of tool calls have nine letters and digits. A last message of the model needs `prefix` to be gone on from.
 *
 * Sources: [API](https://docs.mistral.ai/api/), [unknown fields](https://github.com/mistralai/platform-docs-public/issues/7),
 * [ids](https://mistralai.github.io/mistral-common/usage/tools/).
 *
 * @category dialects
 * @since 0.1.0
 */
export const mistral: Dialect = {
  baseUrl: "https://api.mistral.ai/v1",
  maxTokensField: "max_tokens",
  seedField: "random_seed",
  streamUsage: false,
  toolCallIds: "nine",
  prefixField: true
}

/**
 * xAI.
 *
 * **Details**
 *
 * Limits are those of each model. Its reasoning models refuse `stop`. To xAI itself this protocol is an old one: what is new is found in
 * its own first.
 *
 * Sources: [practices](https://docs.x.ai/developers/model-capabilities/text/best-practices), [reasoning](https://docs.x.ai/docs/guides/reasoning), [limits](https://docs.x.ai/developers/rate-limits).
 *
 * @category dialects
 * @since 0.1.0
 */
export const xai: Dialect = { baseUrl: "https://api.x.ai/v1", quotaDomain: "model" }

/**
 * vLLM on this machine: OpenAI's dialect, at the port that it chooses by itself.
 *
 * **Details**
 *
 * Source: [server](https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html).
 *
 * @category dialects
 * @since 0.1.0
 */
export const vllm: Dialect = { baseUrl: "http://localhost:8000/v1" }

/**
 * Ollama on this machine.
 *
 * **Details**
 *
 * It knows only the older name of the limit of tokens, and no choice of tools. Reasoning goes back to the model.
 *
 * Sources: [compatibility](https://docs.ollama.com/api/openai-compatibility),
 * [fields](https://github.com/ollama/ollama/blob/main/openai/openai.go),
 * [tool choice](https://github.com/ollama/ollama/issues/17921), [tokens](https://github.com/ollama/ollama/issues/7125).
 *
 * @category dialects
 * @since 0.1.0
 */
export const ollama: Dialect = {
  baseUrl: "http://localhost:11434/v1",
  maxTokensField: "max_tokens",
  toolChoice: "ignored",
  reasoningField: "reasoning"
}

/**
 * The server of llama.cpp, on this machine.
 *
 * **Details**
 *
 * A choice that names a tool is no choice to it: it would be taken for `auto`, in silence.
 *
 * Sources: [server](https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md),
 * [tool choice](https://pypi.org/project/langchain-llama-cpp/).
 *
 * @category dialects
 * @since 0.1.0
 */
export const llamaCpp: Dialect = {
  baseUrl: "http://localhost:8080/v1",
  maxTokensField: "max_tokens",
  toolChoice: "words"
}

/**
 * LM Studio on this machine.
 *
 * **Details**
 *
 * It refuses a choice that names a tool.
 *
 * Sources: [compatibility](https://lmstudio.ai/docs/developer/openai-compat),
 * [tool choice](https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/670).
 *
 * @category dialects
 * @since 0.1.0
 */
export const lmStudio: Dialect = {
  baseUrl: "http://localhost:1234/v1",
  maxTokensField: "max_tokens",
  toolChoice: "words"
}
