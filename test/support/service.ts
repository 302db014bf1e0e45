/**
 * Real services on loopback, for suites that need one. Where one is not there they are skipped, with a notice; where services are
 * required (`BULWARK_TEST_SERVICES=required`) they run all the same, and fail.
 */
import { describe } from "@effect/vitest"
import { type Address, listens } from "./addresses.ts"

/** `describe`, where the service is there. */
export const describeService = async (
  name: string,
  { host, port }: Address
): Promise<(title: string, suite: () => void) => void> => {
  const runs = await listens({ host, port }) || process.env["BULWARK_TEST_SERVICES"] === "required"
  return (title, suite) => {
    // oxlint-disable-next-line no-console
    if (!runs) console.warn(`SKIPPED: ${title}: no ${name} at ${host}:${port}`)
    describe.skipIf(!runs)(title, suite)
  }
}
