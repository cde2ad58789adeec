/**
 * An archive as an object of a store, written by a multipart upload. The parts that the head reaches into come last, as
 * the head does, and are kept in memory until then; the others are sent as soon as they are full. What a run needs to go
 * on if this one is killed lies in two objects beside the archive: KEY.journal, written anew every few seconds, and
 * KEY.partial, the bytes behind the head in the parts that wait for it.
 *
 * As for files, two runs that go on from the same journal send the same bytes as the same parts, and the first to be
 * done has the name.
 */
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { ClericError } from 'cleric'
import {
  type ArchiveStore,
  type ArchiveTarget,
  crc32c,
  fingerprintIn,
  otherRun,
  recordsIn,
  type StoreOptions,
  type TileRecord,
} from 'cleric/internal'
import { addressOf, asClericError, isFailure, type ObjectAddress } from './client.js'
import { objectFacts } from './object-bytes.js'
import { decodeObjectJournal, encodeObjectJournal, type ObjectJournal, type UploadedPart } from './object-journal.js'
import { Upload } from './upload.js'

export interface ObjectStoreOptions {
  /** Bytes of a part but the last, at least what the store takes; more where there would be too many. Default 8 MiB. */
  readonly partBytes?: number | undefined
  /** Time between two journals, and so the most work that a kill costs; default 5 s. */
  readonly journalMs?: number | undefined
}

const PART_BYTES = 2 ** 23
/** A store takes 10,000 parts; tiles of more bytes than this are rare. */
const [MOST_PARTS, BYTES_A_TILE] = [9_000, 2 ** 18]
const JOURNAL_MS = 5_000
const CONTENT_TYPE = 'image/tiff'

export function objectTarget(client: S3Client, address: ObjectAddress, options: ObjectStoreOptions): ArchiveTarget {
  const name = addressOf(address)
  return { name, open: (each) => ObjectStore.open(client, address, each, options) }
}

/** Removes the objects that a run leaves beside its archive. */
export async function removeBeside(client: S3Client, { bucket, key }: ObjectAddress): Promise<void> {
  for (const Key of [journalOf(key), frontOf(key)]) {
    try {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }))
    } catch (error) {
      throw asClericError(error, addressOf({ bucket, key: Key }))
    }
  }
}

class ObjectStore implements ArchiveStore {
  readonly resumed: readonly TileRecord[]
  readonly #client: S3Client
  readonly #address: ObjectAddress
  readonly #overwrite: boolean
  readonly #upload: Upload
  readonly #partBytes: number
  readonly #journalMs: number
  readonly #headLength: number
  /** The parts that the head reaches into. */
  readonly #front: Uint8Array
  /** The part that is being filled, and the bytes of it that are there. */
  readonly #part: Uint8Array
  #filled = 0
  readonly #parts: UploadedPart[]
  #sending: Promise<void> | null = null
  #journal: Uint8Array
  #journalLength: number
  #end: number
  /** Where the last tile that the journal has ends. */
  #recordedEnd: number
  #frontKept = 0
  #keptAt = performance.now()
  #isOver = false

  private constructor(
    {
      client,
      address,
      upload,
      partBytes,
    }: { client: S3Client; address: ObjectAddress; upload: Upload; partBytes: number },
    { overwrite, headLength }: StoreOptions,
    journalMs: number,
    before: { readonly journal: ObjectJournal; readonly front: Uint8Array; readonly records: TileRecord[] } | null,
  ) {
    this.#client = client
    this.#address = address
    this.#overwrite = overwrite
    this.#upload = upload
    this.#partBytes = partBytes
    this.#journalMs = journalMs
    this.#headLength = headLength
    this.#front = new Uint8Array(Math.max(1, Math.ceil(headLength / partBytes)) * partBytes)
    this.#part = new Uint8Array(partBytes)
    this.resumed = before?.records ?? []
    this.#parts = [...(before?.journal.parts ?? [])]
    this.#journal = before?.journal.journal ?? new Uint8Array(0)
    this.#journalLength = this.#journal.length
    this.#end = this.resumed.reduce((sum, { length }) => sum + length, headLength)
    this.#recordedEnd = this.#end
    if (!before) return
    this.#front.set(before.front, headLength)
    this.#frontKept = before.front.length
    this.#part.set(before.journal.tail)
    this.#filled = before.journal.tail.length
  }

