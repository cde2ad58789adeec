import { sentence } from '../arguments.js'
import { addon } from '../native/addon.js'

/**
 * CRC-32C (Castagnoli, RFC 3720) of `bytes`, an unsigned 32-bit number.
 *
 * Uses SSE4.2 where the processor has it, tables elsewhere; same result.
 *
 * @param seed the CRC of the bytes before these: `crc32c(b, crc32c(a))` is the CRC
 *   of a followed by b
 * @example
 * crc32c(new TextEncoder().encode('123456789')) // 0xe3069283
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(sentence('a Uint8Array', 'bytes', bytes))
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) throw new RangeError(sentence('a CRC-32', 'seed', seed))
  return addon().crc32c(bytes, seed)
}
