/** JPEGs that decode to grey, and have as many scans as one likes. */
import type { Size } from '../../src/image/image.js'

const COMPONENTS = 3
/** A scan for each frequency of each component, and one for all means. */
export const MOST_SCANS = 1 + COMPONENTS * 63

/** A bit of zero for each of so many codes, and ones up to the next byte. */
function zeros(bits: number): number[] {
  const bytes = new Array(Math.ceil(bits / 8)).fill(0)
  if (bits % 8 > 0) bytes[bytes.length - 1] = 0xff >> (bits % 8)
  return bytes
}

/** The table whose only code, of one bit, is for nothing: no change of a mean, or no frequency left. */
const table = (id: number) => [0xff, 0xc4, 0, 20, id, 1, ...new Array(15).fill(0), 0]

function jpeg({ width, height }: Size, frame: number, scans: readonly (readonly number[])[]): Uint8Array {
  return Uint8Array.from([
    ...[0xff, 0xd8],
    ...[0xff, 0xdb, 0, 67, 0, ...new Array(64).fill(1)],
    ...[0xff, frame, 0, 17, 8, height >> 8, height & 255, width >> 8, width & 255, COMPONENTS],
    ...[1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0],
    ...table(0x00),
    ...table(0x10),
    ...scans.flatMap((scan) => [0xff, 0xda, 0, 6 + 2 * (scan[0] as number), ...scan]),
    ...[0xff, 0xd9],
  ])
}

const blocksOf = ({ width, height }: Size) => Math.ceil(width / 8) * Math.ceil(height / 8)

/**
 * A sound progressive one: the means, then frequency by frequency of each component.
 *
 * @param scans 1 to 190
 */
export function manyScans(size: Size, scans: number): Uint8Array {
  const blocks = blocksOf(size)
  const means = [COMPONENTS, 1, 0, 2, 0, 3, 0, 0, 0, 0, ...zeros(COMPONENTS * blocks)]
  const frequencies = Array.from({ length: scans - 1 }, (_, i) => {
    const [component, frequency] = [1 + (i % COMPONENTS), 1 + Math.floor(i / COMPONENTS)]
    return [1, component, 0, frequency, frequency, 0, ...zeros(blocks)]
  })
  return jpeg(size, 0xc2, [means, ...frequencies])
}

/**
 * A sequential one that has each component again and again, which decoders take.
 *
 * @param scans at least 3
 */
export function repeatedScans(size: Size, scans: number): Uint8Array {
  const each = Array.from({ length: scans }, (_, i) => {
    return [1, 1 + (i % COMPONENTS), 0, 0, 63, 0, ...zeros(2 * blocksOf(size))]
  })
  return jpeg(size, 0xc0, each)
}
