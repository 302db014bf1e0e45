/**
 * A server on loopback that answers every request the way it is told to, and knows what became of its sockets.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as http from "node:http"
import type { AddressInfo, Socket } from "node:net"

export interface Recorded {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** How to answer one request. */
export type Handler = (request: Recorded, response: http.ServerResponse) => void | Promise<void>

export interface ReplayServer {
  readonly url: string
  readonly requests: Array<Recorded>
  /** How many connections have been made, and how many of them are open. */
  readonly connections: () => number
  readonly open: () => number
  /** Changes what the server answers. */
  readonly onRequest: (handler: Handler) => void
  /** Waits until no connection is open. */
  readonly allClosed: Effect.Effect<void>
  /** Waits until a number of requests have arrived. */
  readonly arrived: (requests: number) => Effect.Effect<void>
}

export const make: Effect.Effect<ReplayServer, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<ReplayServer & { readonly close: () => void }>((resume) => {
    const sockets = new Set<Socket>()
    const requests: Array<Recorded> = []
    const waiting: Array<{ readonly holds: () => boolean; readonly resume: () => void }> = []
    let connections = 0
    let handler: Handler = (_, response) => void response.writeHead(500).end()
    const settle = () => {
      for (const waiter of waiting.filter(({ holds }) => holds())) {
        waiting.splice(waiting.indexOf(waiter), 1)
        waiter.resume()
      }
    }
    const until = (holds: () => boolean): Effect.Effect<void> =>
      Effect.callback<void>((done) => {
        waiting.push({ holds, resume: () => done(Effect.void) })
        settle()
      })
    const server = http.createServer({ keepAlive: true, noDelay: true }, (request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const recorded: Recorded = {
          method: request.method ?? "",
          url: request.url ?? "",
          headers: request.headers,
          body: Buffer.concat(chunks).toString("utf8")
        }
        requests.push(recorded)
        settle()
        void handler(recorded, response)
      })
      request.on("error", () => {})
      response.on("error", () => {})
    })
    server.on("connection", (socket) => {
      connections++
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        settle()
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({
        url: `http://127.0.0.1:${port}`,
        requests,
        connections: () => connections,
        open: () => sockets.size,
        onRequest: (next) => {
          handler = next
        },
        allClosed: until(() => sockets.size === 0),
        arrived: (count) => until(() => requests.length >= count),
        close: () => {
          for (const socket of sockets) socket.destroy()
          server.close()
        }
      }))
    })
  }),
  (server) => Effect.sync(() => server.close())
)

const hopByHop = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "keep-alive",
  "proxy-authenticate",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

/** Answers with a status, headers and a body, which may be cut into pieces and may end with a broken connection. */
export const reply = (options: {
  readonly status?: number
  readonly headers?: { readonly [name: string]: string }
  readonly body: string | Uint8Array
  /** Offsets to cut the body at, or the length of each piece. */
  readonly cuts?: ReadonlyArray<number> | number | undefined
  readonly breaks?: boolean | undefined
}): Handler =>
async (_, response) => {
  const headers = Object.entries(options.headers ?? {}).filter(([name]) => !hopByHop.has(name.toLowerCase()))
  response.writeHead(options.status ?? 200, Object.fromEntries(headers))
  const body = Buffer.from(options.body)
  for (const piece of pieces(body, options.cuts)) {
    if (response.destroyed) return
    response.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (options.breaks === true) response.destroy()
  else response.end()
}

export const pieces = (body: Uint8Array, cuts: ReadonlyArray<number> | number | undefined): Array<Uint8Array> => {
  if (body.length === 0) return []
  const offsets = typeof cuts === "number"
    ? Array.from({ length: Math.ceil(body.length / cuts) - 1 }, (_, index) => (index + 1) * cuts)
    : cuts ?? []
  const edges = [0, ...offsets.filter((offset) => offset > 0 && offset < body.length), body.length]
  return edges.slice(1).map((edge, index) => body.subarray(edges[index], edge))
}
