import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TokenCount } from "effect-bulwark/budget"
import { Prompt } from "effect/ai"
import { sizeOf } from "../../src/budget/internal/tokensImage.ts"
import { gif, jpeg, png, webp } from "./support/images.ts"

const around = 16

const count = (model: string, part: Partial<Prompt.FilePart> & { readonly mediaType: string }) =>
  Effect.map(
    Effect.forEach([true, false], (withFile) =>
      TokenCount.count({
        provider: "",
        model,
        prompt: Prompt.fromMessages([Prompt.makeMessage("user", {
          content: withFile
            ? [Prompt.makePart("file", { fileName: undefined, data: new Uint8Array(), ...part })]
            : []
        })])
      })),
    ([file, nothing]) => ({ tokens: file!.tokens - nothing!.tokens, exact: file!.exact })
  )

const image = (model: string, data: Uint8Array | string | URL, detail?: string) =>
  Effect.map(
    count(model, {
      mediaType: "image/png",
      data,
      ...(detail === undefined ? undefined : { options: { openai: { imageDetail: detail } } })
    }),
    ({ exact, tokens }) => {
      assert.isFalse(exact)
      return tokens - around
    }
  )

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")

describe("the size of an image", () => {
  it.each([
    ["PNG", png(640, 480)],
    ["GIF", gif(640, 480)],
    ["JPEG", jpeg(640, 480)],
    ["JPEG behind a camera's notes", jpeg(640, 480, 60_000)],
    ["WebP, lossy", webp("VP8 ", 640, 480)],
    ["WebP, lossless", webp("VP8L", 640, 480)],
    ["WebP, extended", webp("VP8X", 640, 480)]
  ])("is read from %s", (_, bytes) => {
    assert.deepStrictEqual(sizeOf(bytes), { width: 640, height: 480 })
    // As a part of something larger, too.
    const padded = new Uint8Array(bytes.length + 7)
    padded.set(bytes, 7)
    assert.deepStrictEqual(sizeOf(padded.subarray(7)), { width: 640, height: 480 })
  })

  it("is not known of what is no image, or cut", () => {
    for (
      const bytes of [png(640, 480), gif(640, 480), jpeg(640, 480), webp("VP8 ", 640, 480), webp("VP8X", 640, 480)]
    ) {
      for (let length = 0; length < bytes.length; length++) {
        const size = sizeOf(bytes.subarray(0, length))
        if (size !== undefined) assert.deepStrictEqual(size, { width: 640, height: 480 })
      }
    }
    assert.isUndefined(sizeOf(new TextEncoder().encode("<svg width='640' height='480'/>")))
    assert.isUndefined(sizeOf(png(0, 480)))
    // Segments that lead nowhere.
    assert.isUndefined(sizeOf(new Uint8Array([0xff, 0xd8, ...Array.from({ length: 100 }, () => 0xff)])))
    assert.isUndefined(sizeOf(new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xe0, 0, 0, 0, 0, 0, 0])))
  })
})

describe("an image", () => {
  // The examples of OpenAI's documentation, and what its API has billed.
  it.effect.each(
    [
      ["gpt-4o", 1024, 1024, "high", 765],
      ["gpt-4o", 2048, 4096, "high", 1105],
      ["gpt-4o", 4096, 8192, "low", 85],
      ["gpt-4o", 2049, 513, "high", 1445],
      ["gpt-4o", 128, 64, undefined, 255],
      ["gpt-4o-mini", 128, 64, "high", 8500],
      ["gpt-4.1-mini", 1024, 1024, "high", 1659],
      ["gpt-4.1-mini", 2400, 1800, "high", 2489],
      ["gpt-5", 1024, 1024, "high", 630],
      ["o3", 128, 64, "high", 225],
      // Anthropic's.
      ["claude-haiku-4-5", 200, 200, undefined, 64],
      ["claude-haiku-4-5", 1000, 1000, undefined, 1296],
      ["claude-haiku-4-5", 4000, 4000, undefined, 1600],
      ["claude-opus-4-8", 1000, 1000, undefined, 1296],
      ["claude-opus-4-8", 4000, 4000, undefined, 4800],
      // Google's.
      ["gemini-2.5-flash", 384, 384, undefined, 258],
      ["gemini-2.5-flash", 960, 540, undefined, 1548],
      ["gemini-3.5-flash", 4000, 4000, undefined, 1120]
    ] as const
  )(
    "for %s of %i by %i pixels in %s detail has %i tokens",
    ([model, width, height, detail, tokens]) =>
      Effect.gen(function*() {
        for (
          const bytes of [
            png(width, height),
            base64(png(width, height)),
            `data:image/png;base64,${base64(png(width, height))}`
          ]
        ) {
          assert.strictEqual(yield* image(model, bytes, detail), tokens)
        }
      }).pipe(Effect.provide(TokenCount.layerEstimate()))
  )

  it.effect("whose size is not known has as many as the largest", () =>
    Effect.gen(function*() {
      for (
        const model of ["gpt-4o", "gpt-4.1-mini", "gpt-5.5", "claude-opus-5", "gemini-2.5-pro", "gemini-3.5-flash"]
      ) {
        const unknown = yield* image(model, new URL("https://example.org/picture.png"))
        for (const [width, height] of [[8000, 8000], [2048, 768], [768, 3000], [3072, 3072]] as const) {
          assert.isAtLeast(unknown, yield* image(model, png(width, height)))
        }
        assert.strictEqual(yield* image(model, "file-abc_def"), unknown)
        assert.strictEqual(yield* image(model, new Uint8Array([1, 2, 3])), unknown)
      }
    }).pipe(Effect.provide(TokenCount.layerEstimate())))
})

