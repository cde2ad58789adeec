/**
 * The plan of a compression: which levels and tiles the archive has, and its head. Making it reads no pixels and writes
 * nothing.
 */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { type Description, readSlideFacts, writeSlideFacts } from '../archive/description.js'
import { MAX_HEAD_BYTES } from '../archive/head-reader.js'
import { type Contents, encodeHead, type Layout } from '../archive/head-writer.js'
import { outOfRange } from '../arguments.js'
import type { TileFloor } from '../codec/arguments.js'
import { classicVersions } from '../codec/classic-encoder.js'
import { crc32c } from '../entropy/crc32c.js'
import { SlideError } from '../errors.js'
import type { Size } from '../image/image.js'
import { packageVersion } from '../package.js'
import { type Kept, keptOf } from '../slide/identity.js'
import type { Level, SlideSource } from '../slide/source.js'
import { emptyIndex, type TileIndex, type TilePlace } from '../tiff/tile-index.js'
import type { BackgroundMode } from './blank.js'
import { overviewLevels } from './overview.js'
import type { Area } from './slide-reader.js'
import { type KeepSourceTiles, multipleFor } from './source-jpegs.js'

/**
 * Tiles of a segment. What is learnt of a tile serves in its segment only, so that segments can be encoded apart, to the
 * same bytes.
 */
export const SEGMENT_TILES = 1024

/** Offset, length and colour. */
const HEAD_BYTES_A_TILE = 16

export interface PlanOptions {
  /** Side of a tile. */
  readonly tile: number
  readonly background: BackgroundMode
  readonly layout: Layout
  /** Whether each tile is compared with the slide, and stored another way where that is better. */
  readonly isChecked: boolean
  readonly floor: TileFloor
  readonly keepSourceTiles: KeepSourceTiles
  readonly label: boolean
  readonly macro: boolean
  /** Other than {@link SEGMENT_TILES}. */
  readonly segmentTiles?: number | undefined
}

/** An associated image as it is stored. */
export interface AssociatedJpeg extends Size {
  readonly name: string
  readonly bytes: Uint8Array
}

export class CompressionPlan {
  readonly totalPixels: number
  readonly totalTiles: number
  /** Places for the tiles of each level that is kept. */
  readonly indexes: readonly TileIndex[]
  readonly #slide: SlideSource
  /** The slide's numbers of the levels that are kept. */
  readonly #levelNumbers: readonly number[]
  readonly #levels: readonly Level[]
  readonly #options: PlanOptions
  readonly #kept: Kept

