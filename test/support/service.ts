/**
 * Real services on loopback, for suites that need one. Where one is not there they are skipped, with a notice; where services are
 * required (`BULWARK_TEST_SERVICES=required`) they run all the same, and fail.
 */
import { describe } from "@effect/vitest"
import { connect } from "node:net"
import type { Address } from "./addresses.ts"

/** `describe`, where the service is there. */
export const describeService = async (
  name: string,
  { host, port }: Address
): Promise<(title: string, suite: () => void) => void> => {
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
  return (title, suite) => {
    // oxlint-disable-next-line no-console
    if (!runs) console.warn(`SKIPPED: ${title}: no ${name} at ${host}:${port}`)
    describe.skipIf(!runs)(title, suite)
  }
}
