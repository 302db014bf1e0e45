/**
 * The life of the server: it listens until its scope closes, and each request runs in a fiber of its own.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type * as Net from "node:net"
import { addressed } from "./dialects.ts"
import { cut, type Exchange, refuse, type Settings } from "./exchange.ts"
import type { Journal } from "./journal.ts"
import { route } from "./route.ts"

export interface Running {
  readonly port: number
  readonly openConnections: () => number
}

/**
 * Listens on loopback until the scope closes; fails with the reason why it cannot.
 */
export const serve = Effect.fnUntraced(function*(
  settings: Settings,
  journal: Journal
): Effect.fn.Return<Running, Error, Scope.Scope> {
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never, void, never>()
  const sockets = new Set<Net.Socket>()
  // Idle connections end with their client or with the scope: a timer could meet the next request on its way
  const server = Http.createServer({ keepAliveTimeout: 0, requestTimeout: 0 })
  let stopping = false

  const handle = (request: Http.IncomingMessage, response: Http.ServerResponse): Effect.Effect<void> => {
    const [path = "", query] = (request.url ?? "").replace(/#.*$/s, "").split(/\?(.*)/s)
    const target = { path, query: new URLSearchParams(query), headers: request.headers }
    const { dialect, resource } = addressed(target)
    const entry = journal.open({
      arrivedAt: clock.currentTimeMillisUnsafe(),
      method: request.method ?? "",
      path,
      headers: withoutKeys(request.headers),
      dialect: resource === undefined ? undefined : dialect.name
    })
    const ordinal = entry.index + 1
    const exchange: Exchange = {
      request,
      response,
      entry,
      target,
      dialect,
      resource,
      ordinal,
      clock,
      settings,
      journal
    }
    const closed = Deferred.makeUnsafe<void>()
    response.sendDate = false
    // A write that crosses the client's hanging up is not a failure of ours
    response.on("error", () => {})
    response.once("close", () => Deferred.doneUnsafe(closed, Effect.void))
    return route(exchange).pipe(
      Effect.catchDefect((defect) =>
        response.headersSent
          ? cut(exchange)
          : refuse(exchange, { type: "defect", message: `FaultServer failed: ${defect}` })
      ),
      Effect.raceFirst(Deferred.await(closed)),
      Effect.andThen(Deferred.await(closed)),
      Effect.ensuring(Effect.sync(() => {
        const end = response.writableFinished ? "complete" : stopping ? "server-cut" : "client-closed"
        journal.close(entry, entry.end ?? end, clock.currentTimeMillisUnsafe())
      }))
    )
  }

  server.on("request", (request, response) => run(handle(request, response)))
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })

  yield* Effect.acquireRelease(
    Effect.callback<void, Error>((resume) => {
      server.on("error", (error) => resume(Effect.fail(error)))
      server.listen({ host: "127.0.0.1", port: settings.port }, () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        stopping = true
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
        sockets.clear()
      })
  )
  const address = server.address()
  return {
    port: address !== null && typeof address === "object" ? address.port : settings.port,
    openConnections: () => sockets.size
  }
})

const secrets = /^(authorization|proxy-authorization|cookie|(x-(goog-)?)?api-key)$/

const withoutKeys = (headers: Http.IncomingHttpHeaders): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || secrets.test(name) ? [] : [[name, Array.isArray(value) ? value.join(", ") : value]]
    )
  )
