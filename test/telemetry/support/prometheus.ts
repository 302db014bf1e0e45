/**
 * A Prometheus of a test's own: it scrapes what the test serves, once a second, and is gone with the scope.
 */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { createServer as createListener, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Prometheus {
  /** Asks its HTTP API: the `data` of the answer, or what was wrong. */
  readonly ask: (path: string, parameters?: Readonly<Record<string, string>>) => Effect.Effect<unknown, string>
  /** All that it has said so far. */
  readonly output: () => string
}

const listen = (server: Server): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const close = (server: Server): Effect.Effect<void> =>
  Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))

/** Serves a text, made anew for each who asks, and gives the port. */
const serve = (text: Effect.Effect<string>): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<never>()
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        createServer((_, response) => {
          void Effect.runPromiseWith(services)(text).then((body) => {
            response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8").end(body)
          })
        })
      ),
      (server) =>
        Effect.suspend(() => {
          server.closeAllConnections()
          return close(server)
        })
    )
    return yield* listen(server)
  })

const freePort: Effect.Effect<number> = Effect.suspend(() => {
  const server = createListener()
  return Effect.tap(listen(server), () => close(server))
})

const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "bulwark-prometheus-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Begins one that scrapes the text as `job="application"` and has the rules, which are the contents of rule files. */
export const begin = (
  text: Effect.Effect<string>,
  rules: ReadonlyArray<string>
): Effect.Effect<Prometheus, never, Scope.Scope> =>
  Effect.gen(function*() {
    const folder = yield* temporary
    const target = yield* serve(text)
    const port = yield* freePort
    const files = rules.map((rule, index) => {
      const file = join(folder, `${index}.yml`)
      writeFileSync(file, rule)
      return file
    })
    // JSON is YAML.
    writeFileSync(
      join(folder, "prometheus.yml"),
      JSON.stringify({
        global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
        rule_files: files,
        scrape_configs: [{ job_name: "application", static_configs: [{ targets: [`127.0.0.1:${target}`] }] }]
      })
    )
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn("prometheus", [
          `--config.file=${join(folder, "prometheus.yml")}`,
          `--storage.tsdb.path=${join(folder, "data")}`,
          `--web.listen-address=127.0.0.1:${port}`,
          "--log.level=warn"
        ], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })
        let output = ""
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => output += String(chunk))
        const gone = new Promise<void>((resolve) => {
          child.once("close", () => resolve())
          child.once("error", (error) => {
            output += error.message
            resolve()
          })
        })
        return { child, gone, output: () => output }
      }),
      ({ child, gone }) =>
        Effect.promise(() => {
          child.kill("SIGKILL")
          return gone
        })
    )
    return {
      output: child.output,
      ask: (path, parameters = {}) =>
        Effect.tryPromise({
          try: async (signal) => {
            const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters)}`, {
              signal
            })
            const answer = await response.json() as { readonly error?: string; readonly data?: unknown }
            if (answer.error !== undefined) throw new Error(answer.error)
            return answer.data
          },
          catch: (cause) => `${path} ${parameters["query"] ?? ""}: ${cause}`
        })
    }
  })
