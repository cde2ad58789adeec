/**
 * A file that is written so that there is never half of it under its name: its bytes go to OUT.partial. The header,
 * which makes them a TIFF, comes last, then fsync, then the name.
 *
 * If two runs write the same file, the later one takes OUT.partial over, and the earlier one fails in the end. Each
 * has a file of its own, so that their bytes never mix.
 */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ClericError } from '../errors.js'
import { refuseExisting, refuseIrregular } from './output.js'

export class PartialFile {
  /** The name that the file is to have. */
  readonly path: string
  readonly handle: FileHandle

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.handle = handle
  }

  /** Begins a file, in place of what an interrupted run left or another is still writing to. */
  static async create(path: string): Promise<PartialFile> {
    await rm(partialOf(path), { force: true })
    const handle = await open(partialOf(path), 'wx').catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? takenOver(path) : error
    })
    return new PartialFile(path, handle)
  }

  /** Goes on with what an interrupted run left. */
  static async reopen(path: string): Promise<PartialFile> {
    return new PartialFile(path, await open(partialOf(path), 'r+'))
  }

  /** @throws ClericError ERR_DISK_FULL */
  write(bytes: Uint8Array, position: number): Promise<void> {
    return writeFully(this.handle, bytes, position, partialOf(this.path))
  }

  /**
   * Writes the head, its first `header` bytes last, cuts the file after byte `length` and gives it its name.
   *
   * @param check called when the file is whole and hasn't its name yet; if it throws it won't have it
   * @throws ClericError ERR_FILE_EXISTS, ERR_NOT_WRITABLE, ERR_DISK_FULL
   */
  async publish(
    head: Uint8Array,
    header: number,
    length: number,
    overwrite: boolean,
    check?: (partial: string) => Promise<void>,
  ): Promise<void> {
    // Also what reserves no room, or fails late: the file may become longer, and a file system may write when it syncs.
    await this.#within(length, () => this.handle.truncate(length))
    await this.write(head.subarray(header), header)
    // Everything must be on disk before the header, which makes it a TIFF.
    await this.#within(length, () => this.handle.datasync())
    await this.write(head.subarray(0, header), 0)
    await this.#within(length, () => this.handle.sync())
    try {
      await check?.(partialOf(this.path))
    } catch (error) {
      // What was looked at may have been another run's by then.
      throw (await this.hasName()) ? error : takenOver(this.path)
    }
    refuseExisting(this.path, overwrite)
    refuseIrregular(this.path, this.path)
    if (!(await this.hasName())) throw takenOver(this.path)
    await this.handle.close()
    await rename(partialOf(this.path), this.path)
    await syncFolder(dirname(this.path))
  }

  /** @throws ClericError ERR_DISK_FULL */
  #within(length: number, work: () => Promise<void>): Promise<void> {
    return work().catch((error: unknown) => {
      throw asDiskFull(error, partialOf(this.path), length)
    })
  }

  /** Whether OUT.partial is still the file of this run. */
  async hasName(): Promise<boolean> {
    const opened = await this.handle.stat({ bigint: true })
    const named = await stat(partialOf(this.path), { bigint: true }).catch(() => null)
    return named?.ino === opened.ino && named.dev === opened.dev
  }

  async close(): Promise<void> {
    await this.handle.close()
  }

  /** Closes the file and removes it, unless it is another run's by now. Harmless after {@link publish}. */
  async discard(): Promise<void> {
    const hasName = await this.hasName().catch(() => false)
    await this.handle.close().catch(() => {})
    if (hasName) await rm(partialOf(this.path), { force: true })
  }
}

/** The disk is full, the user's quota is used up, or the process may not write files of that size. */
const DISK_FULL = ['ENOSPC', 'EDQUOT', 'EFBIG']

/** @param name of the file, for the message. @throws ClericError ERR_DISK_FULL */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number, name: string): Promise<void> {
  try {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
      done += bytesWritten
    }
  } catch (error) {
    throw asDiskFull(error, name, position)
  }
}

/** The same error, or ERR_DISK_FULL if that is what it means. */
export function asDiskFull(cause: unknown, name: string, position: number): unknown {
  const { code, message } = cause as NodeJS.ErrnoException
  if (!DISK_FULL.includes(code ?? '')) return cause
  return new ClericError('ERR_DISK_FULL', `${name} can't grow beyond byte ${position}: ${message}`, { cause })
}

export function partialOf(path: string): string {
  return `${path}.partial`
}

/** Every name that is written for a file. */
export function partialNames(path: string): [output: string, partial: string] {
  return [path, partialOf(path)]
}

/** Writes a file whose bytes are all there, in place of one that has its name. @throws ClericError ERR_DISK_FULL */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const file = await PartialFile.create(path)
  try {
    await file.publish(bytes, 0, bytes.length, true)
  } finally {
    await file.discard()
  }
}

export function takenOver(path: string): ClericError {
  return new ClericError('ERR_FILE_EXISTS', `${partialOf(path)} was taken over by another run that writes ${path} too`)
}

/** Makes a rename last. Not every file system can sync a folder. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => null)
  await folder?.sync().catch(() => {})
  await folder?.close()
}
