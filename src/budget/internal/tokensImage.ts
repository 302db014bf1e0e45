/**
 * The size of an image, from its first bytes, and what that becomes in tokens.
 */
import { about, type Amount } from "./tokensAmount.ts"
import type { ImageRule } from "./tokensFamily.ts"

export interface Size {
  readonly width: number
  readonly height: number
}

/** The size that an image's header gives, of PNG, GIF, WebP and JPEG. */
export const sizeOf = (bytes: Uint8Array): Size | undefined => {
  const size = read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  return size !== undefined && size.width > 0 && size.height > 0 ? size : undefined
}

const read = (view: DataView): Size | undefined => {
  if (view.byteLength < 10) return undefined
  const first = view.getUint32(0)
  if (first === 0x89504e47) {
    return view.byteLength < 24 ? undefined : { width: view.getUint32(16), height: view.getUint32(20) }
  }
  // GIF8
  if (first === 0x47494638) return { width: view.getUint16(6, true), height: view.getUint16(8, true) }
  // RIFF....WEBP
  if (first === 0x52494646 && view.byteLength >= 30 && view.getUint32(8) === 0x57454250) return readWebp(view)
  return view.getUint16(0) === 0xffd8 ? readJpeg(view) : undefined
}

const uint24 = (view: DataView, at: number): number => view.getUint16(at, true) | (view.getUint8(at + 2) << 16)

const readWebp = (view: DataView): Size | undefined => {
  switch (view.getUint32(12)) {
    // VP8X: both less one, in three bytes.
    case 0x56503858:
      return { width: uint24(view, 24) + 1, height: uint24(view, 27) + 1 }
    // VP8L: both less one, in 14 bits.
    case 0x5650384c: {
      const bits = view.getUint32(21, true)
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
    }
    // VP8, whose upper two bits are a scale.
    case 0x56503820:
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
    default:
      return undefined
  }
}

/** The size stands in a segment of its own, after those of cameras and colours. */
const readJpeg = (view: DataView): Size | undefined => {
  let at = 2
  while (at + 9 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return undefined
    const marker = view.getUint8(at + 1)
    // Any number of these may fill the room before a marker.
    if (marker === 0xff) {
      at++
      continue
    }
    // Start of frame, which is neither a table (C4, C8, CC) nor the start of the picture itself.
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) }
    }
    if (marker === 0xda || marker === 0xd9) return undefined
    at += 2 + view.getUint16(at + 2)
  }
  return undefined
}

/** What is around an image. */
const wrapper = 16

/** What an image becomes; one whose size is not known, at most. */
export const imageTokens = (rule: ImageRule, size: Size | undefined, detail: string | undefined): Amount => {
  const tokens = size === undefined ? undefined : tokensOf(rule, size, detail)
  const most = largest(rule, detail)
  return tokens === undefined ? about(most / 2, most + wrapper) : about(tokens, tokens + wrapper)
}

const tokensOf = (rule: ImageRule, size: Size, detail: string | undefined): number => {
  switch (rule.type) {
    case "tiles": {
      if (detail === "low") return rule.base
      // Fitted into a square of 2048, then to a shorter side of 768, and never enlarged.
      const fitted = scale(size, Math.min(1, 2048 / Math.max(size.width, size.height)))
      const { height, width } = scale(fitted, Math.min(1, 768 / Math.min(fitted.width, fitted.height)))
      return rule.base + rule.tile * cover(width, 512) * cover(height, 512)
    }
    case "patches": {
      const { height, width } = scale(size, Math.min(1, rule.longestEdge / Math.max(size.width, size.height)))
      const patches = cover(width, rule.pixels) * cover(height, rule.pixels)
      return Math.ceil(Math.min(patches, limitOf(rule, detail)) * rule.factor)
    }
    case "crops": {
      if (size.width <= 384 && size.height <= 384) return 258
      const crop = Math.min(768, Math.max(256, Math.floor(Math.min(size.width, size.height) / 1.5)))
      return 258 * Math.min(mostCrops, cover(size.width, crop) * cover(size.height, crop))
    }
    case "fixed":
      return rule.tokens
  }
}

// As many as an image of 3072 pixels on both sides has; larger ones are scaled down before they are sent, or refused.
const mostCrops = 16

const limitOf = (rule: Extract<ImageRule, { readonly type: "patches" }>, detail: string | undefined): number =>
  detail === "original" ? 10_000 : rule.limit

const largest = (rule: ImageRule, detail: string | undefined): number => {
  switch (rule.type) {
    case "tiles":
      // 768 by 2048.
      return detail === "low" ? rule.base : rule.base + rule.tile * 8
    case "patches":
      return Math.ceil(limitOf(rule, detail) * rule.factor)
    case "crops":
      return 258 * mostCrops
    case "fixed":
      return rule.tokens
  }
}

const scale = ({ height, width }: Size, factor: number): Size => ({ width: width * factor, height: height * factor })

// What is left over by a scale is no further tile.
const cover = (length: number, unit: number): number => Math.max(1, Math.ceil(length / unit - 1e-6))
