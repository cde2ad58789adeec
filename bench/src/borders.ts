/**
 * `bench borders`: how much worse tiles are at their borders than inside. Tiles are coded apart, so the outermost ring of
 * pixels knows less of its surroundings, and the error jumps from one tile to the next.
 *
 * The border is compared with all pixels inside, and with those inside that lie as it does in a grid of 16 x 16 pixels. A
 * slide that was scanned to JPEG has steps of its own every eight pixels, and the borders of its tiles always lie on them:
 * compared with all pixels inside, a codec that leaves no borders whatever seems to (JPEG with blocks of 8 x 8: 1 dB).
 */
import type { Image } from 'cleric'
import type { BenchCodec } from './codec.js'
import { partOf } from './image-set.js'

/** The side of a JPEG's unit where chroma is halved, and of what a latent stands for. */
const GRID = 16

export interface BordersOptions {
  readonly codecs: readonly BenchCodec[]
  /** At least one tile large each; what doesn't fill a tile is left out. */
  readonly images: readonly Image[]
  /** Side of the tiles in pixels, a multiple of 16, at least 64. */
  readonly side: number
  /** The settings that a codec is tried at. */
  settingsOf(codec: BenchCodec): readonly number[]
  onProgress(done: number, total: number): void
  readonly signal: AbortSignal
}

/** What is compared with what: dB of mean squared error for rings, a quotient of mean absolute differences for steps. */
export interface Comparison {
  /** With all rows and columns 16 pixels or more inside, at their whole length. */
  readonly all: number
  /** With what lies there at the same place of a grid of 16 x 16. */
  readonly alike: number
}

export interface BordersRow {
  readonly codec: string
  readonly setting: number
  readonly bpp: number
  readonly psnr: number
  /** By how many dB the outermost ring of a tile's pixels is worse. */
  readonly ring: Comparison
  /** The same of its top and left side, and of its bottom and right. */
  readonly first: Comparison
  readonly last: Comparison
  /** How many times as much the error changes across a border of two tiles as from one pixel to the next elsewhere. */
  readonly step: Comparison
}

export interface BordersReport {
  readonly format: 'cleric-bench-borders/1'
  readonly side: number
  readonly tiles: number
  readonly rows: readonly BordersRow[]
}

export async function benchBorders(options: BordersOptions): Promise<BordersReport> {
  const { codecs, side, settingsOf, onProgress, signal } = options
  // A smaller tile has no pixels that are inside.
  if (side < 4 * GRID) throw new RangeError(`Expected at least ${4 * GRID} for the side of tiles but received ${side}`)
  const images = options.images.map((image) => wholeTiles(image, side))
  const runs = codecs.flatMap((codec) => settingsOf(codec).map((setting) => ({ codec, setting })))
  const rows: BordersRow[] = []
  for (const { codec, setting } of runs) {
    const sums = new BorderSums(side)
    let bytes = 0
    for (const image of images) {
      const { errors, bytes: taken } = await errorsOf(codec, setting, image, side, signal)
      bytes += taken
      sums.add(errors, image.width, image.height)
    }
    rows.push({ codec: codec.id, setting, bpp: (8 * bytes) / pixelsOf(images), ...sums.figures() })
    onProgress(rows.length, runs.length)
  }
  return { format: 'cleric-bench-borders/1', side, tiles: pixelsOf(images) / side ** 2, rows }
}

function pixelsOf(images: readonly Image[]): number {
  return images.reduce((sum, { width, height }) => sum + width * height, 0)
}

/** The whole tiles of an image, from the top left. */
function wholeTiles(image: Image, side: number): Image {
  const whole = (length: number) => Math.floor(length / side) * side
  const [width, height] = [whole(image.width), whole(image.height)]
  if (width === 0 || height === 0) {
    throw new RangeError(
      `Expected images of at least ${side} x ${side} pixels but received ${image.width} x ${image.height}`,
    )
  }
  return partOf(image, 0, 0, width, height)
}

