/**
 * Writes an archive so that there is never half of one under its name, and so that a run that was interrupted at any
 * moment can go on, to the same bytes: tiles come in order, and each is recorded once it is written.
 */
import { crc32c } from '../entropy/crc32c.js'
import type { ArchiveStore, ArchiveTarget, StoreOptions } from './archive-store.js'
import { FileStore } from './file-store.js'
import { encodeJournalHead, encodeRecord, recordPosition, type TileRecord } from './journal.js'

export class ArchiveWriter {
  readonly #store: ArchiveStore
  #tiles: number
  #position: number

  private constructor(store: ArchiveStore, headLength: number) {
    this.#store = store
    this.#tiles = store.resumed.length
    this.#position = store.resumed.reduce((sum, { length }) => sum + length, headLength)
  }

  /** @throws ClericError ERR_FILE_EXISTS; ERR_RESUME_MISMATCH if what was interrupted was another run */
  static async open(output: string | ArchiveTarget, options: StoreOptions): Promise<ArchiveWriter> {
    const store = await (typeof output === 'string' ? FileStore.open(output, options) : output.open(options))
    const writer = new ArchiveWriter(store, options.headLength)
    try {
      // The same bytes where a run goes on.
      await store.record(encodeJournalHead(options.fingerprint, options.tiles), 0)
    } catch (error) {
      await writer.leave()
      throw error
    }
    return writer
  }

  /** Tiles that an interrupted run has written. */
  get resumed(): readonly TileRecord[] {
    return this.#store.resumed
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
    await this.#store.record(encodeRecord(this.#tiles, record), recordPosition(this.#tiles))
    this.#tiles++
    return record
  }

  /** Appends bytes that are no tile, and tells where they are. They aren't recorded: a resumed run makes them anew. */
  async append(bytes: Uint8Array): Promise<number> {
    const offset = this.#position
    await this.#store.write(bytes, offset)
    this.#position += bytes.length
    return offset
  }

  /** Writes the head and gives the archive its name. */
  async finish(head: Uint8Array): Promise<void> {
    await this.#store.publish(head, this.#position)
  }

  /**
   * Gives up. The tiles written so far stay, for a run that goes on; without any nothing does. Harmless after
   * {@link finish}.
   */
  async leave(): Promise<void> {
    await this.#store.leave(this.#tiles > 0)
  }
}
