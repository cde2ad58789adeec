/** Random access to the bytes of an archive: a file, a Blob, or a URL whose server takes ranges. */
import type { BigIntStats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { outOfRange, wrongType } from '../arguments.js'
import { ClericError, CorruptDataError, throwIfAborted, UnsupportedError } from '../errors.js'
import { changed, versionOf } from './version.js'

/** Bytes that are fetched first: the whole head of most archives, and enough of every archive to recognise it. */
export const START_BYTES = 2 ** 16

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
    if (offset + length > this.size) throw beyond(this.name, offset, length, this.size)
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done)
      if (bytesRead === 0) {
        // The file was long enough when it was opened.
        if (versionOf(await this.#handle.stat({ bigint: true })) !== this.version) throw changed(this.name)
        throw beyond(this.name, offset, length, offset + done)
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
    if (offset + length > this.size) throw beyond(this.name, offset, length, this.size)
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

/** The headers by which a server identifies the version of a file. */
interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

function validatorsOf({ headers }: Response): Validators {
  return { etag: headers.get('etag'), lastModified: headers.get('last-modified') }
}

class UrlBytes implements ByteSource {
  readonly name: string
  readonly size: number
  readonly version: string
  readonly #validators: Validators
  /** The bytes that came with the answer that told the size. */
  readonly #start: Uint8Array

  private constructor(name: string, size: number, validators: Validators, start: Uint8Array) {
    this.name = name
    this.size = size
    this.version = validators.etag ?? validators.lastModified ?? String(size)
    this.#validators = validators
    this.#start = start
  }

  static async open(address: string, signal?: AbortSignal): Promise<UrlBytes> {
    const response = await request(address, 0, START_BYTES, {}, signal)
    const { size } = rangeOf(response)
    if (response.status !== 206 || !Number.isSafeInteger(size)) {
      await cancel(response)
      const what = response.status === 206 ? "the server doesn't state the file's size" : NO_RANGES
      throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${address}: ${what}`)
    }
    const start = await receive(response, address, 0, Math.min(size, START_BYTES), signal)
    return new UrlBytes(address, size, validatorsOf(response), start)
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (offset + length > this.size) throw beyond(this.name, offset, length, this.size)
    throwIfAborted(signal)
    if (offset + length <= this.#start.length) return this.#start.subarray(offset, offset + length)
    const { etag, lastModified } = this.#validators
    // If-Range may not have a weak tag. The answer shows whether the server knows If-Range.
    const condition = etag === null ? lastModified : etag.startsWith('W/') ? null : etag
    const response = await request(
      this.name,
      offset,
      length,
      condition === null ? {} : { 'if-range': condition },
      signal,
    )
    const fault = this.#faultOf(response, offset, length)
    if (fault) {
      await cancel(response)
      throw fault
    }
    return receive(response, this.name, offset, length, signal)
  }

  close(): void {}

  /** Why an answer isn't the wanted part of the file that was opened; null if it is. */
  #faultOf(response: Response, offset: number, length: number): ClericError | null {
    const { first, last, size } = rangeOf(response)
    const { etag, lastModified } = validatorsOf(response)
    const known = this.#validators
    const isOther =
      !(Number.isNaN(size) || size === this.size) ||
      (etag ?? known.etag) !== known.etag ||
      (lastModified ?? known.lastModified) !== known.lastModified
    if (isOther || OUTDATED.includes(response.status)) return changed(this.name)
    let what = `the server sends other bytes than ${offset} to ${offset + length}, which were asked for`
    if (response.status === 206) {
      if (first === offset && last === offset + length - 1) return null
    } else {
      // It answered ranges when the file was opened: all of a file means that the condition was not met, unless it says
      // of which state the file is.
      if (etag === null && lastModified === null) return changed(this.name)
      what = NO_RANGES
    }
    return new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${this.name}: ${what}`)
  }
}

const NO_RANGES = "the server doesn't answer range requests"

/**
 * Content-Range: "bytes 0-99/1234", "bytes 0-99/*" or, where nothing can be sent, an asterisk in place of the range.
 * NaN for numbers that are not there.
 */
function rangeOf({ headers }: Response): { readonly first: number; readonly last: number; readonly size: number } {
  const [, ...numbers] = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? []
  const [first = Number.NaN, last = Number.NaN, size = Number.NaN] = numbers.map(Number)
  return { first, last, size }
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

/**
 * Asks for bytes of a file. @throws ClericError ERR_NETWORK, also for a status that is a failure, but for those of
 * {@link OUTDATED}
 */
async function request(
  address: string,
  offset: number,
  length: number,
  conditions: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<Response> {
  const headers = { range: `bytes=${offset}-${offset + length - 1}`, ...conditions }
  const response = await fetch(address, signal ? { headers, signal } : { headers }).catch((error: unknown) => {
    throw networkError(address, error, signal)
  })
  if (response.ok || OUTDATED.includes(response.status)) return response
  await cancel(response)
  throw new ClericError('ERR_NETWORK', `${address}: ${response.status} ${response.statusText}`.trimEnd())
}

/**
 * Answers to a request for a file that has changed: Precondition Failed, and Range Not Satisfiable if it is shorter
 * now.
 */
const OUTDATED: readonly number[] = [412, 416]

async function cancel({ body }: Response): Promise<void> {
  await body?.cancel().catch(() => {})
}

/** An error that says where and why: that of `fetch` says the latter in its cause only. */
function networkError(address: string, error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof ClericError) return error
  throwIfAborted(signal)
  const { message, cause } = error as Error
  const why = cause instanceof Error ? cause.message || (cause as { code?: string }).code : undefined
  return new ClericError('ERR_NETWORK', `${address}: ${why ?? message}`, { cause: error })
}
