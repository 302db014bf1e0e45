import { assert, describe, it } from "@effect/vitest"
import * as RetryAfter from "../../../src/providers/internal/retryAfter.ts"

const now = Date.UTC(2026, 0, 15, 12, 0, 0)

const day = 86_400_000

describe("retry-after in headers", () => {
  const cases: ReadonlyArray<readonly [name: string, headers: RetryAfter.HeaderFields, millis: number | undefined]> = [
    ["seconds", { "retry-after": "20" }, 20_000],
    ["fractional seconds", { "retry-after": "0.25" }, 250],
    ["spaces around", { "retry-after": " 3 " }, 3000],
    ["milliseconds", { "retry-after-ms": "1250" }, 1250],
    ["fractional milliseconds", { "retry-after-ms": "0.5" }, 1],
    ["milliseconds win over seconds", { "retry-after-ms": "10", "retry-after": "9" }, 10],
    ["zero milliseconds leave it to seconds", { "retry-after-ms": "0", "retry-after": "1" }, 1000],
    ["an HTTP date", { "retry-after": "Thu, 15 Jan 2026 12:00:30 GMT" }, 30_000],
    ["a date of RFC 850", { "retry-after": "Thursday, 15-Jan-26 12:01:00 GMT" }, 60_000],
    ["a date as C prints it", { "retry-after": "Thu Jan 15 12:00:02 2026" }, 2000],
    ["a date that has passed", { "retry-after": "Thu, 15 Jan 2026 11:59:59 GMT" }, undefined],
    ["this very moment", { "retry-after": "Thu, 15 Jan 2026 12:00:00 GMT" }, undefined],
    ["a date that is none", { "retry-after": "Zhu, 15 Jan 2026 12:00:30 GMT" }, undefined],
    ["a date that does not exist", { "retry-after": "Sat, 31 Feb 2026 12:00:30 GMT" }, undefined],
    ["an ISO date", { "retry-after": "2026-01-15T12:00:30Z" }, undefined],
    ["zero", { "retry-after": "0" }, undefined],
    ["negative", { "retry-after": "-10" }, undefined],
    ["NaN", { "retry-after": "NaN", "retry-after-ms": "NaN" }, undefined],
    ["Infinity", { "retry-after": "Infinity" }, undefined],
    ["an exponent", { "retry-after": "1e3" }, undefined],
    ["hexadecimal", { "retry-after": "0x10" }, undefined],
    ["two values", { "retry-after": "1, 2" }, undefined],
    ["empty", { "retry-after": "" }, undefined],
    ["absent", {}, undefined],
    ["more than a timer can wait", { "retry-after": "99999999" }, RetryAfter.longestMillis],
    ["absurdly much", { "retry-after": "9".repeat(400) }, undefined],
    ["a year", { "retry-after": "Fri, 15 Jan 2027 12:00:00 GMT" }, RetryAfter.longestMillis],
    ["a day", { "retry-after": "86400" }, day]
  ]
  for (const [name, headers, millis] of cases) {
    it(name, () => assert.strictEqual(RetryAfter.fromHeaders(headers, now), millis))
  }
})

describe("retry hints in words", () => {
  const cases: ReadonlyArray<readonly [words: string, millis: number | undefined]> = [
    ["Please try again in 644ms.", 644],
    ["Please try again in 6.596s. Visit the docs.", 6596],
    ["Please try again in 9m38.016s", 578_016],
    ["try again in 1h2m3.5s", 3_723_500],
    ["Please retry in 34.074824224s", 34_075],
    ["Please retry after 86400 seconds.", day],
    ["Try again in 3 seconds", 3000],
    ["try again in 2 minutes", 120_000],
    ["retry after 1 hour", 3_600_000],
    ["Please try again later.", undefined],
    ["try again in a while", undefined],
    ["try again in 5 attempts", undefined],
    ["try again in 0s", undefined],
    ["it took 5s", undefined]
  ]
  for (const [words, millis] of cases) {
    it(words, () => assert.strictEqual(RetryAfter.fromText(words), millis))
  }
})

describe("durations as Go prints them", () => {
  for (
    const [source, millis] of [["6m0s", 360_000], ["17ms", 17], ["2m59.56s", 179_560], ["1s", 1000], [
      "1d2h",
      93_600_000
    ]] as const
  ) {
    it(source, () => assert.strictEqual(RetryAfter.goDuration(source), millis))
  }
  for (const source of ["0s", "", "5", "m", "1x", "-1s"]) {
    it(`not: ${JSON.stringify(source)}`, () => assert.isUndefined(RetryAfter.goDuration(source)))
  }
})

describe("resets of buckets", () => {
  it("are the reset of the bucket that is empty", () =>
    assert.strictEqual(
      RetryAfter.fromBuckets({
        "x-ratelimit-remaining-requests": "12",
        "x-ratelimit-reset-requests": "6m0s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1.5s"
      }, now),
      1500
    ))

  it("are the latest where several are empty", () =>
    assert.strictEqual(
      RetryAfter.fromBuckets({
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-01-15T12:00:10Z",
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": "2026-01-15T12:00:40Z"
      }, now),
      40_000
    ))

  it("are none where nothing is empty", () =>
    assert.isUndefined(
      RetryAfter.fromBuckets({ "x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "1s" }, now)
    ))

  const epoch = now / 1000
  for (
    const [source, millis] of [
      [String(now + 2500), 2500],
      [String(epoch + 3), 3000],
      ["30", 30_000],
      ["2026-01-15T12:00:01.5Z", 1500],
      [String(now - 1), undefined],
      ["soon", undefined]
    ] as const
  ) {
    it(`at ${source}`, () => assert.strictEqual(RetryAfter.resetMillis(source, now), millis))
  }
})
