import { checkInteger, outOfRange, wrongType } from '../arguments.js'
import type { Image } from '../image/image.js'

/** Both arguments of a metric: 8-bit RGB images of the same size. */
export function checkSameSize(a: Image, b: Image): void {
  for (const [name, image] of [
    ['the first image', a],
    ['the second image', b],
  ] as const) {
    if (!(image?.data instanceof Uint8Array))
      throw wrongType('{ data: Uint8Array, width, height, channels: 3 }', name, image)
    checkInteger(image.width, `${name}'s width`, 1, Number.MAX_SAFE_INTEGER)
    checkInteger(image.height, `${name}'s height`, 1, Number.MAX_SAFE_INTEGER)
    if (image.data.length !== image.width * image.height * 3) {
      throw outOfRange(`${image.width * image.height * 3} bytes of RGB`, `${name}'s data`, image.data)
    }
  }
  if (a.width !== b.width || a.height !== b.height) {
    throw outOfRange(`${a.width} x ${a.height} pixels`, 'the second image', `${b.width} x ${b.height}`)
  }
}
