/**
 * What is written of an archive before it has its name, as files: tiles are appended to OUT.partial in order and recorded
 * in OUT.journal.
 *
 * Two runs that go on from the same journal share the files, but as the same run gives the same bytes at the same
 * places, neither harms the other, and the first to be done has the name.
 */
import { existsSync } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { crc32c } from '../entropy/crc32c.js'
import { refuseExisting } from '../files/output.js'
import { PartialFile, partialNames, partialOf, writeFully } from '../files/partial-file.js'
import { TIFF_HEADER_BYTES } from '../tiff/writer.js'
import { type ArchiveStore, otherRun, type StoreOptions } from './archive-store.js'
import { readFingerprint, readRecords, type TileRecord } from './journal.js'

/** Every name that is written for an archive. */
export function archiveNames(path: string): [output: string, partial: string, journal: string] {
  return [...partialNames(path), journalOf(path)]
}

/** Whether a run that was to write this file was interrupted and can go on. */
export function isResumable(path: string): boolean {
  return existsSync(partialOf(path)) && existsSync(journalOf(path))
}

export class FileStore implements ArchiveStore {
  readonly resumed: readonly TileRecord[]
  readonly #overwrite: boolean
  readonly #file: PartialFile
  readonly #journal: FileHandle

  private constructor(overwrite: boolean, file: PartialFile, journal: FileHandle, resumed: readonly TileRecord[]) {
    this.#overwrite = overwrite
    this.#file = file
    this.#journal = journal
    this.resumed = resumed
  }

  /** @throws ClericError ERR_FILE_EXISTS; ERR_RESUME_MISMATCH if what was interrupted was another run */
  static async open(path: string, options: StoreOptions): Promise<FileStore> {
    refuseExisting(path, options.overwrite)
    const resumed = options.resume && isResumable(path) ? await FileStore.#resume(path, options) : null
    return resumed ?? FileStore.#create(path, options)
  }

  static async #create(path: string, { overwrite }: StoreOptions): Promise<FileStore> {
    const file = await PartialFile.create(path)
    const journal = await replaceFile(journalOf(path)).catch(async (error: unknown) => {
      await file.close()
      throw error
    })
    return new FileStore(overwrite, file, journal, [])
  }

  /** Null if the journal hasn't begun. */
  static async #resume(path: string, options: StoreOptions): Promise<FileStore | null> {
    const journal = await open(journalOf(path), 'r+')
    let file: PartialFile | null = null
    try {
      const fingerprint = await readFingerprint(journal)
      if (fingerprint && !Buffer.from(fingerprint).equals(options.fingerprint)) throw otherRun(partialOf(path))
      if (fingerprint) {
        file = await PartialFile.reopen(path)
        return new FileStore(options.overwrite, file, journal, await verifiedTiles(file.handle, journal, options))
      }
    } catch (error) {
      await file?.close()
      await journal.close()
      throw error
    }
    await journal.close()
    return null
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    await this.#file.write(bytes, position)
  }

  record(bytes: Uint8Array, position: number): Promise<void> {
    return writeFully(this.#journal, bytes, position, journalOf(this.#file.path))
  }

  async publish(head: Uint8Array, length: number): Promise<void> {
    // An interrupted run may have come further than its journal: what is beyond the length goes.
    await this.#file.publish(head, TIFF_HEADER_BYTES, length, this.#overwrite)
    await this.#journal.close()
    await rm(journalOf(this.#file.path), { force: true })
  }

  async leave(isWorthKeeping: boolean): Promise<void> {
    const hasName = await this.#file.hasName().catch(() => false)
    await this.#journal.close().catch(() => {})
    if (isWorthKeeping) {
      await this.#file.close().catch(() => {})
      return
    }
    await this.#file.discard()
    if (hasName) await rm(journalOf(this.#file.path), { force: true })
  }
}

/** The tiles that the journal records and whose bytes are in the file. */
async function verifiedTiles(file: FileHandle, journal: FileHandle, options: StoreOptions): Promise<TileRecord[]> {
  const tiles: TileRecord[] = []
  let position = options.headLength
  const { size } = await file.stat()
  for await (const record of readRecords(journal)) {
    if (tiles.length === options.tiles || !(await isInFile(record, position, size, file))) break
    tiles.push(record)
    position += record.length
  }
  return tiles
}

/** Whether the bytes at `position` are those of the tile. */
async function isInFile(record: TileRecord, position: number, size: number, file: FileHandle): Promise<boolean> {
  const { offset, length, crc } = record
  if (length === 0) return offset === 0
  if (offset !== position || position + length > size) return false
  const bytes = new Uint8Array(length)
  const { bytesRead } = await file.read(bytes, 0, length, position)
  return bytesRead === length && crc32c(bytes) === crc
}

function journalOf(path: string): string {
  return `${path}.journal`
}

/** A new file under a name, even if another process makes one there at the same time. */
async function replaceFile(name: string): Promise<FileHandle> {
  for (;;) {
    await rm(name, { force: true })
    try {
      return await open(name, 'wx')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}
