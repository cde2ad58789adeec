/** What the head of an archive says, for tests that need to know where things are. */
import { readFileSync } from 'node:fs'
import { type OpenedHead, readHead } from '../../src/archive/head-reader.js'
import { openBytes } from '../../src/files/byte-source.js'

export async function headOf(archive: string | Uint8Array<ArrayBuffer>): Promise<OpenedHead> {
  const bytes = typeof archive === 'string' ? readFileSync(archive) : archive
  return readHead(await openBytes(new Blob([bytes])))
}

/** Where the first tile that is stored begins. */
export async function firstTile(archive: string): Promise<{ offset: number; length: number; column: number }> {
  const { indexes } = await headOf(archive)
  const { offset, length } = indexes[0] as (typeof indexes)[number]
  const column = length.findIndex((bytes) => bytes > 0)
  return { offset: offset[column] as number, length: length[column] as number, column }
}
