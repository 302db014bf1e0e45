/**
 * What `Gemini` sends is what Google's own client sends.
 *
 * The client's parameters are no body: it sorts their fields (`config` into `generationConfig`, `tools`, ...), so what it sends is
 * compared, and not what it is given.
 */
import {
  type Content,
  FunctionCallingConfigMode,
  type GenerateContentParameters,
  GoogleGenAI,
  type Part,
  ThinkingLevel
} from "@google/genai"
import { Gemini } from "effect-bulwark/providers"
import * as Wire from "./support/geminiWire.ts"
import { apiKey, type Peer, type SameCall, sendsTheSame } from "./support/sdk.ts"
import * as Calls from "./support/sdkCalls.ts"

type Params = GenerateContentParameters

type Call = SameCall<Gemini.Options, Params>

const model = "gemini-2.5-flash"

const peer: Peer<Gemini.Options, Params> = {
  model,
  make: (options) => Gemini.make("gemini", options),
  send: async (url, params, streamed) => {
    // Its default is `v1`; `v1beta` is ours, because what is new is there first.
    const { models } = new GoogleGenAI({
      apiKey,
      apiVersion: "v1beta",
      httpOptions: { baseUrl: url, retryOptions: { attempts: 1 } }
    })
    if (!streamed) return models.generateContent(params)
    for await (const _ of await models.generateContentStream(params));
  },
  path: "/v1beta",
  headers: ["x-goog-api-key", "content-type"],
  // The client sends an empty object where it has been given a `config` that says nothing about generation.
  essence: ({ generationConfig, ...body }) =>
    Object.keys(generationConfig ?? {}).length === 0 ? body : { ...body, generationConfig },
  body: undefined,
  answer: Wire.textAnswer("hi"),
  stream: Wire.streamOf("hi")
}

const user = (...parts: Array<Part>): Content => ({ role: "user", parts })

const said = (...parts: Array<Part>): Content => ({ role: "model", parts })

const hello = [user({ text: "Hello?" })]

const weather = {
  name: "weather",
  description: "Tells the weather.",
  parametersJsonSchema: Calls.weatherSchema
}

const clock = { name: "clock" }

const tools = [Calls.Weather, Calls.Clock]

const choice = (
  toolChoice: NonNullable<Call["ours"]["toolChoice"]>,
  functionCallingConfig: NonNullable<
    NonNullable<NonNullable<Params["config"]>["toolConfig"]>["functionCallingConfig"]
  >,
  functionDeclarations = [weather, clock]
): Call => ({
  ours: { prompt: "Hello?", tools, toolChoice },
  theirs: {
    model,
    contents: hello,
    config: { tools: [{ functionDeclarations }], toolConfig: { functionCallingConfig } }
  }
})

const thinking = (
  reasoningEffort: string,
  thinkingConfig: NonNullable<NonNullable<Params["config"]>["thinkingConfig"]>,
  options: Gemini.Options = {}
): Call => ({
  ours: { prompt: "Hello?", settings: { reasoningEffort }, options },
  theirs: { model, contents: hello, config: { thinkingConfig } }
})

const auto = { functionCallingConfig: { mode: FunctionCallingConfigMode.AUTO } }

/** The history of a call whose parts are signed. */
const signed: Call["ours"]["prompt"] = [
  { role: "user", content: "Paris and Rome?" },
  {
    role: "assistant",
    content: [
      { type: "reasoning", text: "Cities.", options: { google: { thoughtSignature: "c2lnMQ==" } } },
      { type: "reasoning", text: "A summary, for people." },
      { type: "text", text: "I look.", options: { google: { thoughtSignature: "c2lnMg==" } } },
      {
        type: "tool-call",
        id: "fc-1",
        name: "weather",
        params: { city: "Paris" },
        options: { google: { functionCallId: "fc-1", thoughtSignature: "c2lnMw==" } }
      },
      { type: "tool-call", id: "made-up", name: "weather", params: { city: Calls.unicode } }
    ]
  },
  {
    role: "tool",
    content: [
      { type: "tool-result", id: "fc-1", name: "weather", isFailure: false, result: { celsius: 21 } },
      { type: "tool-result", id: "made-up", name: "weather", isFailure: true, result: "no such city" }
    ]
  }
]

