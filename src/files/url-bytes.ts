/** The bytes of a file behind a URL whose server takes ranges. */
import { type ClericError, throwIfAborted, UnsupportedError } from '../errors.js'
import { cutShort } from './cut-short.js'
import { chunksOf, discard, OUTDATED, type Pause, publicAddress, requestRange, sleep } from './http.js'
import { Sha256 } from './sha256.js'
import { changed } from './version.js'

/** Bytes that are fetched first: the whole head of most archives, and enough of every archive to recognise it. */
export const START_BYTES = 2 ** 16

/** The headers by which a server identifies the version of a file. */
interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

function validatorsOf({ headers }: Response): Validators {
  return { etag: headers.get('etag'), lastModified: headers.get('last-modified') }
}

export class UrlBytes {
  readonly name: string
  readonly size: number
  readonly version: string
  readonly #address: string
  readonly #validators: Validators
  /** The bytes that came with the answer that told the size. */
  readonly #start: Uint8Array
  readonly #pause: Pause

  private constructor(address: string, size: number, validators: Validators, start: Uint8Array, pause: Pause) {
    this.name = publicAddress(address)
    this.#address = address
    this.size = size
    // Versions stand in addresses and ETags of the viewer, where what a server calls its own might not.
    const known = validators.etag ?? validators.lastModified ?? String(size)
    this.version = new Sha256().update(new TextEncoder().encode(known)).hex().slice(0, 16)
    this.#validators = validators
    this.#start = start
    this.#pause = pause
  }

  /** @param pause is called between the tries of a request */
  static open(address: string, signal?: AbortSignal, pause: Pause = sleep): Promise<UrlBytes> {
    const use = async (response: Response) => {
      const { size } = rangeOf(response)
      if (response.status !== 206 || !Number.isSafeInteger(size)) {
        await discard(response)
        const what = response.status === 206 ? "the server doesn't state the file's size" : NO_RANGES
        throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${publicAddress(address)}: ${what}`)
      }
      const start = await receive(response, publicAddress(address), 0, Math.min(size, START_BYTES))
      return new UrlBytes(address, size, validatorsOf(response), start, pause)
    }
    return requestRange({ address, offset: 0, length: START_BYTES }, use, signal, pause)
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (offset + length > this.size) throw cutShort(this.name, offset, length, this.size)
    throwIfAborted(signal)
    if (offset + length <= this.#start.length) return this.#start.subarray(offset, offset + length)
    const { etag, lastModified } = this.#validators
    // If-Range may not have a weak tag. The answer shows whether the server knows If-Range.
    const condition = etag === null ? lastModified : etag.startsWith('W/') ? null : etag
    const conditions: Record<string, string> = condition === null ? {} : { 'if-range': condition }
    const use = async (response: Response) => {
      const fault = this.#faultOf(response, offset, length)
      if (!fault) return receive(response, this.name, offset, length)
      await discard(response)
      throw fault
    }
    return requestRange({ address: this.#address, offset, length, conditions }, use, signal, this.#pause)
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
async function receive(response: Response, name: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let done = 0
  for await (const chunk of chunksOf(response)) {
    // A server may send more than was asked for, without end.
    if (done + chunk.length > length) {
      const what = `the server sends more than bytes ${offset} to ${offset + length}, which were asked for`
      throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${name}: ${what}`)
    }
    bytes.set(chunk, done)
    done += chunk.length
  }
  if (done !== length) throw cutShort(name, offset, length, offset + done)
  return bytes
}
