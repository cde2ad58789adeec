/** A TIFF that no vendor's reader has to read, as a slide: plain images, pyramids, OME-TIFF. */
import { statSync } from 'node:fs'
import { ClericError, SlideError } from '../../errors.js'
import { type ByteSource, openBytes } from '../../files/byte-source.js'
import { changed, versionOf } from '../../files/version.js'
import { WHITE } from '../../image/draw.js'
import type { Image, Size } from '../../image/image.js'
import { type FileDirectory, TiffFile } from '../../tiff/file.js'
import { type StoredTiffImage, shownSize } from '../../tiff/stored-image.js'
import { TAGS } from '../../tiff/tags.js'
import type { SlideChoice } from '../choice.js'
import { MOST_LOOKED_AT, type Range, rangeOf } from '../range.js'
import { resolutionOf, sensible } from '../resolution.js'
import {
  checkImageRead,
  checkRead,
  type HeldImage,
  type JpegTiles,
  type Level,
  levelPosition,
  type Region,
  type Resolution,
  type SlideSource,
} from '../source.js'
import { type Refusal, type Selection, select } from './contents.js'
import { jpegTilesOf } from './jpeg-tiles.js'
import { isOme, type OmeImage, readOme } from './ome.js'
import { storedRectangle, turned } from './orientation.js'
import { downsampleOf } from './pyramid.js'
import { CMYK, colourSamples, needsRange, whyUnreadable } from './readable.js'
import { StoredLevel } from './stored-level.js'

const MOST_DESCRIPTION_BYTES = 2 ** 24
const MOST_PROFILE_BYTES = 2 ** 26
const MOST_IMAGE_PIXELS = 2 ** 28

/** A TIFF whose directories are read; its file stays open. */
export interface OpenTiff {
  readonly path: string
  readonly bytes: number
  readonly file: TiffFile
  /** Changes when the file does. */
  readonly version: string
  /** Whether it is still the file that was opened. */
  isSame(): boolean
  close(): void
}

/** Opens a file that begins as a TIFF does. */
export async function openTiff(path: string, signal?: AbortSignal): Promise<OpenTiff> {
  const version = versionOf(statSync(path, { bigint: true }))
  const isSame = () => {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
    return stats !== undefined && versionOf(stats) === version
  }
  return { ...(await openTiffOf(await openBytes(path, signal), signal)), version, isSame }
}

/** Opens bytes that begin as a TIFF does, and that fail to be read once they have changed; they are closed with it. */
export async function openTiffOf(source: ByteSource, signal?: AbortSignal): Promise<OpenTiff> {
  try {
    const file = await TiffFile.open(source, signal)
    const { name: path, size: bytes, version } = source
    return { path, bytes, file, version, isSame: () => true, close: () => source.close() }
  } catch (error) {
    source.close()
    throw error
  }
}

/** What a TIFF holds and what of it is the slide. */
export async function selectOf({ file }: OpenTiff, choice: SlideChoice): Promise<Selection | Refusal> {
  if (file.fault !== null) return { refusal: file.fault, contents: [] }
  const first = file.pages[0]?.directory as FileDirectory
  const description = await descriptionOf(file, first)
  const ome: readonly OmeImage[] | null = isOme(description) ? await readOme(description) : null
  if (isOme(description) && ome === null)
    return { refusal: 'the OME-XML in its ImageDescription is damaged', contents: [] }
  return select(file.pages, ome, choice)
}

/** What a vendor's file says about its slide, where it isn't said as TIFF has it. */
export interface VendorFacts extends Pick<SlideSource, 'format' | 'mpp' | 'objectivePower' | 'properties'> {}

export class TiffSlide implements SlideSource, Disposable {
  readonly format: string
  readonly path: string
  readonly bytes: number
  readonly levels: readonly Level[]
  readonly mpp: Resolution | null
  readonly objectivePower: number | null
  readonly version: string
  readonly background = WHITE
  readonly properties: Readonly<Record<string, string>>
  readonly associatedImages: readonly string[]
  readonly contents: readonly HeldImage[]
  readonly warnings: readonly string[]
  readonly #tiff: OpenTiff
  readonly #stored: readonly StoredLevel[]
  readonly #associated: ReadonlyMap<string, StoredLevel>
  readonly #iccProfile: Uint8Array | null
  #isClosed = false

