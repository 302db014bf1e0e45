/**
 * A real Redis on loopback, for suites that need one. Where there is none they are skipped, with a notice; where services are
 * required (`BULWARK_TEST_SERVICES=required`) they run all the same, and fail.
 */
import { NodeRedis } from "@effect/platform-node"
import { describe } from "@effect/vitest"
import { Layer } from "effect"
import type { Redis } from "effect/persistence"
import { randomUUID } from "node:crypto"
import { connect } from "node:net"

const host = "127.0.0.1"
const port = 6379

const listens = await new Promise<boolean>((resolve) => {
  const socket = connect({ host, port, timeout: 500 })
  const settle = (listening: boolean) => {
    socket.destroy()
    resolve(listening)
  }
  socket.on("connect", () => settle(true))
  socket.on("error", () => settle(false))
  socket.on("timeout", () => settle(false))
})

const runs = listens || process.env["BULWARK_TEST_SERVICES"] === "required"

/** A connection of its own. */
export const layer: Layer.Layer<Redis.Redis> = Layer.orDie(NodeRedis.layer({ socket: { host, port } }))

/** A prefix for keys that no other suite, and no other run, has. */
export const prefix = (): string => `bulwark-test:${randomUUID()}:`

/** `describe`, where Redis is there. */
export const describeRedis = (name: string, suite: () => void): void => {
  // oxlint-disable-next-line no-console
  if (!runs) console.warn(`SKIPPED: ${name}: no Redis at ${host}:${port}`)
  describe.skipIf(!runs)(name, suite)
}
