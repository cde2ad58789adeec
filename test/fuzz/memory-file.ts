/** Bytes in memory as a file that is open. */
import type { FileHandle } from 'node:fs/promises'

/** The part of a handle that parsers use. */
export function memoryFile(bytes: Uint8Array): FileHandle {
  const file = {
    async stat() {
      return { size: bytes.length }
    },
    async read(buffer: Uint8Array, offset: number, length: number, position: number) {
      const piece = bytes.subarray(position, position + length)
      buffer.set(piece, offset)
      return { buffer, bytesRead: piece.length }
    },
  }
  return file as unknown as FileHandle
}
