/** Unique identifiers that need no registered root: those that are made of UUIDs. Source: DICOM PS3.5, B.2. */
import { uuidOf } from '../files/uuid.js'

/**
 * The UID of something that is known by what it is made of: the same parts always give the same UID, of 44 characters, as
 * the first bit of the UUID makes its number one of 39 digits.
 *
 * @example
 * uidOf('series', digest) // '2.25.287669184217046318206592071542094362180'
 */
export function uidOf(...parts: readonly (string | Uint8Array)[]): string {
  return `2.25.${BigInt(`0x${Buffer.from(uuidOf(...parts)).toString('hex')}`)}`
}
