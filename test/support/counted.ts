/**
 * How often a suite does what it does: a moderate count, enough to find what is broken, wherever the tests run; and a heavy one,
 * for a night or before a release, where `BULWARK_TEST_COUNTS=full`.
 */
export const counted = (moderate: number, full: number): number =>
  process.env["BULWARK_TEST_COUNTS"] === "full" ? full : moderate
