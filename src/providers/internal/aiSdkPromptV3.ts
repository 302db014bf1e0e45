/**
 * A prompt of specification v4 in the words of v3, which knows neither files of reasoning nor content of a provider's own.
 */
import type {
  LanguageModelV3FilePart,
  LanguageModelV3Message,
  LanguageModelV3ToolResultOutput,
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4ToolResultOutput,
  SharedV4FileData
} from "@ai-sdk/provider"
import { base64Of } from "./fileData.ts"
import { Unencodable } from "./unencodable.ts"

type AssistantV3 = Extract<LanguageModelV3Message, { role: "assistant" }>["content"][number]

export const toV3 = (messages: ReadonlyArray<LanguageModelV4Message>): Array<LanguageModelV3Message> =>
  messages.map((message, index): LanguageModelV3Message => {
    switch (message.role) {
      case "system":
        return message
      case "user":
        return { ...message, content: message.content.map((part) => part.type === "file" ? fileOf(part) : part) }
      case "assistant":
        return {
          ...message,
          content: message.content.map((part, position): AssistantV3 => {
            switch (part.type) {
              case "file":
                return fileOf(part)
              case "tool-result":
                return { ...part, output: outputOf(part.output) }
              case "reasoning-file":
                throw unknown(index, position, "a file that belongs to its reasoning")
              case "custom":
                throw unknown(index, position, "content of a form that is a provider's own")
              default:
                return part
            }
          })
        }
      case "tool":
        return {
          ...message,
          content: message.content.map((part) =>
            part.type === "tool-result" ? { ...part, output: outputOf(part.output) } : part
          )
        }
    }
  })

const unknown = (message: number, part: number, what: string) =>
  new Unencodable(
    `messages[${message}].content[${part}]`,
    `another model has answered with ${what}, which specification v3 of the AI SDK has no word for`
  )

const fileOf = (part: LanguageModelV4FilePart): LanguageModelV3FilePart => ({ ...part, data: dataOf(part.data) })

// (Prompts of ours hold neither references nor texts as files.)
const dataOf = (data: SharedV4FileData): Uint8Array | string | URL =>
  data.type === "url" ? data.url : data.type === "data" ? data.data : data.type === "text" ? data.text : ""

type PieceV3 = Extract<LanguageModelV3ToolResultOutput, { type: "content" }>["value"][number]

const outputOf = (output: LanguageModelV4ToolResultOutput): LanguageModelV3ToolResultOutput =>
  output.type !== "content" ? output : {
    ...output,
    value: output.value.map((part): PieceV3 => {
      if (part.type !== "file") return part
      const { data, filename, mediaType, ...rest } = part
      const isImage = /^image(?:\/|$)/i.test(mediaType)
      const source = dataOf(data)
      if (source instanceof URL) return { ...rest, type: isImage ? "image-url" : "file-url", url: source.href }
      return isImage
        ? { ...rest, type: "image-data", data: base64Of(source), mediaType }
        : {
          ...rest,
          type: "file-data",
          data: base64Of(source),
          mediaType,
          ...(filename === undefined ? undefined : { filename })
        }
    })
  }
