/** Half-precision numbers (IEEE 754 binary16), as model files hold them. */

/** The least exponent: every number of half precision is a multiple of 2^-24. */
export const LEAST_HALF_EXPONENT = -24
/** That of the largest numbers' leading bit. */
export const MOST_HALF_EXPONENT = 15

/** All 65,536 half-precision values as float32, made at the first use (256 KiB). */
let halfTable: Float32Array | undefined

/** The numbers that these bits stand for. */
export function widenHalves(halves: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits))
  const out = new Float32Array(halves.length)
  for (let i = 0; i < halves.length; i++) out[i] = halfTable[halves[i] as number] as number
  return out
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/**
 * The bits of these numbers in half precision.
 *
 * @returns null if one of them is none of half precision's finite numbers
 */
export function halvesOf(numbers: Float32Array): Uint16Array | null {
  const singles = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length)
  const halves = new Uint16Array(numbers.length)
  for (let i = 0; i < numbers.length; i++) {
    const bits = singles[i] as number
    const size = bits & 0x7fffffff
    const sign = (bits >>> 16) & 0x8000
    // 2^-14 to below 2^16, with ten bits of fraction, as nearly all are: another bias of the exponent, and no more.
    if (size >= 0x38800000 && size < 0x47800000 && (size & 0x1fff) === 0) {
      halves[i] = sign | ((size - 0x38000000) >> 13)
      continue
    }
    const subnormal = Math.abs(numbers[i] as number) * 2 ** -LEAST_HALF_EXPONENT
    if (!Number.isInteger(subnormal) || subnormal > 1023) return null
    halves[i] = sign | subnormal
  }
  return halves
}
