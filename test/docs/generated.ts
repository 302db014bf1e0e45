/**
 * The pages of the documentation that are made from the code, or have parts that are. `npm run docs` writes them; a test compares them.
 */
import * as ErrorTable from "./errorTable.ts"
import * as TelemetryTables from "./telemetryTables.ts"

/** A page, and what makes it. */
export interface Generated {
  /** Relative to the repository. */
  readonly file: string
  readonly render: () => string
}

export const generated: ReadonlyArray<Generated> = [
  { file: "docs/errors.md", render: ErrorTable.render },
  { file: "docs/telemetry.md", render: TelemetryTables.render }
]
