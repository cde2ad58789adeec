/**
 * Writes an archive so that there is never half a file. Tiles are appended to OUT.partial in order and recorded in
 * OUT.journal, so that a run that was interrupted at any moment can go on, to the same bytes.
 *
 * Two runs that go on from the same journal share the files, but as the same run gives the same bytes at the same
 * places, neither harms the other, and the first to be done has the name.
 */
import { existsSync } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { crc32c } from '../entropy/crc32c.js'
import { ClericError } from '../errors.js'
import { refuseExisting } from '../files/output.js'
import { PartialFile, partialNames, partialOf, writeFully } from '../files/partial-file.js'
import { TIFF_HEADER_BYTES } from '../tiff/writer.js'
import {
  encodeJournalHead,
  encodeRecord,
  readFingerprint,
  readRecords,
  recordPosition,
  type TileRecord,
} from './journal.js'

/** Every name that is written for an archive. */
export function archiveNames(path: string): [output: string, partial: string, journal: string] {
  return [...partialNames(path), journalOf(path)]
}

/** Whether a run that was to write this file was interrupted and can go on. */
export function isResumable(path: string): boolean {
  return existsSync(partialOf(path)) && existsSync(journalOf(path))
}

export interface WriterOptions {
  readonly overwrite: boolean
  /** Go on from an interrupted run, if there is one. */
  readonly resume: boolean
  /** Digest of all that the bytes of the archive depend on. */
  readonly fingerprint: Uint8Array
  /** Room for the head. */
  readonly headLength: number
  /** In all. */
  readonly tiles: number
}

export class ArchiveWriter {
  /** Tiles that an interrupted run has written. */
  readonly resumed: readonly TileRecord[]
  readonly #overwrite: boolean
  readonly #file: PartialFile
  readonly #journal: FileHandle
  #tiles: number
  #position: number

  private constructor(options: WriterOptions, file: PartialFile, journal: FileHandle, resumed: readonly TileRecord[]) {
    this.#overwrite = options.overwrite
    this.#file = file
    this.#journal = journal
    this.resumed = resumed
    this.#tiles = resumed.length
    this.#position = resumed.reduce((sum, { length }) => sum + length, options.headLength)
  }

  /** @throws ClericError ERR_FILE_EXISTS; ERR_RESUME_MISMATCH if what was interrupted was another run */
  static async open(path: string, options: WriterOptions): Promise<ArchiveWriter> {
    refuseExisting(path, options.overwrite)
    const resumed = options.resume && isResumable(path) ? await ArchiveWriter.#resume(path, options) : null
    return resumed ?? ArchiveWriter.#create(path, options)
  }

  static async #create(path: string, options: WriterOptions): Promise<ArchiveWriter> {
    const file = await PartialFile.create(path)
    const journal = await replaceFile(journalOf(path)).catch(async (error: unknown) => {
      await file.close()
      throw error
    })
    const writer = new ArchiveWriter(options, file, journal, [])
    try {
      await writer.#record(encodeJournalHead(options.fingerprint, options.tiles), 0)
    } catch (error) {
      await writer.leave()
      throw error
    }
    return writer
  }

  /** Null if the journal hasn't begun. */
  static async #resume(path: string, options: WriterOptions): Promise<ArchiveWriter | null> {
    const journal = await open(journalOf(path), 'r+')
    let file: PartialFile | null = null
    try {
      const fingerprint = await readFingerprint(journal)
      if (fingerprint && !Buffer.from(fingerprint).equals(options.fingerprint)) {
        const what = 'was begun with another slide, model, device or other options'
        const remedy = 'give the same, or start over without --resume'
        throw new ClericError('ERR_RESUME_MISMATCH', `${partialOf(path)} ${what}; ${remedy}`)
      }
      if (fingerprint) {
        file = await PartialFile.reopen(path)
        return new ArchiveWriter(options, file, journal, await verifiedTiles(file.handle, journal, options))
      }
    } catch (error) {
      await file?.close()
      await journal.close()
      throw error
    }
    await journal.close()
    return null
  }

  /** Bytes written, with the room for the head. */
  get position(): number {
    return this.#position
  }

  /** Appends the next tile, or records what stands for it. Calls must not overlap. */
  async appendTile(bytes: Uint8Array, facts: Pick<TileRecord, 'colour' | 'check' | 'seen'>): Promise<TileRecord> {
    const offset = bytes.length > 0 ? this.#position : 0
    const record = { offset, length: bytes.length, crc: crc32c(bytes), ...facts }
    await this.append(bytes)
    await this.#record(encodeRecord(this.#tiles, record), recordPosition(this.#tiles))
    this.#tiles++
    return record
  }

  /** Appends bytes that are no tile, and tells where they are. They aren't recorded: a resumed run makes them anew. */
  async append(bytes: Uint8Array): Promise<number> {
    const offset = this.#position
    await this.#file.write(bytes, offset)
    this.#position += bytes.length
    return offset
  }

  /** Writes the head and gives the file its name. */
  async finish(head: Uint8Array): Promise<void> {
    // An interrupted run may have come further than its journal: what is beyond the position goes.
    await this.#file.publish(head, TIFF_HEADER_BYTES, this.#position, this.#overwrite)
    await this.#journal.close()
    await rm(journalOf(this.#file.path), { force: true })
  }

  /**
   * Gives up. The tiles written so far stay, for a run that goes on; without any the files are removed. Harmless after
   * {@link finish}.
   */
  async leave(): Promise<void> {
    const hasName = await this.#file.hasName().catch(() => false)
    await this.#journal.close().catch(() => {})
    if (this.#tiles > 0) {
      await this.#file.close().catch(() => {})
      return
    }
    await this.#file.discard()
    if (hasName) await rm(journalOf(this.#file.path), { force: true })
  }

  #record(bytes: Uint8Array, position: number): Promise<void> {
    return writeFully(this.#journal, bytes, position, journalOf(this.#file.path))
  }
}

/** The tiles that the journal records and whose bytes are in the file. */
async function verifiedTiles(file: FileHandle, journal: FileHandle, options: WriterOptions): Promise<TileRecord[]> {
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
