/** Raw Deflate (RFC 1951), by zlib. */
import { promisify } from 'node:util'
import { constants, deflateRaw, inflateRaw } from 'node:zlib'

export function deflate(bytes: Uint8Array): Promise<Uint8Array> {
  return promisify(deflateRaw)(bytes, { level: constants.Z_BEST_COMPRESSION })
}

/** @throws Error for damaged data, and if there are more than `most` bytes */
export function inflate(bytes: Uint8Array, most: number): Promise<Uint8Array> {
  return promisify(inflateRaw)(bytes, { maxOutputLength: most })
}
