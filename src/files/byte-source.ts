/** Random access to the bytes of an archive: a file, a Blob, or a URL whose server takes ranges. */
import { checkString, outOfRange, wrongType } from '../arguments.js'
import { throwIfAborted } from '../errors.js'
import { cutShort } from './cut-short.js'
import { openFile } from './local-file.js'
import { UrlBytes } from './url-bytes.js'
import { changed } from './version.js'

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

/** Opens a path, the URL of a file, an http(s) address or a Blob. */
export function openBytes(source: string | URL | Blob, signal?: AbortSignal): Promise<ByteSource> {
  if (source instanceof Blob) return Promise.resolve(new BlobBytes(source))
  if (source instanceof URL && source.protocol === 'file:') return openFile(source)
  if (source instanceof URL && !/^https?:$/.test(source.protocol)) {
    throw outOfRange('a file, http or https URL', 'source', source.href)
  }
  if (source instanceof URL || (typeof source === 'string' && isAddress(source))) {
    if (!URL.canParse(source)) throw outOfRange('a file, http or https URL', 'source', source)
    return UrlBytes.open(String(source), signal)
  }
  if (typeof source === 'string') return openFile(checkString(source, 'source'))
  throw wrongType('a path, a URL or a Blob', 'source', source)
}

/** Whether a string is the address of a file on a server, not a path. */
export function isAddress(source: string): boolean {
  return /^https?:\/\//i.test(source)
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
