/**
 * A request body under construction, and what stops it.
 */

/** A JSON object under construction. */
export interface Body {
  [field: string]: unknown
}

/** What a protocol cannot say, and where it stands; in our own words, and never the value itself. */
export class Unencodable {
  readonly parameter: string
  readonly problem: string

  constructor(parameter: string, problem: string) {
    this.parameter = parameter
    this.problem = problem
  }
}
