/**
 * One instance of DICOM as a file whose frames are written while they come. What stands before them has a length that is known
 * from the start, and is written last. Source: DICOM PS3.10, section 7; PS3.5, annex A.4.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { UnsupportedError } from '../errors.js'
import { firstBytes } from '../files/local-file.js'
import { asDiskFull, writeFully } from '../files/partial-file.js'
import { Sha256 } from '../files/sha256.js'
import { isDicom } from '../slide/vendor.js'
import { type DataSet, encodeDataSet, itemHead, SEQUENCE_END } from './data-set.js'

export const TRANSFER_SYNTAX = {
  /** Frames of 8-bit RGB as they are. */
  explicitLittleEndian: '1.2.840.10008.1.2.1',
  jpegBaseline: '1.2.840.10008.1.2.4.50',
} as const
export type TransferSyntax = (typeof TRANSFER_SYNTAX)[keyof typeof TRANSFER_SYNTAX]

export const WHOLE_SLIDE_CLASS = '1.2.840.10008.5.1.4.1.1.77.1.6'
const IMPLEMENTATION_CLASS = '2.25.340211558872115003620918812503496115598'
const PREAMBLE_BYTES = 128
/** Most bytes of a value whose length is stated. */
const MOST_VALUE_BYTES = 2 ** 32 - 2

export interface FrameLayout {
  readonly transferSyntax: TransferSyntax
  readonly frames: number
  /** Bytes of a frame's pixels, uncompressed. */
  readonly frameBytes: number
}

/**
 * Whether places of frames need 64 bits: whether the basic offset table, which has 32, might not do. That is decided before
 * any frame is there, and no JPEG is twice as large as its pixels.
 */
export function needsExtendedOffsets({ frames, frameBytes }: FrameLayout): boolean {
  return 2 * frames * (frameBytes + 8) >= 2 ** 32
}

/** Whether a file is an instance that cleric wrote. */
export async function isOwnInstance(path: string): Promise<boolean> {
  const start = Buffer.from(await firstBytes(path))
  return isDicom(start) && start.includes(IMPLEMENTATION_CLASS)
}

export class InstanceFile {
  readonly #handle: FileHandle
  readonly #path: string
  readonly #layout: FrameLayout
  readonly #isExtended: boolean
  readonly #hash = new Sha256()
  /** Where each frame's item is, counted from the first one's. */
  readonly #offsets: Float64Array
  readonly #lengths: Uint32Array
  readonly #start: number
  #position: number
  #frames = 0

  private constructor(path: string, handle: FileHandle, layout: FrameLayout, isExtended: boolean, dataSet: DataSet) {
    this.#path = path
    this.#handle = handle
    this.#layout = layout
    this.#isExtended = isExtended
    this.#offsets = new Float64Array(layout.frames)
    this.#lengths = new Uint32Array(layout.frames)
    this.#start = this.#head(dataSet).length
    this.#position = this.#start
  }

  /**
   * @param dataSet as long as that which {@link finish} gets
   * @param output the name that is to be in messages
   * @param isExtended whether the places of frames are in the extended offset table, or in the basic one
   * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for 4 GiB and more of pixels that aren't compressed
   */
  static async create(
    path: string,
    layout: FrameLayout,
    dataSet: DataSet,
    output: string,
    isExtended = needsExtendedOffsets(layout),
  ): Promise<InstanceFile> {
    const bytes = layout.frames * layout.frameBytes
    if (layout.transferSyntax === TRANSFER_SYNTAX.explicitLittleEndian && bytes > MOST_VALUE_BYTES) {
      const what = `${output}: a level of ${bytes} bytes is more than uncompressed DICOM holds, 2^32 - 2; use --codec jpeg`
      throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what)
    }
    return new InstanceFile(path, await open(path, 'wx'), layout, isExtended, dataSet)
  }

  /** Bytes so far, with the room for what comes last. */
  get bytes(): number {
    return this.#position
  }

  /** Bytes of the frames alone. */
  get frameBytes(): number {
    return this.#lengths.reduce((sum, length) => sum + length, 0)
  }

  /** SHA-256 of all frames. Nothing can be added afterwards. */
  digest(): Uint8Array {
    return this.#hash.bytes()
  }

  /** Writes the next frame, of an even number of bytes. @throws ClericError ERR_DISK_FULL */
  async add(frame: Uint8Array): Promise<void> {
    const isItem = this.#layout.transferSyntax !== TRANSFER_SYNTAX.explicitLittleEndian
    const number = this.#frames++
    this.#offsets[number] = this.#position - this.#start
    this.#lengths[number] = frame.length
    this.#hash.update(frame)
    if (isItem) await this.#write(itemHead(frame.length))
    await this.#write(frame)
  }

  /** Writes the rest; the file is whole, and on the disk, afterwards. @returns its bytes */
  async finish(dataSet: DataSet): Promise<number> {
    const head = this.#head(dataSet)
    if (head.length !== this.#start || this.#frames !== this.#layout.frames)
      throw new Error('not the file that was begun')
    if (this.#layout.transferSyntax !== TRANSFER_SYNTAX.explicitLittleEndian) await this.#write(SEQUENCE_END)
    await writeFully(this.#handle, head, 0, this.#path)
    await this.#handle.sync().catch((error: unknown) => {
      throw asDiskFull(error, this.#path, this.#position)
    })
    return this.#position
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await writeFully(this.#handle, bytes, this.#position, this.#path)
    this.#position += bytes.length
  }

  /** All that stands before the first frame. */
  #head(dataSet: DataSet): Buffer {
    const { transferSyntax, frames, frameBytes } = this.#layout
    const meta = encodeDataSet({
      FileMetaInformationVersion: Uint8Array.of(0, 1),
      MediaStorageSOPClassUID: WHOLE_SLIDE_CLASS,
      MediaStorageSOPInstanceUID: dataSet.SOPInstanceUID ?? '',
      TransferSyntaxUID: transferSyntax,
      ImplementationClassUID: IMPLEMENTATION_CLASS,
      ImplementationVersionName: 'CLERIC',
    })
    const isEncapsulated = transferSyntax !== TRANSFER_SYNTAX.explicitLittleEndian
    const isExtended = isEncapsulated && this.#isExtended
    const extended: DataSet = isExtended
      ? { ExtendedOffsetTable: words(this.#offsets, 8), ExtendedOffsetTableLengths: words(this.#lengths, 8) }
      : {}
    const basic = isExtended ? Buffer.alloc(0) : words(this.#offsets, 4)
    return Buffer.concat([
      Buffer.alloc(PREAMBLE_BYTES),
      Buffer.from('DICM'),
      encodeDataSet({ FileMetaInformationGroupLength: meta.length }),
      meta,
      encodeDataSet({ ...dataSet, ...extended }),
      pixelDataHead(isEncapsulated ? 0xffffffff : frames * frameBytes),
      ...(isEncapsulated ? [itemHead(basic.length), basic] : []),
    ])
  }
}

function pixelDataHead(length: number): Buffer {
  const head = Buffer.from([0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x42, 0, 0, 0, 0, 0, 0])
  head.writeUInt32LE(length, 8)
  return head
}

function words(values: Float64Array | Uint32Array, size: 4 | 8): Buffer {
  const bytes = Buffer.alloc(size * values.length)
  for (const [i, value] of values.entries()) {
    if (size === 8) bytes.writeBigUInt64LE(BigInt(value), 8 * i)
    else bytes.writeUInt32LE(value, 4 * i)
  }
  return bytes
}
