/**
 * What `OpenAiChat` sends is what OpenAI's own client sends.
 */
import { OpenAiChat } from "effect-bulwark/providers"
import OpenAI from "openai"
import { apiKey, type Peer, type SameCall, sendsTheSame } from "./support/sdk.ts"
import * as Calls from "./support/sdkCalls.ts"
import * as Wire from "./support/wire.ts"

type Params = OpenAI.ChatCompletionCreateParamsNonStreaming

const model = "gpt-5-mini"

const streaming = (params: Params) =>
  ({ ...params, stream: true, stream_options: { include_usage: true } }) satisfies OpenAI.ChatCompletionCreateParams

const peer: Peer<OpenAiChat.Options, Params> = {
  model,
  make: (options) => OpenAiChat.make("openai", options),
  send: async (url, params, streamed) => {
    const { completions } = new OpenAI({
      apiKey,
      baseURL: `${url}/v1`,
      organization: "org-1",
      project: "proj-1",
      maxRetries: 0
    }).chat
    if (!streamed) return completions.create(params)
    for await (const _ of await completions.create(streaming(params)));
  },
  path: "/v1",
  headers: ["authorization", "content-type", "openai-organization", "openai-project"],
  body: (params, streamed) => streamed ? streaming(params) : params,
  answer: Wire.answer({ content: "hi" }),
  stream: Wire.streamOf("hi")
}

const hello: Params["messages"] = [{ role: "user", content: "Hello?" }]

const weather: OpenAI.ChatCompletionTool = {
  type: "function",
  function: { name: "weather", description: "Tells the weather.", parameters: Calls.weatherSchema }
}

const clock: OpenAI.ChatCompletionTool = {
  type: "function",
  function: { name: "clock", parameters: Calls.clockSchema }
}

const tools = [Calls.Weather, Calls.Clock]

const choice = (
  toolChoice: NonNullable<Call["ours"]["toolChoice"]>,
  tool_choice: NonNullable<Params["tool_choice"]>,
  offered = [weather, clock]
): Call => ({
  ours: { prompt: "Hello?", tools, toolChoice },
  theirs: { model, messages: hello, tools: offered, tool_choice }
})

type Call = SameCall<OpenAiChat.Options, Params>