/** Codes the tiles of an image; the error of each sample, RGB interleaved, and the bytes of all. */
async function errorsOf(codec: BenchCodec, setting: number, image: Image, side: number, signal: AbortSignal) {
  const { width, height, data } = image
  const errors = new Int16Array(data.length)
  let bytes = 0
  for (let y = 0; y < height; y += side) {
    for (let x = 0; x < width; x += side) {
      const tile = partOf(image, x, y, side, side)
      const coded = await codec.encode(tile, setting, signal)
      bytes += coded.length
      const decoded = await codec.decode(coded, tile, signal)
      for (let row = 0; row < side; row++) {
        const to = 3 * ((y + row) * width + x)
        const from = 3 * row * side
        for (let i = 0; i < 3 * side; i++) {
          errors[to + i] = (decoded.data[from + i] as number) - (tile.data[from + i] as number)
        }
      }
    }
  }
  return { errors, bytes }
}

/** A mean that is being gathered. */
class Mean {
  #sum = 0
  #count = 0

  add(value: number, count = 1): void {
    this.#sum += value * count
    this.#count += count
  }

  get count(): number {
    return this.#count
  }

  get value(): number {
    return this.#sum / this.#count
  }
}

const PLACES = ['first', 'last', 'inside', 'likeFirst', 'likeLast', 'step', 'insideStep', 'likeStep'] as const
type Place = (typeof PLACES)[number]

function noMeans(): Record<Place, Mean> {
  return Object.fromEntries(PLACES.map((place) => [place, new Mean()])) as Record<Place, Mean>
}

/** Errors by how far they are from the borders of their tile. */
class BorderSums {
  readonly #side: number
  /** Apart, so that both count alike whatever the shape of an image. */
  readonly #directions = { rows: noMeans(), columns: noMeans() }
  readonly #all = new Mean()

  constructor(side: number) {
    this.#side = side
  }

  /** Takes the errors of an image of whole tiles. */
  add(errors: Int16Array, width: number, height: number): void {
    const error = (line: number, across: number, channel: number, isRow: boolean) =>
      errors[3 * (isRow ? line * width + across : across * width + line) + channel] as number
    for (const direction of ['rows', 'columns'] as const) {
      const isRow = direction === 'rows'
      const [lines, length] = isRow ? [height, width] : [width, height]
      // One tile has no border to another.
      const hasSteps = lines > this.#side
      for (let line = 0; line < lines; line++) {
        const hasNext = hasSteps && line + 1 < lines
        let [squares, steps] = [0, 0]
        for (let across = 0; across < length; across++) {
          for (let channel = 0; channel < 3; channel++) {
            const own = error(line, across, channel, isRow)
            squares += own ** 2
            if (hasNext) steps += Math.abs(error(line + 1, across, channel, isRow) - own)
          }
        }
        const square = squares / (3 * length)
        this.#all.add(square, length)
        this.#addLine(this.#directions[direction], line % this.#side, square, hasNext ? steps / (3 * length) : null)
      }
    }
  }

  /** @param step how much the error changes to the next line; null where that doesn't count */
  #addLine(means: Record<Place, Mean>, at: number, square: number, step: number | null): void {
    const isLast = at === this.#side - 1
    if (at === 0) means.first.add(square)
    if (isLast) means.last.add(square)
    if (isLast && step !== null) means.step.add(step)
    if (at < GRID || at >= this.#side - GRID) return
    means.inside.add(square)
    if (at % GRID === 0) means.likeFirst.add(square)
    if (at % GRID === GRID - 1) means.likeLast.add(square)
    if (step === null || at + 1 >= this.#side - GRID) return
    means.insideStep.add(step)
    if (at % GRID === GRID - 1) means.likeStep.add(step)
  }

  figures(): Omit<BordersRow, 'codec' | 'setting' | 'bpp'> {
    const { rows, columns } = this.#directions
    const value = (place: Place) => {
      const means = [rows[place], columns[place]].filter(({ count }) => count > 0)
      return means.reduce((sum, mean) => sum + mean.value, 0) / means.length
    }
    const decibels = (quotient: number) => 10 * Math.log10(quotient)
    const compared = (own: number, inside: number, alike: number): Comparison => ({
      all: decibels(own / inside),
      alike: decibels(own / alike),
    })
    const [first, last, inside] = [value('first'), value('last'), value('inside')]
    const [likeFirst, likeLast] = [value('likeFirst'), value('likeLast')]
    return {
      psnr: decibels(255 ** 2 / this.#all.value),
      ring: compared((first + last) / 2, inside, (likeFirst + likeLast) / 2),
      first: compared(first, inside, likeFirst),
      last: compared(last, inside, likeLast),
      step: { all: value('step') / value('insideStep'), alike: value('step') / value('likeStep') },
    }
  }
}
