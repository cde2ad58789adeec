/**
 * Writes an archive so that there is never half a file: everything goes to OUT.partial, the head comes last,
 * then fsync, then the name. Tiles are appended as they come and forgotten.
 *
 * Of two runs that write the same file the later one takes OUT.partial over, and the earlier one fails in the end: each has a
 * file of its own under that name, so that their bytes never mix.
 */
import { existsSync } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { ClericError } from '../errors.js'
import { type Description, encodeDirectory, encodeHead, HEAD_BYTES, type TileIndex } from './format.js'

/** @throws ClericError ERR_FILE_EXISTS */
export function refuseExisting(path: string, overwrite: boolean): void {
  if (!overwrite && existsSync(path)) {
    throw new ClericError(
      'ERR_FILE_EXISTS',
      `${path} exists already; choose another name, or overwrite it (--overwrite)`,
    )
  }
}

export class ArchiveWriter {
  readonly #path: string
  readonly #overwrite: boolean
  readonly #handle: FileHandle
  #position = HEAD_BYTES

  private constructor(path: string, overwrite: boolean, handle: FileHandle) {
    this.#path = path
    this.#overwrite = overwrite
    this.#handle = handle
  }

  static async create(path: string, overwrite: boolean): Promise<ArchiveWriter> {
    refuseExisting(path, overwrite)
    // What an interrupted run left, or what another is still writing to.
    await rm(partial(path), { force: true })
    const handle = await open(partial(path), 'wx').catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? takenOver(path) : error
    })
    return new ArchiveWriter(path, overwrite, handle)
  }

  /** Appends bytes and tells where they are. Calls must not overlap. */
  async append(bytes: Uint8Array): Promise<number> {
    const offset = this.#position
    await this.#write(bytes, offset)
    this.#position += bytes.length
    return offset
  }

  /** Writes directory and head and gives the file its name. Returns its size. */
  async finish(description: Description, indexes: readonly TileIndex[]): Promise<number> {
    const directory = encodeDirectory(description, indexes)
    const directoryOffset = await this.append(directory)
    // On disk before the head that points to it.
    await this.#handle.datasync()
    const head = encodeHead({
      directoryOffset,
      directoryLength: directory.length,
      directoryCrc: crc32(directory),
      fileLength: this.#position,
    })
    await this.#write(head, 0)
    await this.#handle.sync()
    refuseExisting(this.#path, this.#overwrite)
    if (!(await this.#hasName())) {
      throw takenOver(this.#path)
    }
    await this.#handle.close()
    await rename(partial(this.#path), this.#path)
    await syncFolder(dirname(this.#path))
    return this.#position
  }

  /** Gives up and removes the partial file. Harmless after {@link finish}. */
  async discard(): Promise<void> {
    const hasName = await this.#hasName().catch(() => false)
    await this.#handle.close().catch(() => {})
    if (hasName) await rm(partial(this.#path), { force: true })
  }

  /** Whether OUT.partial is still the file of this run. */
  async #hasName(): Promise<boolean> {
    const own = await this.#handle.stat({ bigint: true })
    const named = await stat(partial(this.#path), { bigint: true }).catch(() => null)
    return named?.ino === own.ino && named.dev === own.dev
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done)
      done += bytesWritten
    }
  }
}

function partial(path: string): string {
  return `${path}.partial`
}

function takenOver(path: string): ClericError {
  return new ClericError('ERR_FILE_EXISTS', `${partial(path)} was taken over by another run that writes ${path} too`)
}

/** Makes a rename last. Not every file system can sync a folder. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => null)
  await folder?.sync().catch(() => {})
  await folder?.close()
}
