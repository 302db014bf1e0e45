/**
 * Stands between a client and a service, and can go away in two manners.
 */
import { Effect } from "effect"
import { connect, createServer, type Socket } from "node:net"
import type { Address } from "./addresses.ts"

export const makeProxy = (address: Address) =>
  Effect.acquireRelease(
    Effect.callback<
      {
        readonly port: number
        readonly freeze: (which?: "present" | "all") => void
        readonly thaw: () => void
        readonly die: () => void
      }
    >((resume) => {
      const sockets = new Set<Socket>()
      /** Connections that come. */
      let frozen = false
      const server = createServer((client) => {
        const service = connect(address)
        for (const [from, to] of [[client, service], [service, client]] as const) {
          sockets.add(from)
          from.on("error", () => from.destroy())
          from.on("close", () => to.destroy())
          from.pipe(to)
          if (frozen) from.pause()
        }
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : 0,
          freeze: (which = "present") => {
            frozen = which === "all"
            for (const socket of sockets) socket.pause()
          },
          thaw: () => {
            frozen = false
            for (const socket of sockets) socket.resume()
          },
          die: () => {
            server.close()
            for (const socket of sockets) socket.destroy()
          }
        }))
      })
    }),
    (proxy) => Effect.sync(() => proxy.die())
  )
