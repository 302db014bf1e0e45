/**
 * About how many bytes a JSON value takes in the memory of a JavaScript engine: what V8 needs on 64 bits with compressed pointers off, as
 * in Node. A string has a header of 16 bytes and a byte a character, or two where a character is outside of Latin-1; an object or an array
 * has a header and a pointer a member. Names of members are shared and cost nothing; numbers that are no small integers are boxed.
 */
import type * as Schema from "effect/Schema"

export const jsonBytes = (value: Schema.Json): number => {
  switch (typeof value) {
    case "string":
      return stringBytes(value)
    case "number":
      return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? 0 : 16
    case "object": {
      if (value === null) return 0
      let bytes = 32
      if (isArray(value)) {
        for (const item of value) bytes += 8 + jsonBytes(item)
        return bytes
      }
      for (const name in value) bytes += 8 + jsonBytes(value[name]!)
      return bytes
    }
    default:
      return 0
  }
}

export const stringBytes = (text: string): number => 16 + (wide.test(text) ? text.length * 2 : text.length)

// oxlint-disable-next-line no-control-regex
const wide = /[^\u0000-\u00ff]/

const isArray = (value: object): value is Schema.JsonArray => Array.isArray(value)
