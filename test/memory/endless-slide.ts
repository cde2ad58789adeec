/**
 * A slide of any size made of a few drawn tiles, and a codec that knows them by number: both cost next to no time, so
 * that what a program does around them can be watched over tens of thousands of tiles.
 */
import type { PayloadCodec } from '../../src/codec/codec.js'
import { CorruptDataError } from '../../src/errors.js'
import { fill, paste } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { checkRegion, type Level, levelPosition, type Region, type SlideSource } from '../../src/slide/source.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'

export const SIDE = 512
const TILES = 4
/** Bytes of a payload, about what a tile of tissue has. */
const PAYLOAD = 20_000

export type Pool = readonly Image[]

/** The drawn tiles; the first pixel of each holds its number. */
export async function drawPool(): Promise<Pool> {
  const drawn = new SyntheticSlide('synthetic:8192x8192')
  const pool: Image[] = []
  for (let i = 0; i < TILES; i++) {
    const tile = await drawn.readRegion({ x: 3000 + SIDE * i, y: 3000, level: 0, width: SIDE, height: SIDE })
    tile.data[0] = i
    pool.push(tile)
  }
  return pool
}

export function endlessSlide(pool: Pool, width: number, height: number): SlideSource {
  // Far from each other, so that an export makes levels in between.
  const levels: Level[] = []
  for (let downsample = 1; levels.length === 0 || Math.max(width, height) / downsample >= 1024; downsample *= 16) {
    levels.push({ width: Math.ceil(width / downsample), height: Math.ceil(height / downsample), downsample })
  }
  return {
    format: 'endless',
    path: 'endless',
    bytes: 0,
    levels,
    mpp: { x: 0.25, y: 0.25 },
    objectivePower: 40,
    background: { red: 244, green: 243, blue: 245 },
    properties: {},
    associatedImages: [],
    async readRegion(region: Region) {
      checkRegion(region, levels.length)
      // As a reader of files does: the answer comes later.
      await new Promise(setImmediate)
      const { downsample } = levels[region.level] as Level
      const [left, top] = [levelPosition(region.x, downsample), levelPosition(region.y, downsample)]
      const image = fill(region.width, region.height, this.background)
      for (let y = Math.floor(top / SIDE); y * SIDE < top + region.height; y++) {
        for (let x = Math.floor(left / SIDE); x * SIDE < left + region.width; x++) {
          paste(pool[(x * 7 + y * 5) % TILES] as Image, image, x * SIDE - left, y * SIDE - top)
        }
      }
      return image
    },
    readAssociatedImage: (name) => Promise.reject(new Error(`no ${name}`)),
    close() {},
  }
}

/** Its payload is as long as a real one, and decodes to new pixels each time, as a real one does. */
export function numberCodec(pool: Pool, facts: Pick<PayloadCodec, 'model' | 'device' | 'tilesInFlight'>): PayloadCodec {
  return {
    ...facts,
    async encodePayload(image) {
      await new Promise(setImmediate)
      return new Uint8Array(PAYLOAD).fill(image.data[0] as number)
    },
    async encodeCheckedPayload(image, quality, { signal } = {}) {
      return { payload: await this.encodePayload(image, quality, signal), psnr: 40, codec: 'cleric' }
    },
    async decodePayload(payload, { width, height }) {
      await new Promise(setImmediate)
      const tile = pool[payload[0] as number]
      if (!tile) throw new CorruptDataError('ERR_CORRUPT_TILE', 'The tile is damaged')
      const image = fill(width, height, { red: 0, green: 0, blue: 0 })
      paste(tile, image, 0, 0)
      return image
    },
  }
}
