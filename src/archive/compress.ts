/** Slide to archive. The next tiles are read while the codec is at work, never more than a few at a time. */
import {
  checkCallback,
  checkFlag,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
  outOfRange,
  wrongType,
} from '../arguments.js'
import { maxTileSide } from '../codec/bitstream.js'
import { defaultQuality } from '../codec/gain.js'
import { borrowCodec, type CodecChoice } from '../default-codec.js'
import { ClericError, throwIfAborted } from '../errors.js'
import { isSameFile } from '../same-file.js'
import { fromImage } from '../slide/image-file.js'
import { openSlide } from '../slide/open.js'
import { type Colour, checkSlide, type Level, levelRegion, type SlideSource } from '../slide/source.js'
import type { PayloadCodec } from './archive.js'
import { BACKGROUND_MODES, type BackgroundMode, blankColour } from './blank.js'
import { BusyClock } from './busy-clock.js'
import { type Description, emptyIndex, MIN_TILE, type StoredImage, type TileIndex } from './format.js'
import { withoutIdentity } from './identity.js'
import { ArchiveWriter, refuseExisting } from './writer.js'

export interface CompressOptions extends CodecChoice {
  /** 0 (smallest) to 100 (best), default 60. */
  readonly quality?: number | undefined
  /** Levels of the slide to keep, level 0 among them; default all. */
  readonly levels?: 'all' | readonly number[] | undefined
  /** Side of a tile, 16 to 1024; default 512. */
  readonly tile?: number | undefined
  /** What becomes of tiles that show glass only; default "auto". */
  readonly background?: BackgroundMode | undefined
  /** false leaves the label out, and every property that may identify. */
  readonly label?: boolean | undefined
  /** false leaves the macro image out, and every property that may identify. */
  readonly macro?: boolean | undefined
  readonly overwrite?: boolean | undefined
  /** An open codec to encode with; it isn't closed. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
  readonly onProgress?: ((progress: CompressProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CompressProgress {
  readonly tiles: number
  readonly totalTiles: number
  readonly blankTiles: number
  readonly pixels: number
  readonly totalPixels: number
  /** Written so far. */
  readonly bytes: number
}

export interface CompressResult {
  readonly output: string
  readonly bytes: number
  /** Size of the source file, 0 for a drawn slide. */
  readonly sourceBytes: number
  /** Bits a pixel of all levels kept. */
  readonly bpp: number
  readonly seconds: number
  readonly tiles: number
  readonly blankTiles: number
  readonly device: string
  /** Share of the time, 0 to 1, during which the codec had a tile to work on. */
  readonly deviceBusy: number
  readonly peakRssBytes: number
  /** Tiles taken over from an interrupted run: 0, as runs can't be resumed yet. */
  readonly resumedTiles: number
}

/** Tiles between being read and being written. Two keep the codec fed; more would only take memory. */
const TILES_IN_FLIGHT = 3

interface Place {
  readonly level: number
  readonly column: number
  readonly row: number
}

/**
 * Compresses a slide: a path, "synthetic:WIDTHxHEIGHT", or a slide that is open (it stays open).
 * The same slide, model and options give the same bytes.
 *
 * @throws SlideError, ClericError ERR_FILE_EXISTS, AbortedError; TypeError and RangeError for wrong options
 * @example
 * const { bytes, bpp } = await compressSlide('slide.svs', 'slide.cleric.tif', { quality: 50 })
 */