const calls: { readonly [name: string]: Call } = {
  "a text": {
    ours: { prompt: "Hello?" },
    theirs: { model, contents: hello }
  },
  "unicode": {
    ours: { prompt: Calls.unicode },
    theirs: { model, contents: [user({ text: Calls.unicode })] }
  },
  "several turns, and the system's words": {
    ours: {
      prompt: [
        { role: "system", content: "Be brief." },
        { role: "system", content: "Be kind." },
        { role: "user", content: "Hello?" },
        { role: "assistant", content: "Hi." },
        { role: "user", content: [{ type: "text", text: "What is" }, { type: "text", text: "two and two?" }] }
      ]
    },
    theirs: {
      model,
      contents: [user({ text: "Hello?" }), said({ text: "Hi." }), user({ text: "What is" }, { text: "two and two?" })],
      config: { systemInstruction: { parts: [{ text: "Be brief." }, { text: "Be kind." }] } }
    }
  },
  "files, by address and inline": {
    ours: {
      prompt: [{
        role: "user",
        content: [
          { type: "text", text: "What are these?" },
          { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png?x=1&y=%20") },
          { type: "file", mediaType: "image/png", data: Calls.png },
          { type: "file", mediaType: "image/jpeg", data: Calls.pngBase64 },
          { type: "file", mediaType: "application/pdf", data: Calls.pdfBase64, fileName: "a.pdf" },
          { type: "file", mediaType: "video/mp4", data: "gs://bucket/a.mp4" },
          { type: "file", mediaType: "audio/wav", data: Calls.png }
        ]
      }]
    },
    theirs: {
      model,
      contents: [user(
        { text: "What are these?" },
        { fileData: { mimeType: "image/png", fileUri: "https://example.com/a.png?x=1&y=%20" } },
        { inlineData: { mimeType: "image/png", data: Calls.pngBase64 } },
        { inlineData: { mimeType: "image/jpeg", data: Calls.pngBase64 } },
        { inlineData: { mimeType: "application/pdf", data: Calls.pdfBase64 } },
        { fileData: { mimeType: "video/mp4", fileUri: "gs://bucket/a.mp4" } },
        { inlineData: { mimeType: "audio/wav", data: Calls.pngBase64 } }
      )]
    }
  },
  "tools of all kinds": {
    ours: { prompt: "Hello?", tools: [Calls.StrictWeather, Calls.Clock, Calls.Search] },
    theirs: {
      model,
      contents: hello,
      config: {
        tools: [{
          functionDeclarations: [
            { ...weather, parametersJsonSchema: Calls.strictWeatherSchema },
            clock,
            { name: "search", description: "Searches for it.", parametersJsonSchema: Calls.searchSchema }
          ]
        }],
        toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.VALIDATED } }
      }
    }
  },
  "tools, if the model likes": choice("auto", auto.functionCallingConfig),
  "no tool, though there are": choice("none", { mode: FunctionCallingConfigMode.NONE }),
  "any tool, but one": choice("required", { mode: FunctionCallingConfigMode.ANY }),
  "one certain tool": choice({ tool: "clock" }, {
    mode: FunctionCallingConfigMode.ANY,
    allowedFunctionNames: ["clock"]
  }),
  "some of the tools": choice({ oneOf: ["clock"] }, auto.functionCallingConfig, [clock]),
  "some of the tools, but one": choice({ mode: "required", oneOf: ["clock"] }, {
    mode: FunctionCallingConfigMode.ANY,
    allowedFunctionNames: ["clock"]
  }, [clock]),
  "calls at once, and what became of them, signed": {
    ours: { prompt: signed, tools },
    theirs: {
      model,
      contents: [
        user({ text: "Paris and Rome?" }),
        said(
          { text: "Cities.", thought: true, thoughtSignature: "c2lnMQ==" },
          { text: "I look.", thoughtSignature: "c2lnMg==" },
          {
            functionCall: { id: "fc-1", name: "weather", args: { city: "Paris" } },
            thoughtSignature: "c2lnMw=="
          },
          { functionCall: { name: "weather", args: { city: Calls.unicode } } }
        ),
        user(
          { functionResponse: { id: "fc-1", name: "weather", response: { output: { celsius: 21 } } } },
          { functionResponse: { name: "weather", response: { error: "no such city" } } }
        )
      ],
      config: { tools: [{ functionDeclarations: [weather, clock] }], toolConfig: auto }
    }
  },
  "calls of another model, to one that signs its own": {
    ours: {
      model: "gemini-3.5-flash",
      prompt: [
        { role: "user", content: "Paris?" },
        { role: "assistant", content: [{ type: "tool-call", id: "call_1", name: "clock", params: {} }] },
        {
          role: "tool",
          content: [{
            type: "tool-result",
            id: "call_1",
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
      tools: [Calls.Clock]
    },
    theirs: {
      model: "gemini-3.5-flash",
      contents: [
        user({ text: "Paris?" }),
        said({ functionCall: { name: "clock", args: {} }, thoughtSignature: "skip_thought_signature_validator" }),
        user({
          functionResponse: {
            name: "clock",
            response: { output: "noon" },
            parts: [{ inlineData: { mimeType: "image/png", data: Calls.pngBase64 } }]
          }
        })
      ],
      config: { tools: [{ functionDeclarations: [clock] }], toolConfig: auto }
    }
  },
  "JSON of a schema": {
    ours: { prompt: "Hello?", responseFormat: { type: "json", objectName: "city", schema: Calls.City } },
    theirs: {
      model,
      contents: hello,
      config: { responseMimeType: "application/json", responseJsonSchema: Calls.citySchema }
    }
  },
  "JSON that is no object": {
    ours: { prompt: "Hello?", responseFormat: { type: "json", objectName: "rivers", schema: Calls.Rivers } },
    theirs: {
      model,
      contents: hello,
      config: { responseMimeType: "application/json", responseJsonSchema: Calls.riversSchema }
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
        extra: { cachedContent: "cachedContents/1", generationConfig: { topK: 3, responseModalities: ["TEXT"] } }
      }
    },
    theirs: {
      model,
      contents: hello,
      config: {
        maxOutputTokens: 100,
        temperature: 0.5,
        topP: 0.25,
        stopSequences: ["END", "\n"],
        seed: 7,
        cachedContent: "cachedContents/1",
        topK: 3,
        responseModalities: ["TEXT"]
      }
    }
  },
  "thinking, within a budget": thinking("medium", { thinkingBudget: 8192 }),
  "thinking, within a number of tokens": thinking("2048", { thinkingBudget: 2048 }),
  "thinking, as much as the model likes": thinking("-1", { thinkingBudget: -1 }),
  "no thinking": thinking("none", { thinkingBudget: 0 }),
  "thinking in levels, aloud": thinking(
    "low",
    { thinkingLevel: ThinkingLevel.LOW, includeThoughts: true },
    { thinking: "level", includeThoughts: true }
  )
}

sendsTheSame(peer, calls)
