/**
 * Programs that suites need. Where one is not on the path they are skipped, with a notice; where services are required
 * (`BULWARK_TEST_SERVICES=required`) they run all the same, and fail.
 */
import { describe } from "@effect/vitest"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"

const onPath = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** `describe`, where the program is there. */
export const describeProgram = (program: string): (title: string, suite: () => void) => void => {
  const runs = onPath(program) || process.env["BULWARK_TEST_SERVICES"] === "required"
  return (title, suite) => {
    // oxlint-disable-next-line no-console
    if (!runs) console.warn(`SKIPPED: ${title}: no ${program} on the path`)
    describe.skipIf(!runs)(title, suite)
  }
}