export async function compressSlide(
  slide: SlideSource | string,
  output: string,
  options: CompressOptions = {},
): Promise<CompressResult> {
  if (typeof slide !== 'string') checkSlide(slide, 'slide')
  checkString(output, 'output')
  checkOptions(options)
  const { quality = defaultQuality, tile = 512, background = 'auto', overwrite = false } = options
  checkNumber(quality, 'quality', 0, 100)
  checkInteger(tile, 'tile', MIN_TILE, maxTileSide)
  checkOneOf(background, 'background', BACKGROUND_MODES)
  for (const name of ['label', 'macro', 'overwrite'] as const) checkFlag(options[name], name)
  checkCallback(options.onProgress, 'onProgress')
  const signal = checkSignal(options.signal)
  throwIfAborted(signal)
  refuseExisting(output, overwrite)
  const started = performance.now()

  const source = typeof slide === 'string' ? await openSlide(slide, { signal }) : slide
  const { codec: given, model, device, adapter } = options
  try {
    if (isSameFile(output, source.path)) {
      throw new ClericError('ERR_FILE_EXISTS', `${output} is the slide itself; choose another name`)
    }
    const levels = chooseLevels(source.levels, options.levels ?? 'all')
    const loan = given ? { codec: given, release() {} } : await borrowCodec({ model, device, adapter })
    try {
      const run = new Run(source, levels, loan.codec, {
        quality,
        tile,
        background,
        signal,
        onProgress: options.onProgress,
      })
      const bytes = await run.write(output, overwrite, { label: options.label ?? true, macro: options.macro ?? true })
      return {
        output,
        bytes,
        sourceBytes: source.bytes,
        bpp: (8 * bytes) / run.totalPixels,
        seconds: (performance.now() - started) / 1000,
        tiles: run.tiles,
        blankTiles: run.blankTiles,
        device: loan.codec.device.name,
        deviceBusy: run.clock.share,
        peakRssBytes: process.resourceUsage().maxRSS * 1024,
        resumedTiles: 0,
      }
    } finally {
      loan.release()
    }
  } finally {
    if (source !== slide) source.close()
  }
}

function chooseLevels(levels: readonly Level[], wanted: 'all' | readonly number[]): number[] {
  if (wanted === 'all') return levels.map((_, i) => i)
  if (!Array.isArray(wanted)) throw wrongType('"all" or a list of level numbers', 'levels', wanted)
  const chosen = [...new Set(wanted as readonly number[])].sort((a, b) => a - b)
  for (const level of chosen) checkInteger(level, 'levels', 0, levels.length - 1)
  if (chosen[0] !== 0) throw outOfRange('a list with level 0', 'levels', wanted)
  return chosen
}

interface RunOptions {
  readonly quality: number
  readonly tile: number
  readonly background: BackgroundMode
  readonly signal: AbortSignal | undefined
  readonly onProgress: CompressOptions['onProgress']
}

/** One compression. */
class Run {
  readonly clock = new BusyClock()
  readonly totalPixels: number
  tiles = 0
  blankTiles = 0
  readonly #source: SlideSource
  readonly #levels: readonly number[]
  readonly #codec: PayloadCodec
  readonly #options: RunOptions
  readonly #indexes: TileIndex[]
  #pixels = 0
  #bytes = 0

  constructor(source: SlideSource, levels: readonly number[], codec: PayloadCodec, options: RunOptions) {
    this.#source = source
    this.#levels = levels
    this.#codec = codec
    this.#options = options
    this.#indexes = levels.map((level) => emptyIndex(source.levels[level] as Level, options.tile))
    this.totalPixels = levels.reduce((sum, level) => {
      const { width, height } = source.levels[level] as Level
      return sum + width * height
    }, 0)
  }