const calls: { readonly [name: string]: Call } = {
  "a text": {
    ours: { prompt: "Hello?" },
    theirs: { model, messages: hello }
  },
  "unicode": {
    ours: { prompt: Calls.unicode },
    theirs: { model, messages: [{ role: "user", content: Calls.unicode }] }
  },
  "several turns, and the system's words before and among them": {
    ours: {
      prompt: [
        { role: "system", content: "Be brief." },
        { role: "system", content: "Be kind." },
        { role: "user", content: "Hello?" },
        { role: "assistant", content: "Hi." },
        { role: "user", content: [{ type: "text", text: "What is" }, { type: "text", text: "two and two?" }] },
        { role: "assistant", content: [{ type: "text", text: "Fo" }, { type: "text", text: "ur." }] },
        { role: "system", content: "Be briefer." },
        { role: "user", content: "" }
      ]
    },
    theirs: {
      model,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "system", content: "Be kind." },
        { role: "user", content: "Hello?" },
        { role: "assistant", content: "Hi." },
        { role: "user", content: [{ type: "text", text: "What is" }, { type: "text", text: "two and two?" }] },
        { role: "assistant", content: "Four." },
        { role: "system", content: "Be briefer." },
        { role: "user", content: "" }
      ]
    }
  },
  "images, by address and inline": {
    ours: {
      prompt: [{
        role: "user",
        content: [
          { type: "text", text: "What are these?" },
          { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png?x=1&y=%20") },
          { type: "file", mediaType: "image/png", data: Calls.png },
          {
            type: "file",
            mediaType: "image/jpeg",
            data: Calls.pngBase64,
            options: { openai: { imageDetail: "high" } }
          }
        ]
      }]
    },
    theirs: {
      model,
      messages: [{
        role: "user",
        content: [
          { type: "text", text: "What are these?" },
          { type: "image_url", image_url: { url: "https://example.com/a.png?x=1&y=%20" } },
          { type: "image_url", image_url: { url: `data:image/png;base64,${Calls.pngBase64}` } },
          { type: "image_url", image_url: { url: `data:image/jpeg;base64,${Calls.pngBase64}`, detail: "high" } }
        ]
      }]
    }
  },
  "documents and sounds": {
    ours: {
      prompt: [{
        role: "user",
        content: [
          { type: "file", mediaType: "application/pdf", data: Calls.pdfBase64, fileName: "a.pdf" },
          { type: "file", mediaType: "application/pdf", data: Calls.pdfBase64 },
          { type: "file", mediaType: "application/pdf", data: "file-1" },
          { type: "file", mediaType: "audio/mpeg", data: Calls.png },
          { type: "file", mediaType: "audio/wav", data: Calls.png }
        ]
      }]
    },
    theirs: {
      model,
      messages: [{
        role: "user",
        content: [
          {
            type: "file",
            file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${Calls.pdfBase64}` }
          },
          {
            type: "file",
            file: { filename: "document.pdf", file_data: `data:application/pdf;base64,${Calls.pdfBase64}` }
          },
          { type: "file", file: { file_id: "file-1" } },
          { type: "input_audio", input_audio: { data: Calls.pngBase64, format: "mp3" } },
          { type: "input_audio", input_audio: { data: Calls.pngBase64, format: "wav" } }
        ]
      }]
    }
  },
  "tools of all kinds": {
    ours: { prompt: "Hello?", tools: [Calls.StrictWeather, Calls.Clock, Calls.Search] },
    theirs: {
      model,
      messages: hello,
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            description: "Tells the weather.",
            parameters: Calls.strictWeatherSchema,
            strict: true
          }
        },
        clock,
        {
          type: "function",
          function: { name: "search", description: "Searches for it.", parameters: Calls.searchSchema }
        }
      ],
      tool_choice: "auto"
    }
  },
  "no tool, though there are": choice("none", "none"),
  "any tool, but one": choice("required", "required"),
  "one certain tool": choice({ tool: "clock" }, { type: "function", function: { name: "clock" } }),
  "some of the tools": choice({ oneOf: ["clock"] }, "auto", [clock]),
  "some of the tools, but one": choice({ mode: "required", oneOf: ["clock"] }, "required", [clock]),
  "calls at once, and what became of them": {
    ours: {
      prompt: [
        { role: "user", content: "Paris and Rome?" },
        {
          role: "assistant",
          content: [
            { type: "text", text: "I look." },
            { type: "tool-call", id: "call_1", name: "weather", params: { city: "Paris", days: 2 } },
            { type: "tool-call", id: "call_2", name: "weather", params: { city: Calls.unicode } }
          ]
        },
        {
          role: "tool",
          content: [
            { type: "tool-result", id: "call_1", name: "weather", isFailure: false, result: { celsius: 21 } },
            { type: "tool-result", id: "call_2", name: "weather", isFailure: true, result: "no such city" }
          ]
        },
        { role: "assistant", content: [{ type: "tool-call", id: "call_3", name: "clock", params: {} }] },
        {
          role: "tool",
          content: [{
            type: "tool-result",
            id: "call_3",
            name: "clock",
            isFailure: false,
            result: { hidden: true },
            modelOutput: [{ type: "text", text: "noon" }]
          }]
        }
      ],
      tools
    },
    theirs: {
      model,
      messages: [
        { role: "user", content: "Paris and Rome?" },
        {
          role: "assistant",
          content: "I look.",
          tool_calls: [
            {
              id: "call_1",
              type: "function",
              function: { name: "weather", arguments: "{\"city\":\"Paris\",\"days\":2}" }
            },
            {
              id: "call_2",
              type: "function",
              function: { name: "weather", arguments: JSON.stringify({ city: Calls.unicode }) }
            }
          ]
        },
        { role: "tool", tool_call_id: "call_1", content: "{\"celsius\":21}" },
        { role: "tool", tool_call_id: "call_2", content: "no such city" },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "call_3", type: "function", function: { name: "clock", arguments: "{}" } }]
        },
        { role: "tool", tool_call_id: "call_3", content: "noon" }
      ],
      tools: [weather, clock],
      tool_choice: "auto"
    }
  },
  "JSON of a schema": {
    ours: { prompt: "Hello?", responseFormat: { type: "json", objectName: "city", schema: Calls.City } },
    theirs: {
      model,
      messages: hello,
      response_format: {
        type: "json_schema",
        json_schema: { name: "city", schema: Calls.citySchema, strict: true }
      }
    }
  },
  "JSON of a schema that has no strict form": {
    ours: { prompt: "Hello?", responseFormat: { type: "json", objectName: "the rivers", schema: Calls.Rivers } },
    theirs: {
      model,
      messages: hello,
      response_format: {
        type: "json_schema",
        json_schema: { name: "the_rivers", schema: Calls.riversSchema, strict: false }
      }
    }
  },
  "every setting": {
    ours: {
      prompt: "Hello?",
      settings: {
        maxOutputTokens: 100,
        temperature: 0.5,
        topP: 0.25,
        stop: ["END", "\n"],
        seed: 7,
        reasoningEffort: "low",
        extra: {
          frequency_penalty: 0.5,
          parallel_tool_calls: false,
          prompt_cache_key: "cache-1",
          service_tier: "flex",
          metadata: { a: "b" },
          verbosity: "low"
        }
      }
    },
    theirs: {
      model,
      messages: hello,
      max_completion_tokens: 100,
      temperature: 0.5,
      top_p: 0.25,
      stop: ["END", "\n"],
      seed: 7,
      reasoning_effort: "low",
      frequency_penalty: 0.5,
      parallel_tool_calls: false,
      prompt_cache_key: "cache-1",
      service_tier: "flex",
      metadata: { a: "b" },
      verbosity: "low"
    }
  },
  "the older name of the output limit": {
    ours: { prompt: "Hello?", settings: { maxOutputTokens: 100 }, options: { maxTokensField: "max_tokens" } },
    theirs: { model, messages: hello, max_tokens: 100 }
  },
  "what the model thought is not sent back": {
    ours: {
      prompt: [
        { role: "user", content: "Hello?" },
        { role: "assistant", content: [{ type: "reasoning", text: "A greeting." }, { type: "text", text: "Hi." }] },
        { role: "user", content: "And now?" }
      ]
    },
    theirs: {
      model,
      messages: [
        { role: "user", content: "Hello?" },
        { role: "assistant", content: "Hi." },
        { role: "user", content: "And now?" }
      ]
    }
  },
  "what the model thought, to a server that wants it": {
    ours: {
      prompt: [
        { role: "user", content: "Hello?" },
        { role: "assistant", content: [{ type: "reasoning", text: "A greeting." }, { type: "text", text: "Hi." }] }
      ],
      options: { reasoningField: "reasoning_content" }
    },
    theirs: { model, messages: [{ role: "user", content: "Hello?" }, { role: "assistant", content: "Hi." }] },
    differs: {
      because: "OpenAI's types know no reasoning in messages: the field is DeepSeek's",
      mend: (theirs) => {
        const [question, answer] = theirs["messages"] as ReadonlyArray<object>
        return { ...theirs, messages: [question, { ...answer, reasoning_content: "A greeting." }] }
      }
    }
  }
}

const identified = (call: Call): Call => ({
  ...call,
  ours: { ...call.ours, options: { organization: "org-1", project: "proj-1", ...call.ours.options } }
})

sendsTheSame(peer, Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, identified(call)])))
