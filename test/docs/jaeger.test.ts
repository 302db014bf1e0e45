/**
 * The pictures of `docs/jaeger.md` and `docs/telemetry.md` are what `examples/21_jaeger.ts` prints, but for times; and what it prints is sent to
 * whoever takes spans.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const run = (endpoint: string) =>
  new Promise<string>((resolve, reject) => {
    execFile(
      process.execPath,
      ["--conditions=effect-bulwark/source", "--import", "./test/offline.ts", "examples/21_jaeger.ts"],
      {
        cwd: root,
        env: { PATH: process.env["PATH"], OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
        timeout: 60_000,
        killSignal: "SIGKILL"
      },
      (error, stdout, stderr) => error === null ? resolve(stdout) : reject(new Error(stdout + stderr, { cause: error }))
    )
  })

/** A picture without what is another each time: ids, and times with the bars that stand for them. */
const timeless = (text: string): string =>
  text
    .replaceAll(/\d+ ms/g, "… ms")
    .replaceAll(/time_to_first_chunk=\S+/g, "time_to_first_chunk=…")
    .replaceAll(/op_[0-9a-f]+/g, "op_…")
    .replaceAll("█", " ")
    .replaceAll(/ +/g, " ")
    .replaceAll(/ $/gm, "")

const pictures = (file: string): ReadonlyArray<string> =>
  [...readFileSync(`${root}/${file}`, "utf8").matchAll(/^```text\n([^`]*)^```$/gm)].map(([, text = ""]) => text)

describe("the pictures of a call", () => {
  it("are what the example prints", { timeout: 70_000 }, async () => {
    // Nobody listens at port 1.
    const printed = timeless(await run("http://127.0.0.1:1"))
    assert.include(printed, "nobody takes spans at http://127.0.0.1:1")
    const [jaeger, telemetry] = [pictures("docs/jaeger.md"), pictures("docs/telemetry.md")]
    assert.strictEqual(jaeger.length, 3)
    assert.strictEqual(telemetry.length, 1)
    for (const picture of [...jaeger, ...telemetry]) assert.include(printed, `\n${timeless(picture)}`)
    // Nothing that it prints is missing: the trees in their order, and the rows of the first one.
    const [first, rows, second] = jaeger.map(timeless)
    assert.include(printed, `\n${first}\n${second}\n${rows}`)
  })

  it("are sent to whoever takes spans", { timeout: 70_000 }, async () => {
    const received: Array<{ readonly path: string | undefined; readonly type: string | undefined; body: Buffer }> = []
    const server = createServer(async (request, response) => {
      const chunks: Array<Buffer> = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      received.push({ path: request.url, type: request.headers["content-type"], body: Buffer.concat(chunks) })
      // As Jaeger does, which takes nothing but spans.
      response.writeHead(request.url === "/v1/traces" ? 200 : 404).end()
    }).listen(0, "127.0.0.1")
    await once(server, "listening")
    try {
      const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      assert.include(await run(endpoint), `sent to ${endpoint}`)
      const spans = received
        .filter(({ path, type }) => path === "/v1/traces" && type === "application/x-protobuf")
        .map(({ body }) => body.toString("latin1"))
        .join("")
      const count = (text: string) => spans.split(text).length - 1
      assert.deepStrictEqual(
        ["chat gpt-5-mini", "attempt openai/gpt-5-mini", "attempt groq/llama-3.3-70b"].map(count),
        [2, 2, 2]
      )
      assert.include(spans, "GET /answer")
      assert.strictEqual(count("bulwark.retry"), 1)
    } finally {
      server.close()
    }
  })
})