  async write(output: string, overwrite: boolean, keep: { label: boolean; macro: boolean }): Promise<number> {
    const writer = await ArchiveWriter.create(output, overwrite)
    try {
      await this.#writeTiles(writer)
      const associatedImages = await this.#writeAssociatedImages(writer, keep)
      return await writer.finish(this.#describe(associatedImages, keep.label && keep.macro), this.#indexes)
    } catch (error) {
      await writer.discard()
      throw error
    }
  }

  /** Several tiles are on their way at once, and written in order, so that the bytes don't depend on timing. */
  async #writeTiles(writer: ArchiveWriter): Promise<void> {
    const stop = new AbortController()
    const signal = this.#options.signal ? AbortSignal.any([this.#options.signal, stop.signal]) : stop.signal
    const waiting: { place: Place; made: Promise<Made> }[] = []
    const writeOldest = async () => {
      const oldest = waiting.shift()
      if (oldest) await this.#writeTile(writer, oldest.place, await oldest.made)
    }
    try {
      for (const place of this.#places()) {
        throwIfAborted(this.#options.signal)
        const made = this.#make(place, signal)
        // Reported when its turn comes; until then a failure must not count as unhandled.
        made.catch(() => {})
        waiting.push({ place, made })
        if (waiting.length >= TILES_IN_FLIGHT) await writeOldest()
      }
      while (waiting.length > 0) await writeOldest()
    } finally {
      stop.abort()
      await Promise.allSettled(waiting.map(({ made }) => made))
    }
  }

  *#places(): Generator<Place> {
    for (const [level, { columns, rows }] of this.#indexes.entries()) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) yield { level, column, row }
      }
    }
  }

  async #make({ level, column, row }: Place, signal: AbortSignal): Promise<Made> {
    const { quality, tile, background } = this.#options
    const number = this.#levels[level] as number
    const { width, height } = this.#source.levels[number] as Level
    const [x, y] = [column * tile, row * tile]
    const [w, h] = [Math.min(tile, width - x), Math.min(tile, height - y)]
    const image = await this.#source.readRegion(levelRegion(this.#source, number, x, y, w, h), signal)
    const colour = blankColour(image, background)
    if (colour) return { pixels: w * h, colour, payload: null }
    const payload = await this.clock.while(this.#codec.encodePayload(image, quality, signal))
    return { pixels: w * h, colour: null, payload }
  }

  async #writeTile(writer: ArchiveWriter, { level, column, row }: Place, made: Made): Promise<void> {
    const index = this.#indexes[level] as TileIndex
    const at = row * index.columns + column
    if (made.payload) {
      index.offset[at] = await writer.append(made.payload)
      index.length[at] = made.payload.length
      this.#bytes += made.payload.length
    } else {
      index.colour[at] = (made.colour.red << 16) | (made.colour.green << 8) | made.colour.blue
      this.blankTiles++
    }
    this.tiles++
    this.#pixels += made.pixels
    this.#options.onProgress?.({
      tiles: this.tiles,
      totalTiles: this.#indexes.reduce((sum, { length }) => sum + length.length, 0),
      blankTiles: this.blankTiles,
      pixels: this.#pixels,
      totalPixels: this.totalPixels,
      bytes: this.#bytes,
    })
  }

  async #writeAssociatedImages(
    writer: ArchiveWriter,
    keep: { label: boolean; macro: boolean },
  ): Promise<StoredImage[]> {
    const stored: StoredImage[] = []
    for (const name of this.#source.associatedImages) {
      if ((name === 'label' && !keep.label) || (name === 'macro' && !keep.macro)) continue
      const image = await this.#source.readAssociatedImage(name, this.#options.signal)
      const bytes = await fromImage(image).jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer()
      stored.push({ name, offset: await writer.append(bytes), length: bytes.length })
    }
    return stored
  }

  #describe(associatedImages: StoredImage[], identity: boolean): Description {
    const { mpp, objectivePower, background, properties, format, bytes } = this.#source
    return {
      model: { name: this.#codec.model.name, hash: this.#codec.model.hash },
      quality: this.#options.quality,
      tile: this.#options.tile,
      levels: this.#levels.map((level) => {
        const { width, height, downsample } = this.#source.levels[level] as Level
        return { width, height, downsample }
      }),
      mpp,
      objectivePower,
      background,
      properties: identity ? { ...properties } : withoutIdentity(properties),
      source: { format, bytes },
      associatedImages,
    }
  }
}

type Made =
  | { readonly pixels: number; readonly colour: null; readonly payload: Uint8Array }
  | { readonly pixels: number; readonly colour: Colour; readonly payload: null }
