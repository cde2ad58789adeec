/**
 * Reads a few tiles of an export back through OpenSlide, where it is installed and shows such files, before the file has its
 * name: what other programs show must be what was written.
 */
import { ClericError, SlideError } from '../errors.js'
import type { Image } from '../image/image.js'
import { levelRegion, type SlideSource } from '../slide/source.js'
import type { ExportLevel } from './pyramid.js'
import type { TileCodec } from './tile-codec.js'

/** A tile that is read back: the first, the middle one and the last of each level, if their pixels differ. */
interface Sample {
  /** Number of the level in the export. */
  readonly level: number
  readonly column: number
  readonly row: number
  /** Cut to the level. */
  readonly image: Image
  readonly bytes: Uint8Array
}

/** Mean difference of values where OpenSlide has to interpolate, as a level isn't a whole number of times smaller. */
const MOST_INTERPOLATED = 24

/** Opens an export; `reader` is the name of what shows it. */
export type OpenBack = (path: string, signal: AbortSignal) => Promise<{ slide: SlideSource; reader: string }>

export class ReadBack {
  readonly #levels: readonly ExportLevel[]
  readonly #codec: TileCodec
  readonly #open: OpenBack
  readonly #samples: Sample[] = []

  constructor(levels: readonly ExportLevel[], codec: TileCodec, open: OpenBack) {
    this.#levels = levels
    this.#codec = codec
    this.#open = open
  }

  /** Takes note of a tile that is written, if it is to be read back. */
  note(sample: Sample): void {
    const { index } = this.#levels[sample.level] as ExportLevel
    const number = sample.row * index.columns + sample.column
    const last = index.columns * index.rows - 1
    if ([0, last >> 1, last].includes(number)) this.#samples.push(sample)
  }

  /**
   * @param path of the whole file
   * @param output the name it is to have, for messages
   * @returns why it could not be checked; empty if it could
   * @throws ClericError ERR_EXPORT_FAILED if OpenSlide shows something else than what was written
   */
  async check(path: string, output: string, signal: AbortSignal): Promise<string[]> {
    // What is no tiles OpenSlide shows no level of; it was told so before.
    const [finest] = this.#levels
    if (!finest || finest.isStrips) return []
    try {
      const { slide, reader } = await this.#open(path, signal)
      try {
        await this.#compare(slide, reader, output, signal)
      } finally {
        await slide.close()
      }
      return []
    } catch (error) {
      if (!(error instanceof SlideError || (error instanceof ClericError && error.code === 'ERR_ADDON_MISSING')))
        throw error
      if (error.code === 'ERR_OPENSLIDE_MISSING' || error.code === 'ERR_ADDON_MISSING') return []
      return [`it could not be read back on this machine: ${error.message.replaceAll(path, output)}`]
    }
  }

  async #compare(slide: SlideSource, reader: string, output: string, signal: AbortSignal): Promise<void> {
    for (const sample of this.#samples) {
      const { level, isStrips } = this.#levels[sample.level] as ExportLevel
      if (isStrips) continue
      const number = slide.levels.findIndex(({ width, height }) => width === level.width && height === level.height)
      if (number < 0) throw this.#failed(output, reader, sample, 'does not show')
      const { tileWidth, tileHeight } = (this.#levels[sample.level] as ExportLevel).index
      const [left, top] = [sample.column * tileWidth, sample.row * tileHeight]
      const region = levelRegion(slide, number, left, top, sample.image.width, sample.image.height)
      const shown = await slide.readRegion(region, signal)
      const isExact = Number.isInteger(slide.levels[number]?.downsample) || (left === 0 && top === 0)
      const { largest, mean } = difference(shown, await this.#codec.decode(sample.bytes, sample.image))
      if (isExact ? largest <= this.#codec.tolerance : mean <= MOST_INTERPOLATED) continue
      throw this.#failed(output, reader, sample, 'shows something else than what was written as')
    }
  }

  #failed(output: string, reader: string, { level, column, row }: Sample, what: string): ClericError {
    const place = `level ${level}, tile ${column}, ${row}`
    return new ClericError(
      'ERR_EXPORT_FAILED',
      `${output}: ${reader} ${what} ${place}; nothing is kept: export it with another codec`,
    )
  }
}

function difference(a: Image, b: Image): { largest: number; mean: number } {
  let [largest, sum] = [0, 0]
  for (let i = 0; i < a.data.length; i++) {
    const off = Math.abs((a.data[i] as number) - (b.data[i] as number))
    if (off > largest) largest = off
    sum += off
  }
  return { largest, mean: sum / a.data.length }
}
