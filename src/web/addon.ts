/** What browsers have instead of the C++ addon, in place of `src/native/addon.ts`. */
import type { Addon } from '../native/addon.js'
import { portableCrc32c } from './crc32c.js'
import { decodePackedWeights } from './packed-weights.js'
import { NoEncoder, PortableDecoder, PortableTables } from './rans.js'

const portable = {
  RansTables: PortableTables,
  RansEncoder: NoEncoder,
  RansDecoder: PortableDecoder,
  decodeWeights: decodePackedWeights,
  crc32c: portableCrc32c,
} satisfies Partial<Addon>

export function addon(): typeof portable {
  return portable
}

/** Errors are those that callers get already. */
export function translated<T>(call: () => T): T {
  return call()
}

export function translatedLater<T>(call: () => Promise<T>): Promise<T> {
  return call()
}
