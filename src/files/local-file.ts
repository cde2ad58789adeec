/** The bytes of a file on this machine. */
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { outOfRange } from '../arguments.js'
import { ClericError, throwIfAborted, UnsupportedError } from '../errors.js'
import { cutShort } from './cut-short.js'
import { changed, versionOf } from './version.js'

/**
 * A pipe that nobody writes to would keep who opens it waiting for ever, deaf to signals, unless it is opened like this.
 * Windows has no such flag, and no such files.
 */
const READ_NOW = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Opens a file to read, without waiting for the writer of a pipe. Only a file can have a holder of a lease, such as a file
 * server, who is told to give it up: that is waited for.
 */
function openNow(path: string): Promise<FileHandle> {
  return open(path, READ_NOW).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EAGAIN') throw error
    return open(path, 'r')
  })
}

/** The first bytes of a file, enough to tell what it is; none if there is no such file, or it is a folder or a pipe. */
export async function firstBytes(path: string): Promise<Uint8Array> {
  const handle = await openNow(path).catch(() => null)
  if (!handle) return new Uint8Array(0)
  try {
    if (!(await handle.stat()).isFile()) return new Uint8Array(0)
    const { buffer, bytesRead } = await handle.read(new Uint8Array(FIRST_BYTES), 0, FIRST_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

const FIRST_BYTES = 4096

/**
 * The path of a file that is named by its path or its URL. `import.meta.resolve` and other programs give URLs as strings.
 *
 * @throws RangeError ERR_INVALID_ARGUMENT for a file URL that means no path here
 */
export function pathOf(source: string | URL): string {
  if (typeof source === 'string' && !/^file:\/\//i.test(source)) return source
  try {
    return fileURLToPath(new URL(source))
  } catch {
    throw outOfRange('a path or the URL of a file', 'source', String(source))
  }
}

/** Opens a path or a file: URL; what it resolves to is a `ByteSource`. */
export function openFile(source: string | URL): Promise<FileBytes> {
  return FileBytes.open(pathOf(source))
}

/**
 * Files that were opened and never closed are closed when nothing can read them any more. Node.js would do that too, but
 * with a warning about a descriptor, which says nothing to whoever forgot to close a slide.
 */
const forgotten = new FinalizationRegistry<FileHandle>((handle) => {
  handle.close().catch(() => {})
})

/** What is said of a folder, a pipe or a device in a file's place. */
export function notAFile(path: string): string {
  return `${path} is no file, but a folder, a pipe or a device`
}

class FileBytes {
  readonly name: string
  readonly size: number
  readonly version: string
  readonly #handle: FileHandle
  #closed = false

  private constructor(name: string, stats: BigIntStats, handle: FileHandle) {
    this.name = name
    this.size = Number(stats.size)
    this.version = versionOf(stats)
    this.#handle = handle
    forgotten.register(this, handle, this)
  }

  static async open(path: string): Promise<FileBytes> {
    const handle = await openNow(path)
    try {
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', notAFile(path))
      return new FileBytes(path, stats, handle)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal)
    if (this.#closed) throw new ClericError('ERR_CLOSED', `${this.name} is closed`)
    if (offset + length > this.size) throw cutShort(this.name, offset, length, this.size)
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done)
      if (bytesRead === 0) {
        // The file was long enough when it was opened.
        await this.#mustBeSame()
        throw cutShort(this.name, offset, length, offset + done)
      }
      done += bytesRead
    }
    // Who rewrites a file in place changes what an open handle reads.
    await this.#mustBeSame()
    return bytes
  }

  /** @throws ClericError ERR_FILE_CHANGED */
  async #mustBeSame(): Promise<void> {
    if (versionOf(await this.#handle.stat({ bigint: true })) !== this.version) throw changed(this.name)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    forgotten.unregister(this)
    // Waits for reads that are under way; nothing is left to do if it fails.
    this.#handle.close().catch(() => {})
  }
}
