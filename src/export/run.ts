/** One export of a slide: what `exportSlide` does once its options are checked. */
import { inOrder } from '../concurrency/in-order.js'
import { throwIfAborted } from '../errors.js'
import { growImage, type Image } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { type Level, levelRegion, type SlideSource } from '../slide/source.js'
import type { Destination, Picture } from './destination.js'
import type { ExportProgress } from './progress.js'
import type { ExportLevel } from './pyramid.js'
import type { ReadBack } from './read-back.js'
import { Reducer } from './reducer.js'
import type { TileCodec } from './tile-codec.js'

/** Most bytes of tiles of one colour that are kept, to be used again. */
const MAX_PLAIN_BYTES = 2 ** 24

export interface ExportPlan {
  readonly levels: readonly ExportLevel[]
  readonly codec: TileCodec
  /** Tiles to keep between being read and being written. */
  readonly tilesInFlight: number
  /** Names of the associated images to keep. */
  readonly images: readonly string[]
  /** Begins the files that tiles and associated images go to. */
  readonly begin: (pictures: readonly Picture[]) => Promise<Destination>
  readonly readBack: ReadBack
  /** Called when the slide has been read, before the file has its name; throws if it isn't the same slide any more. */
  readonly mustHold: () => void
  readonly onProgress: ((progress: ExportProgress) => void) | undefined
}

interface Place {
  readonly column: number
  readonly row: number
}

interface EncodedTile {
  /** Cut to the level. */
  readonly image: Image
  /** Size and colour of a tile of one colour, else null. */
  readonly plain: string | null
  /** Null if a tile like it is known already. */
  readonly bytes: Uint8Array | null
}

export class ExportRun {
  readonly totalPixels: number
  readonly totalTiles: number
  tiles = 0
  /** Why what was written could not be checked. */
  readonly warnings: string[] = []
  readonly #slide: SlideSource
  readonly #plan: ExportPlan
  readonly #plain = new Map<string, Uint8Array>()
  readonly #signal: AbortSignal
  #destination: Destination | null = null
  #plainBytes = 0
  #pixels = 0

  constructor(slide: SlideSource, plan: ExportPlan, signal: AbortSignal) {
    this.#slide = slide
    this.#plan = plan
    this.#signal = signal
    this.totalTiles = plan.levels.reduce((sum, { index }) => sum + index.length.length, 0)
    this.totalPixels = plan.levels.reduce((sum, { level }) => sum + level.width * level.height, 0)
  }

  /** Writes the files; returns their size. @param output their name, for messages */
  async write(output: string): Promise<number> {
    const destination = await this.#plan.begin(await this.#associatedImages())
    this.#destination = destination
    try {
      for (const [i, { number }] of this.#plan.levels.entries()) {
        if (number !== null) await this.#writeLevel(i)
      }
      throwIfAborted(this.#signal)
      this.#plan.mustHold()
      await destination.publish(async (path) => {
        this.warnings.push(...(await this.#plan.readBack.check(path, output, this.#signal)))
      })
      return destination.bytes
    } finally {
      await destination.discard()
    }
  }

  /** Writes a level of the slide, and the levels that are made of it. */
  async #writeLevel(i: number): Promise<void> {
    const { index } = this.#plan.levels[i] as ExportLevel
    const reducer = this.#reducer(i)
    await inOrder(
      places(index.columns, index.rows),
      this.#plan.tilesInFlight,
      async ({ column, row }, signal) => this.#encodeTile(i, await this.#read(i, column, row, signal)),
      async ({ column, row }, encoded) => {
        await this.#store(i, column, row, encoded)
        await reducer?.add(column, row, encoded.image)
      },
      this.#signal,
    )
  }

  /** Makes the next level out of this one; null if the slide has it. */
  #reducer(i: number): Reducer | null {
    const [finer, coarser] = [this.#plan.levels[i] as ExportLevel, this.#plan.levels[i + 1]]
    if (coarser?.number !== null) return null
    const next = this.#reducer(i + 1)
    return new Reducer(finer, coarser, (row, tiles) =>
      inOrder(
        tiles.entries(),
        this.#plan.tilesInFlight,
        ([, image]) => this.#encodeTile(i + 1, image),
        async ([column], encoded) => {
          await this.#store(i + 1, column, row, encoded)
          await next?.add(column, row, encoded.image)
        },
        this.#signal,
      ),
    )
  }

  /** The pixels of a tile, cut to the level. */
  #read(i: number, column: number, row: number, signal: AbortSignal): Promise<Image> {
    const { index, number } = this.#plan.levels[i] as ExportLevel
    const level = number as number
    const { width, height } = this.#slide.levels[level] as Level
    const [left, top] = [column * index.tileWidth, row * index.tileHeight]
    const [w, h] = [Math.min(index.tileWidth, width - left), Math.min(index.tileHeight, height - top)]
    return this.#slide.readRegion(levelRegion(this.#slide, level, left, top, w, h), signal)
  }

  async #encodeTile(i: number, image: Image): Promise<EncodedTile> {
    const { index, isStrips } = this.#plan.levels[i] as ExportLevel
    // The last strip has the rows that are left.
    const [tileWidth, tileHeight] = [index.tileWidth, isStrips ? image.height : index.tileHeight]
    const plain = isPlain(image) ? `${tileWidth}x${tileHeight}:${image.data.subarray(0, 3).join()}` : null
    if (plain !== null && this.#plain.has(plain)) return { image, plain, bytes: null }
    const bytes = await this.#plan.codec.encode(growImage(image, tileWidth, tileHeight))
    return { image, plain, bytes }
  }

  async #store(i: number, column: number, row: number, { image, plain, bytes }: EncodedTile): Promise<void> {
    // Which one it is is decided here, where tiles come in order: the file must not depend on timing.
    const known = plain === null ? undefined : this.#plain.get(plain)
    const tile = known ?? (bytes as Uint8Array)
    await this.#destination?.store(i, column, row, tile)
    if (bytes) this.#plan.readBack.note({ level: i, column, row, image, bytes })
    if (plain !== null && !known && this.#plainBytes + tile.length <= MAX_PLAIN_BYTES) {
      this.#plain.set(plain, tile)
      this.#plainBytes += tile.length
    }
    this.tiles++
    this.#pixels += image.width * image.height
    this.#plan.onProgress?.({
      tiles: this.tiles,
      totalTiles: this.totalTiles,
      pixels: this.#pixels,
      totalPixels: this.totalPixels,
      bytes: this.#destination?.bytes ?? 0,
    })
  }

  async #associatedImages(): Promise<Picture[]> {
    const jpegs: Picture[] = []
    for (const name of this.#plan.images) {
      const image = await this.#slide.readAssociatedImage(name, this.#signal)
      const bytes = await fromImage(image).jpeg(JPEG.exportedAssociated).toBuffer()
      jpegs.push({ name, width: image.width, height: image.height, bytes })
    }
    return jpegs
  }
}

function* places(columns: number, rows: number): Generator<Place> {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) yield { column, row }
  }
}

/** Whether all pixels have one colour. */
function isPlain({ data }: Image): boolean {
  for (let i = 3; i < data.length; i++) {
    if (data[i] !== data[i - 3]) return false
  }
  return true
}
