/**
 * What `AnthropicMessages` sends is what Anthropic's own client sends.
 *
 * The client speaks the newest version of the API and gives the key as a bearer token; the adapter is told to do the same. What it
 * sends by default (`2023-06-01`, `x-api-key`) is in `AnthropicMessages.http.test.ts`.
 */
import Anthropic from "@anthropic-ai/sdk"
import { AnthropicMessages } from "effect-bulwark/providers"
import * as Wire from "./support/messagesWire.ts"
import { apiKey, type Peer, type SameCall, sendsTheSame } from "./support/sdk.ts"
import * as Calls from "./support/sdkCalls.ts"

type Params = Anthropic.MessageCreateParamsNonStreaming

const model = "claude-opus-5"

const streaming = (params: Params) => ({ ...params, stream: true }) satisfies Anthropic.MessageCreateParams

const peer: Peer<AnthropicMessages.Options, Params> = {
  model,
  make: (options) =>
    AnthropicMessages.make("anthropic", {
      ...options,
      version: "2026-10-21",
      apiKeyHeader: "Authorization",
      betas: ["one-2025-01-01", "two-2025-02-02"]
    }),
  send: async (url, params, streamed) => {
    const { messages } = new Anthropic({
      apiKey,
      baseURL: url,
      maxRetries: 0,
      defaultHeaders: { "anthropic-beta": "one-2025-01-01,two-2025-02-02" }
    })
    if (!streamed) return messages.create(params)
    for await (const _ of await messages.create(streaming(params)));
  },
  path: "/v1",
  headers: ["authorization", "anthropic-version", "anthropic-beta", "content-type"],
  body: (params, streamed) => streamed ? streaming(params) : params,
  answer: Wire.textAnswer("hi"),
  stream: Wire.streamOf(Wire.textBlock(0, "hi"))
}

const text = (text: string) => ({ type: "text" as const, text })

const plain = { model, max_tokens: 8192 }

const hello: Params["messages"] = [{ role: "user", content: [text("Hello?")] }]

const weather: Anthropic.Tool = {
  name: "weather",
  description: "Tells the weather.",
  input_schema: Calls.weatherSchema
}

const clock: Anthropic.Tool = { name: "clock", input_schema: Calls.clockSchema }

const tools = [Calls.Weather, Calls.Clock]

const ephemeral = { anthropic: { cacheControl: { type: "ephemeral" } } }

type Call = SameCall<AnthropicMessages.Options, Params>

const choice = (
  toolChoice: NonNullable<Call["ours"]["toolChoice"]>,
  tool_choice: NonNullable<Params["tool_choice"]>,
  offered = [weather, clock]
): Call => ({
  ours: { prompt: "Hello?", tools, toolChoice },
  theirs: { ...plain, messages: hello, tools: offered, tool_choice }
})

const thinking = (
  settings: NonNullable<Call["ours"]["settings"]>,
  options: AnthropicMessages.Options,
  theirs: Partial<Params>
): Call => ({
  ours: { prompt: "Hello?", settings, options },
  theirs: { ...plain, messages: hello, ...theirs }
})

