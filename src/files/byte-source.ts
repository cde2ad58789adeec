/** Random access to the bytes of an archive: a file, a Blob, or a URL whose server takes ranges. */
import type { BigIntStats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { outOfRange, wrongType } from '../arguments.js'
import { ClericError, throwIfAborted, UnsupportedError } from '../errors.js'
import { cutShort } from './cut-short.js'
import { UrlBytes } from './url-bytes.js'
import { changed, versionOf } from './version.js'

export { START_BYTES } from './url-bytes.js'

export interface ByteSource {
  /** Path or address, for messages. */
  readonly name: string
  readonly size: number
  /** Changes when the file does, as far as the file system or server tells. */
  readonly version: string
  /**
   * Exactly `length` bytes from `offset` on.
   *
   * @throws CorruptDataError ERR_ARCHIVE_CORRUPT where they aren't there; ClericError ERR_FILE_CHANGED if the file
   * is another one by now, ERR_NETWORK
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>
  close(): void
}

/** Opens a path, an http(s) address or a Blob. */
export function openBytes(source: string | URL | Blob, signal?: AbortSignal): Promise<ByteSource> {
  if (source instanceof Blob) return Promise.resolve(new BlobBytes(source))
  if (source instanceof URL && source.protocol === 'file:') return FileBytes.open(fileURLToPath(source))
  if (source instanceof URL && !/^https?:$/.test(source.protocol)) {
    throw outOfRange('a file, http or https URL', 'source', source.href)
  }
  if (source instanceof URL || (typeof source === 'string' && isAddress(source))) {
    return UrlBytes.open(String(source), signal)
  }
  if (typeof source === 'string') return FileBytes.open(source)
  throw wrongType('a path, a URL or a Blob', 'source', source)
}

/** Whether a string is the address of a file on a server, not a path. */
export function isAddress(source: string): boolean {
  return /^https?:\/\//i.test(source)
}

/** The name of a file, without its folders: of a path or an address. */
export function nameOf(source: string): string {
  if (!isAddress(source) || !URL.canParse(source)) return basename(source)
  const { hostname, pathname } = new URL(source)
  return basename(pathname) || hostname
}

/** The first bytes of a file, enough to tell what it is; none if there is no such file, or it is a folder. */
export async function firstBytes(path: string): Promise<Uint8Array> {
  const handle = await open(path, 'r').catch(() => null)
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

class FileBytes implements ByteSource {
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
  }

  static async open(path: string): Promise<FileBytes> {
    const handle = await open(path, 'r')
    try {
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${path} is no file`)
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
        if (versionOf(await this.#handle.stat({ bigint: true })) !== this.version) throw changed(this.name)
        throw cutShort(this.name, offset, length, offset + done)
      }
      done += bytesRead
    }
    return bytes
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // Waits for reads that are under way; nothing is left to do if it fails.
    this.#handle.close().catch(() => {})
  }
}

class BlobBytes implements ByteSource {
  readonly name = 'archive'
  readonly version = 'blob'
  readonly size: number
  readonly #blob: Blob

  constructor(blob: Blob) {
    this.size = blob.size
    this.#blob = blob
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal)
    if (offset + length > this.size) throw cutShort(this.name, offset, length, this.size)
    try {
      return new Uint8Array(await this.#blob.slice(offset, offset + length).arrayBuffer())
    } catch (cause) {
      // This is how a Blob of a file reports that the file has changed.
      if ((cause as Error).name === 'NotReadableError') throw changed(this.name, cause)
      throw cause
    }
  }

  close(): void {}
}