  private constructor(
    tiff: OpenTiff,
    { levels, associated, contents, warnings, ome }: Selection,
    facts: { range: Range | null; description: string; profile: Uint8Array | null; warnings: readonly string[] },
    vendor: VendorFacts | null,
  ) {
    const [base] = levels as [StoredTiffImage]
    this.format = vendor?.format ?? 'tiff'
    this.objectivePower = vendor?.objectivePower ?? null
    this.version = tiff.version
    this.path = tiff.path
    this.bytes = tiff.bytes
    this.#tiff = tiff
    this.levels = levels.map((image) => ({ ...shownSize(image), downsample: downsampleOf(base, image) }))
    this.mpp = vendor ? vendor.mpp : resolution(base, ome, facts.description)
    this.properties = { ...propertiesOf(base.directory, facts.description, facts.range), ...vendor?.properties }
    this.contents = contents
    this.warnings = [...warnings, ...facts.warnings]
    this.#iccProfile = facts.profile
    this.#stored = levels.map((image) => new StoredLevel(tiff.file, image, tiff.path, facts.range))
    const named = associated.map(({ name, image }): [string, StoredLevel] => [
      name,
      new StoredLevel(tiff.file, image, tiff.path, null),
    ])
    this.#associated = new Map(named)
    this.associatedImages = named.map(([name]) => name)
  }

  /**
   * @param tiff is closed with the slide, and if it can't be one
   * @param vendor what its vendor's reader would know of it
   * @throws SlideError ERR_UNSUPPORTED_SLIDE
   */
  static async open(
    tiff: OpenTiff,
    choice: SlideChoice,
    signal?: AbortSignal,
    vendor: VendorFacts | null = null,
  ): Promise<TiffSlide> {
    try {
      const selection = await selectOf(tiff, choice)
      if ('refusal' in selection) throw refused(tiff, selection.refusal)
      for (const image of selection.levels) {
        const why = whyUnreadable(image)
        if (why !== null) throw refused(tiff, `${why}; convert it first (docs/formats.md lists what is read)`)
      }
      const [base] = selection.levels as [StoredTiffImage]
      const range = await rangeFor(tiff, selection.levels, choice, signal)
      const description = await descriptionOf(tiff.file, base.directory, signal)
      const bytes = await tiff.file.bytes(base.directory, TAGS.IccProfile, MOST_PROFILE_BYTES, signal)
      const isOfRgb = bytes !== null && new TextDecoder('latin1').decode(bytes.subarray(16, 20)) === 'RGB '
      const warnings = conversions(base, range, bytes !== null && !isOfRgb)
      const facts = { range, description, profile: isOfRgb ? bytes : null, warnings }
      return new TiffSlide(tiff, selection, facts, vendor)
    } catch (error) {
      tiff.close()
      throw error
    }
  }

