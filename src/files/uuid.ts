/** UUIDs of version 8, which are made of what they stand for, so that the same always has the same. Source: RFC 9562. */
import { Sha256 } from './sha256.js'

/** The 16 bytes of a UUID that is made of some parts. The first bit is always set. */
export function uuidOf(...parts: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = new Sha256()
  for (const part of parts) {
    const bytes = typeof part === 'string' ? new TextEncoder().encode(part) : part
    hash.update(new TextEncoder().encode(`${bytes.length}:`)).update(bytes)
  }
  const uuid = hash.bytes().slice(0, 16)
  // Version and variant; all other bits of version 8 are free.
  uuid[0] = (uuid[0] as number) | 0x80
  uuid[6] = ((uuid[6] as number) & 0x0f) | 0x80
  uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80
  return uuid
}

/** As in "f81d4fae-7dec-81d0-a765-00a0c91e6bf6". */
export function uuidText(uuid: Uint8Array): string {
  return Buffer.from(uuid)
    .toString('hex')
    .replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
