/** An export as a folder of DICOM files: one a level and one an associated image, a series of one slide. */

import { InstanceFile, TRANSFER_SYNTAX } from '../dicom/instance-file.js'
import {
  type Flavour,
  type InstanceFacts,
  type Lossy,
  type SeriesFacts,
  wholeSlideImage,
} from '../dicom/whole-slide.js'
import { throwIfAborted } from '../errors.js'
import { type FolderOutput, PartialFolder } from '../files/partial-folder.js'
import { Sha256 } from '../files/sha256.js'
import type { Destination, Picture } from './destination.js'
import type { ExportLevel } from './pyramid.js'

/** Names of the files that an export may have. */
export const INSTANCE_NAME = /^(level-\d{1,3}|label|overview|thumbnail)\.dcm$/

/** What associated images are called in DICOM, which has no others. */
const FLAVOURS: ReadonlyMap<string, Flavour> = new Map([
  ['label', 'LABEL'],
  ['macro', 'OVERVIEW'],
  ['overview', 'OVERVIEW'],
  ['thumbnail', 'THUMBNAIL'],
])

export interface DicomPlan {
  readonly folder: FolderOutput
  readonly levels: readonly ExportLevel[]
  readonly pictures: readonly Picture[]
  /** The profile of the levels' pixels; that of associated images is sRGB. */
  readonly iccProfile: Uint8Array | null
  readonly srgb: Uint8Array
  readonly series: SeriesFacts
  /** Whether tiles are JPEGs, or pixels. */
  readonly isJpeg: boolean
  /** What the slide's pixels have lost before. */
  readonly history: readonly Lossy[]
  /** Whether tables of frames have 64 bits also where 32 would do; only for tests. */
  readonly extendedOffsets?: boolean
  readonly signal: AbortSignal
}

interface Instance {
  readonly file: InstanceFile
  /** Without the loss of its own compression, whose ratio is known in the end. */
  readonly facts: InstanceFacts
}

export class DicomFolder implements Destination {
  readonly #folder: PartialFolder
  readonly #plan: DicomPlan
  readonly #instances: Instance[] = []
  /** Frames of one colour come again and again. */
  readonly #even = new WeakMap<Uint8Array, Uint8Array>()
  #isClosed = false

  private constructor(folder: PartialFolder, plan: DicomPlan) {
    this.#folder = folder
    this.#plan = plan
  }

  static async create(plan: DicomPlan): Promise<DicomFolder> {
    const folder = new DicomFolder(await PartialFolder.create(plan.folder), plan)
    try {
      await folder.#begin()
      return folder
    } catch (error) {
      await folder.discard()
      throw error
    }
  }

  get bytes(): number {
    return this.#instances.reduce((sum, { file }) => sum + file.bytes, 0)
  }

  async store(level: number, _column: number, _row: number, tile: Uint8Array): Promise<void> {
    const frame = this.#even.get(tile) ?? evenLength(tile)
    this.#even.set(tile, frame)
    await this.#instances[level]?.file.add(frame)
  }

  async publish(check: (path: string) => Promise<void>): Promise<void> {
    const digests = this.#instances.map(({ file }) => file.digest())
    const finished = this.#instances.map(({ file, facts }) => ({
      ...facts,
      lossy: withOwnLoss(facts, file.frameBytes),
    }))
    // The UIDs say what is in the series: its pixels, and all that its data sets say of them.
    const series = new Sha256()
    for (const [i, facts] of finished.entries()) {
      const { iccProfile, ...rest } = facts
      series.update(digests[i] as Uint8Array).update(iccProfile)
      series.update(new TextEncoder().encode(JSON.stringify([this.#plan.series, rest])))
    }
    const identity = series.bytes()
    for (const [i, { file }] of this.#instances.entries()) {
      throwIfAborted(this.#plan.signal)
      const facts = finished[i] as InstanceFacts
      await file.finish(
        wholeSlideImage(this.#plan.series, facts, { series: identity, instance: digests[i] as Uint8Array }),
      )
    }
    await this.#close()
    await this.#folder.publish(() => check(this.#folder.at(nameOfLevel(0))))
  }

  async discard(): Promise<void> {
    await this.#close()
    await this.#folder.discard()
  }

  async #begin(): Promise<void> {
    const { levels, pictures, iccProfile, srgb, isJpeg, history } = this.#plan
    const transferSyntax = isJpeg ? TRANSFER_SYNTAX.jpegBaseline : TRANSFER_SYNTAX.explicitLittleEndian
    for (const [i, { level, index, number }] of levels.entries()) {
      await this.#add(nameOfLevel(i), {
        ...{ flavour: 'VOLUME', isResampled: i > 0 || number === null, number: i + 1 },
        ...{ width: level.width, height: level.height, transferSyntax, lossy: history },
        ...{ frame: { width: index.tileWidth, height: index.tileHeight }, frames: index.columns * index.rows },
        ...{ iccProfile: iccProfile ?? srgb, isSrgb: iccProfile === null },
      })
    }
    for (const { name, width, height, bytes } of pictures) {
      const flavour = FLAVOURS.get(name) as Flavour
      const { file } = await this.#add(`${flavour.toLowerCase()}.dcm`, {
        ...{ flavour, isResampled: flavour === 'THUMBNAIL', number: this.#instances.length + 1 },
        ...{ width, height, frame: { width, height }, frames: 1, transferSyntax: TRANSFER_SYNTAX.jpegBaseline },
        ...{ lossy: [], iccProfile: srgb, isSrgb: true },
      })
      await file.add(evenLength(bytes))
    }
  }

  async #add(name: string, facts: InstanceFacts): Promise<Instance> {
    const { series, extendedOffsets, folder } = this.#plan
    const { transferSyntax, frames, frame } = facts
    const nothing = new Uint8Array(32)
    const dataSet = wholeSlideImage(
      series,
      { ...facts, lossy: withOwnLoss(facts, 1) },
      { series: nothing, instance: nothing },
    )
    const layout = { transferSyntax, frames, frameBytes: 3 * frame.width * frame.height }
    const at = this.#folder.at(name)
    const file = await InstanceFile.create(at, layout, dataSet, folder.output, extendedOffsets)
    const instance = { file, facts }
    this.#instances.push(instance)
    return instance
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const { file } of this.#instances) await file.close()
  }
}

/** The associated images that a series can hold: one of each kind. */
export function imagesOf(names: readonly string[]): string[] {
  const first = new Map<Flavour, string>()
  for (const name of names) {
    const flavour = FLAVOURS.get(name)
    if (flavour && !first.has(flavour)) first.set(flavour, name)
  }
  return [...first.values()]
}

function nameOfLevel(level: number): string {
  return `level-${level}.dcm`
}

/** What its pixels have lost before and lose by their own compression to so many bytes. */
function withOwnLoss({ lossy, transferSyntax, frame, frames }: InstanceFacts, bytes: number): readonly Lossy[] {
  if (transferSyntax !== TRANSFER_SYNTAX.jpegBaseline) return lossy
  return [...lossy, { method: 'ISO_10918_1', ratio: (3 * frame.width * frame.height * frames) / bytes }]
}

/** A JPEG of an even number of bytes, as DICOM has no others: any number of 0xFF may stand before the marker of its end. */
function evenLength(frame: Uint8Array): Uint8Array {
  if (frame.length % 2 === 0) return frame
  const even = new Uint8Array(frame.length + 1)
  even.set(frame.subarray(0, -2))
  even.set([0xff, ...frame.subarray(-2)], frame.length - 2)
  return even
}
