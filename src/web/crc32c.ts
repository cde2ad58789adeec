/** CRC-32C (Castagnoli, RFC 3720) in TypeScript: `native/entropy/crc32c.cc` for browsers. */

const POLYNOMIAL = 0x82f63b78

/** The register after each byte. */
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
  return crc
})

/** @param seed the CRC of the bytes before these */
export function portableCrc32c(bytes: Uint8Array, seed: number): number {
  let crc = ~seed
  for (let i = 0; i < bytes.length; i++) {
    crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number)
  }
  return ~crc >>> 0
}