describe("a file", () => {
  const tokens = (model: string, mediaType: string, data: Uint8Array | string | URL) =>
    Effect.map(count(model, { mediaType, data }), ({ tokens }) => tokens)

  const pdf = (pages: number) =>
    new TextEncoder().encode(
      `%PDF-1.7\n1 0 obj\n<< /Type /Pages /Count ${pages} >>\n` + "2 0 obj\n<< /Type /Page >>\nendobj\n".repeat(pages)
    )

  it.effect("is a document by its pages", () =>
    Effect.gen(function*() {
      // Measured: 10 pages of text have 20,979 tokens, and 23,236 for the newer models.
      assert.isAtLeast(yield* tokens("claude-haiku-4-5", "application/pdf", pdf(10)), 20_979)
      assert.isAtLeast(yield* tokens("claude-opus-5-5", "application/pdf", pdf(10)), 23_236)
      assert.isAtLeast(yield* tokens("gemini-3.5-flash", "application/pdf", pdf(10)), 5601)
      assert.strictEqual(
        yield* tokens("gpt-5.5", "application/pdf", base64(pdf(3))),
        3 * (yield* tokens("gpt-5.5", "application/pdf", pdf(1)))
      )
      // What does not say how many it has is taken for one page in 3 kB.
      assert.strictEqual(
        yield* tokens("gpt-5.5", "application/pdf", new Uint8Array(30_000)),
        yield* tokens("gpt-5.5", "application/pdf", pdf(10))
      )
      assert.strictEqual(
        yield* tokens("gpt-5.5", "application/pdf", new URL("https://example.org/report.pdf")),
        yield* tokens("gpt-5.5", "application/pdf", pdf(20))
      )
    }).pipe(Effect.provide(TokenCount.layerEstimate())))

  it.effect("is sound and film by how long they last", () =>
    Effect.gen(function*() {
      const wav = (seconds: number) => {
        const bytes = new Uint8Array(44 + seconds * 32_000)
        bytes.set(new TextEncoder().encode("RIFF"))
        new DataView(bytes.buffer).setUint32(28, 32_000, true)
        return bytes
      }
      // Google: 32 tokens a second.
      assert.strictEqual(yield* tokens("gemini-3.5-flash", "audio/wav", wav(60)), 61 * 32)
      assert.strictEqual(yield* tokens("gemini-3.5-flash", "audio/mpeg", new Uint8Array(4000 * 60)), 60 * 32)
      assert.isAtLeast(yield* tokens("gemini-3.5-flash", "video/mp4", new Uint8Array(625_000)), 10 * 263)
      assert.strictEqual(
        yield* tokens("gemini-3.5-flash", "audio/mpeg", new URL("https://example.org/speech.mp3")),
        600 * 32
      )
    }).pipe(Effect.provide(TokenCount.layerEstimate())))

  it.effect("is a text by its words", () =>
    Effect.gen(function*() {
      const words = "How high is the Eiffel tower? ".repeat(100)
      assert.strictEqual(
        yield* tokens("claude-opus-5", "text/plain", new TextEncoder().encode(words)),
        (yield* TokenCount.countText({ provider: "", model: "claude-opus-5" }, words)).tokens
      )
    }).pipe(Effect.provide(TokenCount.layer())))
})
