/** Random access to the bytes of an archive: a file, a Blob, or a URL whose server takes ranges. */
import { type FileHandle, open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { outOfRange, wrongType } from '../arguments.js'
import { ClericError, CorruptDataError, throwIfAborted, UnsupportedError } from '../errors.js'

/** What is fetched first: the whole head of most archives, and of every archive enough to tell that it is one. */
export const START_BYTES = 2 ** 16

export interface ByteSource {
  /** Path or address, for messages. */
  readonly name: string
  readonly size: number
  /** Exactly `length` bytes from `offset` on. @throws CorruptDataError ERR_ARCHIVE_CORRUPT where they aren't there */
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
  if (source instanceof URL || (typeof source === 'string' && /^https?:\/\//i.test(source))) {
    return UrlBytes.open(String(source), signal)
  }
  if (typeof source === 'string') return FileBytes.open(source)
  throw wrongType('a path, a URL or a Blob', 'source', source)
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

function beyond(name: string, offset: number, length: number, size: number): CorruptDataError {
  return new CorruptDataError(
    'ERR_ARCHIVE_CORRUPT',
    `${name} ends at byte ${size}, but bytes ${offset} to ${offset + length} are asked for: it is cut short or corrupt`,
  )
}

class FileBytes implements ByteSource {
  readonly name: string
  readonly size: number
  readonly #handle: FileHandle
  #closed = false

  private constructor(name: string, size: number, handle: FileHandle) {
    this.name = name
    this.size = size
    this.#handle = handle
  }

  static async open(path: string): Promise<FileBytes> {
    const handle = await open(path, 'r')
    try {
      const stats = await handle.stat()
      if (!stats.isFile()) throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${path} is no file`)
      return new FileBytes(path, stats.size, handle)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal)
    if (this.#closed) throw new ClericError('ERR_CLOSED', `${this.name} is closed`)
    if (offset + length > this.size) throw beyond(this.name, offset, length, this.size)
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done)
      if (bytesRead === 0) throw beyond(this.name, offset, length, offset + done)
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
  readonly size: number
  readonly #blob: Blob

  constructor(blob: Blob) {
    this.size = blob.size
    this.#blob = blob
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal)
    if (offset + length > this.size) throw beyond(this.name, offset, length, this.size)
    return new Uint8Array(await this.#blob.slice(offset, offset + length).arrayBuffer())
  }

  close(): void {}
}

class UrlBytes implements ByteSource {
  readonly name: string
  readonly size: number
  /** What came with the answer that told the size. */
  readonly #start: Uint8Array

  private constructor(name: string, size: number, start: Uint8Array) {
    this.name = name
    this.size = size
    this.#start = start
  }

  static async open(address: string, signal?: AbortSignal): Promise<UrlBytes> {
    const response = await request(address, 0, START_BYTES, signal)
    const size = Number(/\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1])
    if (!Number.isSafeInteger(size)) {
      await response.body?.cancel().catch(() => {})
      throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${address}: the server doesn't state the file's size`)
    }
    return new UrlBytes(address, size, await receive(response, address, 0, Math.min(size, START_BYTES), signal))
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (offset + length > this.size) throw beyond(this.name, offset, length, this.size)
    throwIfAborted(signal)
    if (offset + length <= this.#start.length) return this.#start.subarray(offset, offset + length)
    return receive(await request(this.name, offset, length, signal), this.name, offset, length, signal)
  }

  close(): void {}
}

/** The body of an answer, which must have exactly the bytes that were asked for. */
async function receive(
  response: Response,
  address: string,
  offset: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let done = 0
  try {
    for await (const chunk of response.body ?? []) {
      // A server may send more than was asked for, without end.
      if (done + chunk.length > length) {
        const what = `the server sends more than bytes ${offset} to ${offset + length}, which were asked for`
        throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${address}: ${what}`)
      }
      bytes.set(chunk, done)
      done += chunk.length
    }
  } catch (error) {
    throw networkError(address, error, signal)
  }
  if (done !== length) throw beyond(address, offset, length, offset + done)
  return bytes
}

async function request(address: string, offset: number, length: number, signal?: AbortSignal): Promise<Response> {
  const headers = { range: `bytes=${offset}-${offset + length - 1}` }
  const response = await fetch(address, signal ? { headers, signal } : { headers }).catch((error: unknown) => {
    throw networkError(address, error, signal)
  })
  if (response.status === 206) return response
  await response.body?.cancel().catch(() => {})
  const what = response.ok ? "the server doesn't answer range requests" : `${response.status} ${response.statusText}`
  throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${address}: ${what}`)
}

/** What `fetch` fails with says neither where nor, but for its cause, why. */
function networkError(address: string, error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof ClericError) return error
  throwIfAborted(signal)
  const { message, cause } = error as Error
  const why = cause instanceof Error ? cause.message || (cause as { code?: string }).code : undefined
  return new ClericError('ERR_NETWORK', `${address}: ${why ?? message}`, { cause: error })
}
