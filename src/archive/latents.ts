/** The latents of a region of an archive (docs/latents.md), put together from those of its tiles. */
import { outOfRange } from '../arguments.js'
import type { MissingLatents } from '../codec/arguments.js'
import type { LatentCodec } from '../codec/codec.js'
import { LATENT_SIDE, type Latents, latentSide, noLatents } from '../codec/latents.js'
import { inOrder } from '../concurrency/in-order.js'
import { type Colour, fill } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import type { TileSpace } from '../image/tile-cache.js'
import { colourOf, type TileIndex } from '../tiff/tile-index.js'
import { type LevelWindow, tilesWithin } from './tile-window.js'

/** Latents of a region of a level, which begin at a position of the level's grid of 16 x 16 pixels. */
export interface RegionLatents extends Latents {
  /** Left edge of the first column, in pixels of the level; a multiple of 16. */
  readonly left: number
  /** Top edge of the first row, likewise. */
  readonly top: number
}

/** What is needed of a level, and of the codec that reads it. */
export interface LatentSource {
  readonly index: TileIndex
  /** The level's, in pixels. */
  readonly size: Size
  /** Pixels of tile number `at`, cut to the level. */
  tileSize(at: number): Size
  /** What lies outside has this colour. */
  readonly background: Colour
  readonly quality: number
  readonly codec: LatentCodec
  readonly tilesInFlight: number
  /** Latents that were read before, of all levels. */
  readonly space: TileSpace<Latents | null>
  /** Begins the keys of this level's tiles in it. */
  readonly key: string
  /** The latents that the file has of tile number `at`, whole; null if it is stored by a classic codec. */
  stored(at: number, signal: AbortSignal): Promise<Latents | null>
  /** Pixels of tile number `at`, cut to the level. */
  pixels(at: number, signal: AbortSignal): Promise<Image>
}

/** Most positions of a region: 512 MiB of latents of 256 channels, the pixels of 11585 x 11585. */
const MAX_POSITIONS = 2 ** 19

/** A window of a level in positions, grown to whole ones. */
export function latentWindow({ left, top, width, height }: LevelWindow): LevelWindow {
  const first = (start: number) => Math.floor(start / LATENT_SIDE)
  const [column, row] = [first(left), first(top)]
  const window = {
    left: column,
    top: row,
    width: latentSide(left + width) - column,
    height: latentSide(top + height) - row,
  }
  if (window.width * window.height > MAX_POSITIONS) {
    const most = `a region of at most ${MAX_POSITIONS} places of ${LATENT_SIDE} x ${LATENT_SIDE} pixels`
    throw outOfRange(most, 'region', window.width * window.height)
  }
  return window
}

/** @param window in positions, from {@link latentWindow} */
export async function readWindow(
  source: LatentSource,
  window: LevelWindow,
  missing: MissingLatents,
  signal: AbortSignal,
): Promise<RegionLatents> {
  const pixels = inPixels(window)
  const out = { ...noLatents(source.codec.latentChannels, pixels), left: pixels.left, top: pixels.top }
  const { columns, rows, tileWidth, tileHeight } = source.index
  const [tileColumns, tileRows] = [tileWidth / LATENT_SIDE, tileHeight / LATENT_SIDE]
  if (missing === 'analyse' && !isWithin(window, source.size)) {
    const outside = await ofColour(source, source.background, { width: tileWidth, height: tileHeight }, signal)
    const first = (start: number, side: number) => Math.floor(start / side)
    for (let row = first(window.top, tileRows); row * tileRows < window.top + window.height; row++) {
      for (let column = first(window.left, tileColumns); column * tileColumns < window.left + window.width; column++) {
        const isInside = column >= 0 && row >= 0 && column < columns - 1 && row < rows - 1
        if (!isInside) paste(outside, out, column * tileColumns - window.left, row * tileRows - window.top)
      }
    }
  }
  await inOrder(
    tilesWithin(source.index, pixels),
    source.tilesInFlight,
    (at, stop) => tileLatents(source, at, missing, stop),
    async (at, latents) => {
      const [column, row] = [at % columns, Math.floor(at / columns)]
      if (latents) paste(latents, out, column * tileColumns - window.left, row * tileRows - window.top)
    },
    signal,
  )
  return out
}

function inPixels({ left, top, width, height }: LevelWindow): LevelWindow {
  const pixels = (positions: number) => positions * LATENT_SIDE
  return { left: pixels(left), top: pixels(top), width: pixels(width), height: pixels(height) }
}

/** Whether all of a window lies in the level. */
function isWithin({ left, top, width, height }: LevelWindow, size: Size): boolean {
  return left >= 0 && top >= 0 && left + width <= latentSide(size.width) && top + height <= latentSide(size.height)
}

/** Latents of tile number `at`, cut to the level; null if there are none and none are to be made. */
async function tileLatents(
  source: LatentSource,
  at: number,
  missing: MissingLatents,
  signal: AbortSignal,
): Promise<Latents | null> {
  const { index, codec, quality, space, key } = source
  const shown = source.tileSize(at)
  if (index.length[at] === 0) return missing === 'nan' ? null : ofColour(source, colourOf(index, at), shown, signal)
  const read = async (stop: AbortSignal) => {
    const latents = await source.stored(at, stop)
    return latents && crop(latents, shown)
  }
  const stored = await space.get(`${key}/${at}`, bytesOf, read, signal)
  if (stored || missing === 'nan') return stored
  const analyse = async (stop: AbortSignal) =>
    codec.encodeLatents(await source.pixels(at, stop), { quality, signal: stop })
  return space.get(`${key}/${at} analysed`, bytesOf, analyse, signal)
}

/** Latents of a tile of one colour. */
async function ofColour(source: LatentSource, colour: Colour, size: Size, signal: AbortSignal): Promise<Latents> {
  const { codec, quality, space } = source
  const { width, height } = size
  const analyse = (stop: AbortSignal) => codec.encodeLatents(fill(width, height, colour), { quality, signal: stop })
  const { red, green, blue } = colour
  const key = `${width} x ${height} of ${red}, ${green}, ${blue}`
  return (await space.get(key, bytesOf, analyse, signal)) as Latents
}

/** Bytes that a tile takes in the cache; what is known of one without latents takes some too. */
function bytesOf(latents: Latents | null): number {
  return latents ? latents.data.byteLength + latents.stored.byteLength : 64
}

/** The top left of a tile, for an image of that size. */
function crop(latents: Latents, size: Size): Latents {
  if (latents.width === latentSide(size.width) && latents.height === latentSide(size.height)) return latents
  const out = noLatents(latents.channels, size)
  paste(latents, out, 0, 0)
  return out
}

/** Copies latents to a position of others, as far as they lie within. */
function paste(from: Latents, to: Latents, left: number, top: number): void {
  const [first, end] = [Math.max(0, -left), Math.min(from.width, to.width - left)]
  const [firstRow, endRow] = [Math.max(0, -top), Math.min(from.height, to.height - top)]
  if (first >= end) return
  const copy = (source: Float32Array | Uint8Array, target: Float32Array | Uint8Array, channel: number, row: number) => {
    const at = (channel * from.height + row) * from.width
    target.set(source.subarray(at + first, at + end), (channel * to.height + top + row) * to.width + left + first)
  }
  for (let row = firstRow; row < endRow; row++) {
    for (let channel = 0; channel < from.channels; channel++) copy(from.data, to.data, channel, row)
    copy(from.stored, to.stored, 0, row)
  }
}
