/** The bytes of an object, read by ranges. All are of one version: an object that is replaced meanwhile fails to be read. */
import { GetObjectCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { ClericError, CorruptDataError } from 'cleric'
import { type ByteSource, throwIfAborted } from 'cleric/internal'
import { addressOf, asClericError, isFailure, type ObjectAddress } from './client.js'

/** What a store tells of an object. */
export interface ObjectFacts {
  readonly size: number
  /** Milliseconds since 1970. */
  readonly modified: number
  readonly tag: string
}

/** Null if there is no such object. @throws ClericError ERR_NETWORK */
export async function objectFacts(client: S3Client, address: ObjectAddress): Promise<ObjectFacts | null> {
  const { bucket: Bucket, key: Key } = address
  try {
    const { ContentLength = 0, LastModified, ETag = '' } = await client.send(new HeadObjectCommand({ Bucket, Key }))
    return { size: ContentLength, modified: LastModified?.getTime() ?? 0, tag: ETag }
  } catch (error) {
    if (isFailure(error, 'NotFound', 'NoSuchKey', 404)) return null
    throw asClericError(error, addressOf(address))
  }
}

/**
 * What is asked for at once: tiles of a slide lie behind each other, so that most of them are there already when they
 * are needed. Of an object at most {@link MOST_BLOCKS} are kept.
 */
const BLOCK_BYTES = 2 ** 20
const MOST_BLOCKS = 48

export class ObjectBytes implements ByteSource {
  readonly name: string
  readonly size: number
  readonly version: string
  readonly #client: S3Client
  readonly #address: ObjectAddress
  /** The latest used last. */
  readonly #blocks = new Map<number, Promise<Uint8Array>>()

  private constructor(client: S3Client, address: ObjectAddress, { size, tag }: ObjectFacts) {
    this.#client = client
    this.#address = address
    this.name = addressOf(address)
    this.size = size
    this.version = tag
  }

  /** @throws ClericError ERR_NETWORK, also if there is no such object */
  static async open(client: S3Client, address: ObjectAddress): Promise<ObjectBytes> {
    const facts = await objectFacts(client, address)
    if (!facts) throw new ClericError('ERR_NETWORK', `${addressOf(address)}: there is no such object`)
    return new ObjectBytes(client, address, facts)
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (offset + length > this.size) {
      const what = `ends at byte ${this.size}, but bytes ${offset} to ${offset + length} are asked for`
      throw new CorruptDataError('ERR_ARCHIVE_CORRUPT', `${this.name} ${what}: it is cut short or corrupt`)
    }
    throwIfAborted(signal)
    if (length > BLOCK_BYTES) return this.#get(offset, length, signal)
    const bytes = new Uint8Array(length)
    const last = Math.floor((offset + length - 1) / BLOCK_BYTES)
    for (let number = Math.floor(offset / BLOCK_BYTES); number <= last && length > 0; number++) {
      const start = number * BLOCK_BYTES
      const block = await this.#block(number)
      const from = Math.max(offset, start)
      bytes.set(block.subarray(from - start, offset + length - start), from - offset)
    }
    return bytes
  }

  /** All bytes, in pieces. */
  async *pieces(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < this.size; offset += 8 * BLOCK_BYTES) {
      yield await this.#get(offset, Math.min(8 * BLOCK_BYTES, this.size - offset), signal)
    }
  }

  close(): void {
    this.#blocks.clear()
  }

  /** Shared by all who want it, so that none of them can abort it. */
  #block(number: number): Promise<Uint8Array> {
    const start = number * BLOCK_BYTES
    const block = this.#blocks.get(number) ?? this.#get(start, Math.min(BLOCK_BYTES, this.size - start))
    this.#blocks.delete(number)
    this.#blocks.set(number, block)
    const [oldest] = this.#blocks.keys()
    if (this.#blocks.size > MOST_BLOCKS && oldest !== undefined) this.#blocks.delete(oldest)
    block.catch(() => this.#blocks.delete(number))
    return block
  }

  async #get(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { bucket: Bucket, key: Key } = this.#address
    const Range = `bytes=${offset}-${offset + length - 1}`
    const command = new GetObjectCommand({ Bucket, Key, Range, IfMatch: this.version })
    try {
      const { Body } = await this.#client.send(command, signal ? { abortSignal: signal } : {})
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array(0)
      if (bytes.length === length) return bytes
      throw new ClericError('ERR_NETWORK', `${this.name}: ${bytes.length} bytes came where ${length} were asked for`)
    } catch (error) {
      throwIfAborted(signal)
      if (isFailure(error, 'PreconditionFailed', 'NoSuchKey', 'InvalidRange', 412, 416)) {
        throw new ClericError('ERR_FILE_CHANGED', `${this.name} has changed since it was opened`, { cause: error })
      }
      throw asClericError(error, this.name)
    }
  }
}