  constructor(slide: SlideSource, levelNumbers: readonly number[], options: PlanOptions) {
    this.#slide = slide
    this.#levelNumbers = levelNumbers
    this.#levels = levelNumbers.map((number) => slide.levels[number] as Level)
    this.#options = options
    this.#kept = keptOf(slide, options)
    this.#mustFit()
    const { tile, keepSourceTiles } = options
    this.indexes = this.#levels.map((level, i) =>
      emptyIndex(level, tile, multipleFor(slide, levelNumbers[i] as number, tile, keepSourceTiles)),
    )
    this.totalTiles = this.indexes.reduce((sum, { length }) => sum + length.length, 0)
    this.totalPixels = this.#levels.reduce((sum, { width, height }) => sum + width * height, 0)
  }

  /** Tiles of a segment. */
  get segmentTiles(): number {
    return this.#options.segmentTiles ?? SEGMENT_TILES
  }

  /** Names of the associated images that are kept. */
  get imageNames(): readonly string[] {
    return this.#kept.images
  }

  /** The place of tile 0 .. totalTiles - 1, level by level and row by row. Levels are counted among those kept. */
  place(number: number): TilePlace {
    let at = number
    let level = 0
    for (let tiles = this.#tilesOf(level); at >= tiles; tiles = this.#tilesOf(level)) {
      at -= tiles
      level++
    }
    const { columns } = this.indexes[level] as TileIndex
    return { level, column: at % columns, row: Math.floor(at / columns) }
  }

  /** The part of the slide that a tile shows. */
  area({ level, column, row }: TilePlace): Area {
    const { tileWidth, tileHeight } = this.indexes[level] as TileIndex
    const { width, height } = this.#levels[level] as Level
    const [left, top] = [column * tileWidth, row * tileHeight]
    return {
      level: this.#levelNumbers[level] as number,
      left,
      top,
      width: Math.min(tileWidth, width - left),
      height: Math.min(tileHeight, height - top),
    }
  }

  /**
   * The contents of the head, before it is known where tiles and images are.
   *
   * @throws SlideError ERR_UNSUPPORTED_SLIDE for facts that a reader would refuse
   */
  contents(model: Description['model'], quality: number, images: readonly AssociatedJpeg[]): Contents {
    const { layout, tile } = this.#options
    const { mpp, objectivePower, background, format, bytes } = this.#slide
    const description: Description = {
      model: { name: model.name, hash: model.hash },
      quality,
      tile,
      levels: this.#levels,
      downsamples: this.#levels.map(({ downsample }) => downsample),
      mpp,
      objectivePower,
      background,
      properties: { ...this.#kept.properties },
      source: { format, bytes },
    }
    this.#refuseUnreadable(description)
    return {
      layout,
      description,
      iccProfile: this.#kept.iccProfile,
      indexes: this.indexes,
      overview: layout === 'compat' ? overviewLevels(this.#levels[0] as Level) : [],
      images: images.map(({ bytes, ...image }) => ({
        ...image,
        offset: 0,
        length: bytes.length,
        checksum: crc32c(bytes),
      })),
      isChecked: this.#options.isChecked,
      fileLength: 0,
    }
  }

  /** @throws RangeError if the tiles are too many for a head */
  head(contents: Contents): Uint8Array {
    const head = encodeHead(contents)
    if (head.length <= MAX_HEAD_BYTES) return head
    throw this.#tooManyTiles()
  }

  /**
   * A digest of all that the archive's bytes depend on: facts and options are in the head, which has no tiles yet.
   *
   * @param version of this package: another may choose or encode otherwise, and an archive is made by one
   * @param by the device, and the number of tiles after which what is learnt of one serves; null for a digest that is the
   * same whoever encodes the tiles
   */
  fingerprint(
    head: Uint8Array,
    by: { readonly kind: string; readonly name: string; readonly learntAfter: number } | null,
    version = packageVersion(),
  ): Uint8Array {
    const changed = statSync(this.#slide.path, { throwIfNoEntry: false })?.mtimeMs ?? this.#slide.version ?? null
    const { background, isChecked, floor, keepSourceTiles } = this.#options
    // Libraries of classic codecs make other bytes in other versions.
    const check = isChecked
      ? { ...floor, keepSourceTiles, segmentTiles: this.segmentTiles, ...classicVersions() }
      : null
    const notInHead = JSON.stringify({ changed, levels: this.#levelNumbers, background, check, by, version })
    return createHash('sha256').update(head).update(notInHead).digest()
  }

  /** Counts the tiles before memory is taken for their places: a slide may claim any size. */
  #mustFit(): void {
    const { tile } = this.#options
    const tiles = this.#levels.reduce((sum, { width, height }) => sum + (width / tile) * (height / tile), 0)
    if (tiles * HEAD_BYTES_A_TILE > MAX_HEAD_BYTES) throw this.#tooManyTiles()
  }

  #tooManyTiles(): RangeError {
    return outOfRange('larger tiles for a slide of this size', 'tile', this.#options.tile)
  }

  #tilesOf(level: number): number {
    return (this.indexes[level] as TileIndex).length.length
  }

  /** Facts that a reader would refuse must not be written: slide files may state any nonsense about themselves. */
  #refuseUnreadable(description: Description): void {
    try {
      readSlideFacts(writeSlideFacts(description))
    } catch (cause) {
      const { path } = this.#slide
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} can't be archived: ${(cause as Error).message}`, { cause })
    }
  }
}