  static async open(
    client: S3Client,
    address: ObjectAddress,
    options: StoreOptions,
    { partBytes: least = PART_BYTES, journalMs = JOURNAL_MS }: ObjectStoreOptions,
  ): Promise<ObjectStore> {
    if (!options.overwrite && (await objectFacts(client, address))) {
      throw new ClericError('ERR_FILE_EXISTS', `${addressOf(address)} exists already; choose another, or overwrite it`)
    }
    const partBytes = Math.max(least, Math.ceil((options.tiles * BYTES_A_TILE) / MOST_PARTS))
    const before = options.resume ? await interrupted(client, address, options, partBytes) : null
    if (before) {
      const upload = new Upload(client, address, before.journal.uploadId)
      return new ObjectStore({ client, address, upload, partBytes }, options, journalMs, before)
    }
    const upload = await Upload.begin(client, address, CONTENT_TYPE)
    return new ObjectStore({ client, address, upload, partBytes }, options, journalMs, null)
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    if (position !== this.#end) throw new Error(`bytes for ${position} where ${this.#end} are due`)
    const inFront = Math.min(bytes.length, Math.max(0, this.#front.length - position))
    this.#front.set(bytes.subarray(0, inFront), Math.min(position, this.#front.length))
    for (let at = inFront; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + this.#partBytes - this.#filled)
      this.#part.set(piece, this.#filled)
      this.#filled += piece.length
      at += piece.length
      if (this.#filled === this.#partBytes) await this.#sendPart()
    }
    this.#end += bytes.length
  }

  async record(bytes: Uint8Array, position: number): Promise<void> {
    const end = position + bytes.length
    if (end > this.#journal.length) {
      const longer = new Uint8Array(Math.max(end, 2 * this.#journal.length))
      longer.set(this.#journal)
      this.#journal = longer
    }
    this.#journal.set(bytes, position)
    this.#journalLength = Math.max(this.#journalLength, end)
    this.#recordedEnd = this.#end
    // The first one at once, so that nobody has to look for the upload.
    const isDue = position === 0 ? this.#frontKept === 0 : performance.now() - this.#keptAt >= this.#journalMs
    if (!isDue) return
    // Where sending is slower than encoding, a part is always under way.
    await this.#sending
    await this.#keep()
  }

  async publish(head: Uint8Array, length: number): Promise<void> {
    await this.#sending
    this.#front.set(head)
    const inFront = Math.min(length, this.#front.length)
    for (let at = 0; at < inFront; at += this.#partBytes) {
      await this.#upload.send(
        1 + at / this.#partBytes,
        this.#front.subarray(at, Math.min(at + this.#partBytes, inFront)),
      )
    }
    if (this.#filled > 0) await this.#upload.send(this.#nextNumber, this.#part.subarray(0, this.#filled))
    const parts = (await this.#upload.parts()) ?? []
    const total = parts.reduce((sum, { size }) => sum + size, 0)
    if (total !== length || parts.some(({ number }, i) => number !== i + 1)) {
      const what = `${parts.length} parts of ${total} bytes are there where ${length} were sent`
      throw new ClericError('ERR_NETWORK', `${addressOf(this.#address)}: ${what}`)
    }
    await this.#upload.complete(parts, this.#overwrite)
    this.#isOver = true
    await removeBeside(this.#client, this.#address)
  }

  async leave(isWorthKeeping: boolean): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    // The bytes of a part that can't be sent are gone.
    const isSent = await (this.#sending ?? Promise.resolve()).then(
      () => true,
      () => false,
    )
    // Where the store can't be reached the last journal stays, which is as good but for a few seconds.
    try {
      if (!isWorthKeeping) {
        await this.#upload.abort()
        await removeBeside(this.#client, this.#address)
      } else if (isSent && (await this.#upload.parts())) {
        // An upload that is gone was another run's to end, and so is what lies beside it.
        await this.#keep()
      }
    } catch {}
  }

  get #nextNumber(): number {
    return this.#front.length / this.#partBytes + this.#parts.length + 1
  }

  /** Sends a part that is full, while the next one is filled. */
  async #sendPart(): Promise<void> {
    await this.#sending
    const bytes = this.#part.slice()
    this.#filled = 0
    const sending = this.#upload.send(this.#nextNumber, bytes).then((part) => {
      this.#parts.push(part)
      this.#sending = null
    })
    // It is thrown when the next part is full, or the archive.
    sending.catch(() => {})
    this.#sending = sending
  }

  /** Writes what a run needs to go on from here. */
  async #keep(): Promise<void> {
    const start = this.#front.length + this.#parts.length * this.#partBytes
    const isInFront = this.#recordedEnd < this.#front.length
    // What came after the last tile is made anew; parts of it may be sent already.
    if (!isInFront && this.#recordedEnd < start) return
    const front = this.#front.subarray(this.#headLength, Math.min(this.#recordedEnd, this.#front.length))
    if (front.length > this.#frontKept) await this.#put(frontOf(this.#address.key), front)
    this.#frontKept = front.length
    const tail = this.#part.subarray(0, isInFront ? 0 : this.#recordedEnd - start)
    const state: ObjectJournal = {
      uploadId: this.#upload.id,
      partBytes: this.#partBytes,
      parts: this.#parts,
      front: { length: front.length, checksum: crc32c(front) },
      journal: this.#journal.subarray(0, this.#journalLength),
      tail,
    }
    await this.#put(journalOf(this.#address.key), encodeObjectJournal(state))
    this.#keptAt = performance.now()
  }

  async #put(Key: string, Body: Uint8Array): Promise<void> {
    try {
      await this.#client.send(new PutObjectCommand({ Bucket: this.#address.bucket, Key, Body }))
    } catch (error) {
      throw asClericError(error, addressOf({ ...this.#address, key: Key }))
    }
  }
}

/** What an interrupted run left; null if that isn't enough to go on. @throws ClericError ERR_RESUME_MISMATCH */
async function interrupted(client: S3Client, address: ObjectAddress, options: StoreOptions, partBytes: number) {
  const { bucket, key } = address
  const stored = await wholeObject(client, { bucket, key: journalOf(key) })
  const journal = stored && decodeObjectJournal(stored)
  const fingerprint = journal && fingerprintIn(journal.journal)
  if (!journal || !fingerprint) return null
  if (!Buffer.from(fingerprint).equals(options.fingerprint)) throw otherRun(addressOf({ bucket, key: journalOf(key) }))
  const there = await new Upload(client, address, journal.uploadId).parts()
  const isThere = ({ number, size, tag }: UploadedPart) =>
    there?.some((part) => part.number === number && part.size === size && part.tag === tag)
  if (!there || !journal.parts.every(isThere)) return null
  const records = recordsIn(journal.journal)
  if (!isOfRun(journal, records, options, partBytes)) return null
  const { length, checksum } = journal.front
  // It may have been written once more since.
  const front =
    length === 0 ? new Uint8Array(0) : (await wholeObject(client, { bucket, key: frontOf(key) }))?.subarray(0, length)
  if (front?.length !== length || crc32c(front) !== checksum) return null
  return { journal, front, records }
}

/** Whether a journal can be that of this run: a checksum tells damage from what was written, but not by whom. */
function isOfRun(
  journal: ObjectJournal,
  records: readonly TileRecord[],
  run: StoreOptions,
  partBytes: number,
): boolean {
  const { front, parts, tail } = journal
  if (journal.partBytes !== partBytes || records.length > run.tiles) return false
  let position = run.headLength
  for (const { offset, length } of records) {
    if (offset !== (length > 0 ? position : 0)) return false
    position += length
  }
  const room = Math.max(1, Math.ceil(run.headLength / partBytes)) * partBytes - run.headLength
  if (front.length > room || tail.length > partBytes || parts.some(({ size }) => size !== partBytes)) return false
  return position - run.headLength === front.length + parts.length * partBytes + tail.length
}

/** Null if there is no such object. */
async function wholeObject(client: S3Client, address: ObjectAddress): Promise<Uint8Array | null> {
  try {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: address.bucket, Key: address.key }))
    return (await Body?.transformToByteArray()) ?? null
  } catch (error) {
    if (isFailure(error, 'NoSuchKey', 'NotFound', 404)) return null
    throw asClericError(error, addressOf(address))
  }
}

function journalOf(key: string): string {
  return `${key}.journal`
}

function frontOf(key: string): string {
  return `${key}.partial`
}