  /** @throws SlideError ERR_UNSUPPORTED_SLIDE; ClericError ERR_FILE_CHANGED, ERR_CLOSED; AbortedError */
  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    const { x, y, level, width, height } = checkRead(region, this.levels.length, signal)
    const { downsample } = this.levels[level] as Level
    const left = levelPosition(x, downsample)
    const top = levelPosition(y, downsample)
    return this.#read(this.#stored[level] as StoredLevel, { left, top, width, height }, signal)
  }

  async readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    checkImageRead(name, signal)
    const stored = this.#associated.get(name)
    if (!stored) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.path} has no associated image ${name}`)
    const { width, height } = shownSize(stored.image)
    if (width * height > MOST_IMAGE_PIXELS) {
      const what = `its associated image ${name} has ${width} x ${height} pixels, more than ${MOST_IMAGE_PIXELS}`
      throw refused(this.#tiff, what)
    }
    return this.#read(stored, { left: 0, top: 0, width, height }, signal)
  }

  iccProfile(): Uint8Array | null {
    return this.#iccProfile
  }

  tileSize(level: number): Size {
    const { tileWidth, tileHeight, image } = this.#stored[level] as StoredLevel
    return shownSize({ ...image, width: tileWidth, height: tileHeight })
  }

  jpegTiles(level: number): JpegTiles | null {
    return jpegTilesOf(this.#tiff.file, (this.#stored[level] as StoredLevel).image)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const stored of [...this.#stored, ...this.#associated.values()]) stored.close()
    this.#tiff.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #read(
    stored: StoredLevel,
    shown: { left: number; top: number; width: number; height: number },
    signal?: AbortSignal,
  ): Promise<Image> {
    if (this.#isClosed) throw new ClericError('ERR_CLOSED', `The slide ${this.path} is closed`)
    const { orientation } = stored.image
    const { left, top, ...size } = storedRectangle(orientation, shown, stored.image)
    const reading = stored.read(left, top, size, signal)
    // Whether it succeeds or fails: both count only if the file is still the one that was opened.
    await reading.catch(() => {})
    if (!this.#tiff.isSame()) throw changed(this.path)
    return turned(orientation, await reading)
  }
}

function refused({ path }: OpenTiff, why: string): SlideError {
  return new SlideError('ERR_UNSUPPORTED_SLIDE', `${path}: ${why}`)
}

/** The range that brings the levels into 8 bits; null if they are bytes, and none is asked for. */
async function rangeFor(
  tiff: OpenTiff,
  levels: readonly StoredTiffImage[],
  { range }: SlideChoice,
  signal?: AbortSignal,
): Promise<Range | null> {
  const [base] = levels as [StoredTiffImage]
  const canHave = colourSamples(base) === 1 || base.photometric === 2
  if (range === undefined) {
    const { bits, sampleFormat } = base
    if (!levels.some(needsRange)) return null
    const what = ({ 2: 'signed ', 3: 'floating-point ' } as Record<number, string>)[sampleFormat] ?? ''
    const remedy = 'say which of its values are to become 0 and 255: --range MIN,MAX, or --range auto'
    throw refused(
      tiff,
      `its samples are ${what}numbers of ${bits} bits (BitsPerSample, SampleFormat), and 8 are kept; ${remedy}`,
    )
  }
  const isCoded = base.compression === 7 || base.compression === 50001 || base.photometric === 3 || (base.bits ?? 8) < 8
  if (!canHave || isCoded)
    throw refused(tiff, 'a range is for grey and RGB of 8 bits and more that is no JPEG, WebP or palette')
  if (range !== 'auto') return { min: range[0], max: range[1] }
  const sampled = new StoredLevel(tiff.file, base, tiff.path, null)
  try {
    return rangeOf(await sampled.sample(MOST_LOOKED_AT, signal))
  } finally {
    sampled.close()
  }
}

/** What a reader should know about how the samples became RGB. */
function conversions(base: StoredTiffImage, range: Range | null, isProfileLeft: boolean): string[] {
  const warnings: string[] = []
  if (range) warnings.push(`values from ${range.min} to ${range.max} are shown as 0 to 255; those beyond are clipped`)
  if (base.samples > colourSamples(base) && (base.extraSamples[0] ?? 0) === 0) {
    warnings.push('its fourth sample (ExtraSamples 0, not specified) is no transparency, and is left out')
  }
  if (base.photometric === CMYK) warnings.push('its CMYK is converted to RGB without a profile of its inks')
  if (isProfileLeft) warnings.push("its ICC profile isn't one of RGB, and is left out")
  return warnings
}

async function descriptionOf(file: TiffFile, directory: FileDirectory, signal?: AbortSignal): Promise<string> {
  const bytes = await file.bytes(directory, TAGS.ImageDescription, MOST_DESCRIPTION_BYTES, signal)
  if (!bytes) return ''
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}

function resolution(base: StoredTiffImage, ome: OmeImage | null, description: string): Resolution | null {
  const { directory, orientation } = base
  const [x, y] = [directory.number(TAGS.XResolution), directory.number(TAGS.YResolution)]
  const isImageJ = /^ImageJ=[\s\S]*^unit=(micron|um|\\u00B5m|\u00b5m)\s*$/m.test(description)
  const found =
    (ome?.mpp && sensible(ome.mpp)) ??
    (isImageJ
      ? sensible({ x: 1 / (x ?? 0), y: 1 / (y ?? 0) })
      : resolutionOf(x, y, directory.number(TAGS.ResolutionUnit) ?? 2))
  return found && orientation >= 5 ? { x: found.y, y: found.x } : found
}

/** By the names that OpenSlide gives them. */
function propertiesOf(directory: FileDirectory, description: string, range: Range | null): Record<string, string> {
  const properties: Record<string, string> = {}
  if (description !== '') properties['tiff.ImageDescription'] = description
  const software = directory.text(TAGS.Software)
  if (software !== '') properties['tiff.Software'] = software
  for (const axis of ['X', 'Y'] as const) {
    const value = directory.number(TAGS[`${axis}Resolution`])
    if (value !== undefined && Number.isFinite(value)) properties[`tiff.${axis}Resolution`] = String(value)
  }
  if (properties['tiff.XResolution'] !== undefined) {
    const unit = directory.number(TAGS.ResolutionUnit) ?? 2
    properties['tiff.ResolutionUnit'] = { 2: 'inch', 3: 'centimeter' }[unit] ?? 'none'
  }
  if (range) properties['cleric.range'] = `${range.min},${range.max}`
  return properties
}