const calls: { readonly [name: string]: Call } = {
  "a text": {
    ours: { prompt: "Hello?" },
    theirs: { ...plain, messages: hello }
  },
  "unicode": {
    ours: { prompt: Calls.unicode },
    theirs: { ...plain, messages: [{ role: "user", content: [text(Calls.unicode)] }] }
  },
  "several turns, and the system's words": {
    ours: {
      prompt: [
        { role: "system", content: "Be brief." },
        { role: "system", content: "Be kind." },
        { role: "user", content: "Hello?" },
        { role: "user", content: [{ type: "text", text: "Are you there?" }, { type: "text", text: "  " }] },
        { role: "assistant", content: "Hi." },
        { role: "user", content: "What is two and two?" },
        { role: "assistant", content: "It is " }
      ]
    },
    theirs: {
      ...plain,
      system: [text("Be brief."), text("Be kind.")],
      messages: [
        { role: "user", content: [text("Hello?"), text("Are you there?")] },
        { role: "assistant", content: [text("Hi.")] },
        { role: "user", content: [text("What is two and two?")] },
        { role: "assistant", content: [text("It is")] }
      ]
    }
  },
  "images, by address, inline and uploaded before": {
    ours: {
      prompt: [{
        role: "user",
        content: [
          { type: "text", text: "What are these?" },
          { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png?x=1&y=%20") },
          { type: "file", mediaType: "image/png", data: Calls.png },
          { type: "file", mediaType: "image/jpeg", data: Calls.pngBase64 },
          { type: "file", mediaType: "image/png", data: "file_1" }
        ]
      }]
    },
    theirs: {
      ...plain,
      messages: [{
        role: "user",
        content: [
          text("What are these?"),
          { type: "image", source: { type: "url", url: "https://example.com/a.png?x=1&y=%20" } },
          { type: "image", source: { type: "base64", media_type: "image/png", data: Calls.pngBase64 } },
          { type: "image", source: { type: "base64", media_type: "image/jpeg", data: Calls.pngBase64 } },
          { type: "image", source: { type: "file", file_id: "file_1" } }
        ]
      }]
    }
  },
  "documents": {
    ours: {
      prompt: [{
        role: "user",
        content: [
          {
            type: "file",
            mediaType: "application/pdf",
            data: Calls.pdfBase64,
            fileName: "a.pdf",
            options: { anthropic: { citations: { enabled: true }, context: "a report" } }
          },
          { type: "file", mediaType: "application/pdf", data: new URL("https://example.com/a.pdf") },
          { type: "file", mediaType: "application/pdf", data: "file_1" },
          { type: "file", mediaType: "text/plain", data: new TextEncoder().encode(Calls.unicode), fileName: "a.txt" }
        ]
      }]
    },
    theirs: {
      ...plain,
      messages: [{
        role: "user",
        content: [
          {
            type: "document",
            source: { type: "base64", media_type: "application/pdf", data: Calls.pdfBase64 },
            title: "a.pdf",
            citations: { enabled: true },
            context: "a report"
          },
          { type: "document", source: { type: "url", url: "https://example.com/a.pdf" } },
          { type: "document", source: { type: "file", file_id: "file_1" } },
          {
            type: "document",
            source: { type: "text", media_type: "text/plain", data: Calls.unicode },
            title: "a.txt"
          }
        ]
      }]
    }
  },
  "tools of all kinds": {
    ours: { prompt: "Hello?", tools: [Calls.StrictWeather, Calls.Clock, Calls.Search] },
    theirs: {
      ...plain,
      messages: hello,
      tools: [
        {
          name: "weather",
          description: "Tells the weather.",
          input_schema: Calls.strictWeatherSchema,
          strict: true
        },
        clock,
        { name: "search", description: "Searches for it.", input_schema: Calls.searchSchema }
      ],
      tool_choice: { type: "auto" }
    }
  },
  "no tool, though there are": choice("none", { type: "none" }),
  "any tool, but one": choice("required", { type: "any" }),
  "one certain tool": choice({ tool: "clock" }, { type: "tool", name: "clock" }),
  "some of the tools": choice({ oneOf: ["clock"] }, { type: "auto" }, [clock]),
  "some of the tools, but one": choice({ mode: "required", oneOf: ["clock"] }, { type: "any" }, [clock]),
  "calls at once, and what became of them": {
    ours: {
      prompt: [
        { role: "user", content: "Paris and Rome?" },
        {
          role: "assistant",
          content: [
            { type: "text", text: "I look." },
            { type: "tool-call", id: "toolu_1", name: "weather", params: { city: "Paris", days: 2 } },
            { type: "tool-call", id: "call:2", name: "weather", params: { city: Calls.unicode } }
          ]
        },
        {
          role: "tool",
          content: [
            { type: "tool-result", id: "toolu_1", name: "weather", isFailure: false, result: { celsius: 21 } },
            { type: "tool-result", id: "call:2", name: "weather", isFailure: true, result: "no such city" }
          ]
        },
        { role: "user", content: "Go on." },
        { role: "assistant", content: [{ type: "tool-call", id: "toolu_3", name: "clock", params: {} }] },
        {
          role: "tool",
          content: [{
            type: "tool-result",
            id: "toolu_3",
            name: "clock",
            isFailure: false,
            result: { hidden: true },
            modelOutput: [
              { type: "text", text: "noon" },
              { type: "file", mediaType: "image/png", data: Calls.png }
            ]
          }]
        }
      ],
      tools
    },
    theirs: {
      ...plain,
      messages: [
        { role: "user", content: [text("Paris and Rome?")] },
        {
          role: "assistant",
          content: [
            text("I look."),
            { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Paris", days: 2 } },
            { type: "tool_use", id: "call_2", name: "weather", input: { city: Calls.unicode } }
          ]
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "toolu_1", content: "{\"celsius\":21}" },
            { type: "tool_result", tool_use_id: "call_2", content: "no such city", is_error: true },
            text("Go on.")
          ]
        },
        { role: "assistant", content: [{ type: "tool_use", id: "toolu_3", name: "clock", input: {} }] },
        {
          role: "user",
          content: [{
            type: "tool_result",
            tool_use_id: "toolu_3",
            content: [
              text("noon"),
              { type: "image", source: { type: "base64", media_type: "image/png", data: Calls.pngBase64 } }
            ]
          }]
        }
      ],
      tools: [weather, clock],
      tool_choice: { type: "auto" }
    }
  },
  "JSON of a schema": {
    ours: { prompt: "Hello?", responseFormat: { type: "json", objectName: "city", schema: Calls.City } },
    theirs: {
      ...plain,
      messages: hello,
      output_config: { format: { type: "json_schema", schema: Calls.citySchema } }
    }
  },
  "JSON of a schema that the API cannot enforce": {
    ours: {
      prompt: "Hello?",
      responseFormat: { type: "json", objectName: "the rivers", schema: Calls.Rivers },
      tools: [Calls.Clock]
    },
    theirs: {
      ...plain,
      messages: hello,
      tools: [clock, {
        name: "the_rivers",
        description: "Gives the answer. Its parameters are the answer.",
        input_schema: {
          type: "object",
          properties: { value: Calls.riversSchema },
          required: ["value"],
          additionalProperties: false
        }
      }],
      tool_choice: { type: "any" }
    }
  },
  "JSON of a schema, from a model that knows only tools": {
    ours: {
      prompt: "Hello?",
      responseFormat: { type: "json", objectName: "city", schema: Calls.City },
      options: { jsonFormat: "tool" }
    },
    theirs: {
      ...plain,
      messages: hello,
      tools: [{
        name: "city",
        description: "Gives the answer. Its parameters are the answer.",
        input_schema: { ...Calls.citySchema, type: "object" }
      }],
      tool_choice: { type: "tool", name: "city" }
    }
  },
  "every setting": {
    ours: {
      prompt: "Hello?",
      settings: {
        maxOutputTokens: 100,
        stop: ["END", "\n\nHuman:"],
        // The API has no such thing.
        seed: 7,
        extra: {
          metadata: { user_id: "user-1" },
          service_tier: "standard_only",
          cache_control: { type: "ephemeral", ttl: "1h" }
        }
      }
    },
    theirs: {
      model,
      messages: hello,
      max_tokens: 100,
      stop_sequences: ["END", "\n\nHuman:"],
      metadata: { user_id: "user-1" },
      service_tier: "standard_only",
      cache_control: { type: "ephemeral", ttl: "1h" }
    }
  },
  "how to sample": {
    ours: { prompt: "Hello?", settings: { temperature: 0.5, topP: 0.25 } },
    theirs: { ...plain, messages: hello },
    differs: {
      because: "the client's version of the API refuses sampling, which older versions, models and other servers know",
      mend: (theirs) => ({ ...theirs, temperature: 0.5, top_p: 0.25 })
    }
  },
  "a limit for all answers": {
    ours: { prompt: "Hello?", options: { defaultMaxTokens: 1000 } },
    theirs: { model, max_tokens: 1000, messages: hello }
  },
  "thinking, as much as the model likes": thinking({ reasoningEffort: "high" }, {}, {
    thinking: { type: "adaptive" },
    output_config: { effort: "high" }
  }),
  "thinking, and JSON": {
    ours: {
      prompt: "Hello?",
      settings: { reasoningEffort: "max" },
      responseFormat: { type: "json", objectName: "city", schema: Calls.City }
    },
    theirs: {
      ...plain,
      messages: hello,
      thinking: { type: "adaptive" },
      output_config: { effort: "max", format: { type: "json_schema", schema: Calls.citySchema } }
    }
  },
  "thinking, within a budget": thinking({ reasoningEffort: "low", maxOutputTokens: 10_000 }, { thinking: "budget" }, {
    max_tokens: 10_000,
    thinking: { type: "enabled", budget_tokens: 2000 }
  }),
  "no thinking": thinking({ reasoningEffort: "none" }, {}, { thinking: { type: "disabled" } }),
  "what the model thought, signed, redacted, and another's": {
    ours: {
      prompt: [
        { role: "user", content: "Paris?" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "A city.", options: { anthropic: { signature: "c2ln" } } },
            { type: "reasoning", text: "", options: { anthropic: { redactedData: "cmVk" } } },
            { type: "reasoning", text: "Another provider's thought." },
            { type: "text", text: "I look." },
            { type: "tool-call", id: "toolu_1", name: "clock", params: {} }
          ]
        },
        {
          role: "tool",
          content: [{ type: "tool-result", id: "toolu_1", name: "clock", isFailure: false, result: "noon" }]
        }
      ],
      tools: [Calls.Clock]
    },
    theirs: {
      ...plain,
      messages: [
        { role: "user", content: [text("Paris?")] },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "A city.", signature: "c2ln" },
            { type: "redacted_thinking", data: "cmVk" },
            text("I look."),
            { type: "tool_use", id: "toolu_1", name: "clock", input: {} }
          ]
        },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "noon" }] }
      ],
      tools: [clock],
      tool_choice: { type: "auto" }
    }
  },
  "what is worth keeping in the cache": {
    ours: {
      prompt: [
        { role: "system", content: "Be brief." },
        {
          role: "system",
          content: "Be kind.",
          options: { anthropic: { cacheControl: { type: "ephemeral", ttl: "1h" } } }
        },
        {
          role: "user",
          content: [
            { type: "file", mediaType: "application/pdf", data: Calls.pdfBase64, options: ephemeral },
            { type: "text", text: "What is in it?" }
          ]
        },
        {
          role: "assistant",
          content: [{ type: "tool-call", id: "toolu_1", name: "clock", params: {}, options: ephemeral }]
        },
        {
          role: "tool",
          content: [{ type: "tool-result", id: "toolu_1", name: "clock", isFailure: false, result: "noon" }],
          options: ephemeral
        }
      ],
      tools: [Calls.Clock]
    },
    theirs: {
      ...plain,
      system: [text("Be brief."), { ...text("Be kind."), cache_control: { type: "ephemeral", ttl: "1h" } }],
      messages: [
        {
          role: "user",
          content: [
            {
              type: "document",
              source: { type: "base64", media_type: "application/pdf", data: Calls.pdfBase64 },
              cache_control: { type: "ephemeral" }
            },
            text("What is in it?")
          ]
        },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "toolu_1", name: "clock", input: {}, cache_control: { type: "ephemeral" } }
          ]
        },
        {
          role: "user",
          content: [{
            type: "tool_result",
            tool_use_id: "toolu_1",
            content: "noon",
            cache_control: { type: "ephemeral" }
          }]
        }
      ],
      tools: [clock],
      tool_choice: { type: "auto" }
    }
  }
}

sendsTheSame(peer, calls)
