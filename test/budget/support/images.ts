/**
 * The first bytes of images of any size.
 */
const bytes = (length: number, text: string, write: (view: DataView) => void): Uint8Array => {
  const array = new Uint8Array(length)
  array.set(Uint8Array.from(text, (character) => character.charCodeAt(0)))
  write(new DataView(array.buffer))
  return array
}

export const png = (width: number, height: number): Uint8Array =>
  bytes(33, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", (view) => {
    view.setUint32(16, width)
    view.setUint32(20, height)
  })

export const gif = (width: number, height: number): Uint8Array =>
  bytes(13, "GIF89a", (view) => {
    view.setUint16(6, width, true)
    view.setUint16(8, height, true)
  })

/** `notes` is how much a camera has written before the size. */
export const jpeg = (width: number, height: number, notes = 14): Uint8Array =>
  bytes(2 + 2 + notes + 2 + 4 + 19, "\xff\xd8\xff\xe1", (view) => {
    view.setUint16(4, notes)
    // A table, whose marker is among those of sizes.
    let at = 4 + notes
    view.setUint16(at, 0xffc4)
    view.setUint16(at + 2, 4)
    at += 6
    view.setUint16(at, 0xffc2)
    view.setUint16(at + 2, 17)
    view.setUint8(at + 4, 8)
    view.setUint16(at + 5, height)
    view.setUint16(at + 7, width)
  })

export const webp = (kind: "VP8 " | "VP8L" | "VP8X", width: number, height: number): Uint8Array =>
  bytes(32, `RIFF\0\0\0\0WEBP${kind}`, (view) => {
    switch (kind) {
      case "VP8 ":
        view.setUint16(26, width, true)
        view.setUint16(28, height, true)
        break
      case "VP8L":
        view.setUint8(20, 0x2f)
        view.setUint32(21, (width - 1) | ((height - 1) << 14), true)
        break
      case "VP8X":
        view.setUint16(24, width - 1, true)
        view.setUint16(27, height - 1, true)
        break
    }
  })
