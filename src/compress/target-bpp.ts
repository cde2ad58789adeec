/**
 * The quality at which an archive has a wanted number of bits a pixel, found on a sample of its tiles.
 *
 * First many tiles are looked at, to see how many are stored and how much is in them; the bytes of a JPEG measure that
 * well enough. Then a few of these, from the emptiest to the fullest, are encoded at several qualities. What their
 * payloads have in bytes for each byte of JPEG holds for the others too. Nothing is left to chance, so that a run that
 * goes on from another finds the same quality.
 */
import { inOrder } from '../concurrency/in-order.js'
import { ClericError } from '../errors.js'
import type { Image } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import type { CompressionRun, TilePixels } from './run.js'

/** How far the search for a quality is. */
export interface SearchProgress {
  /** Tiles looked at or encoded. */
  readonly done: number
  /** Most that this can be; the search may end sooner. */
  readonly total: number
  /** The quality tried last, and the bits a pixel expected of it; null before the first. */
  readonly tried: Rate | null
}

export interface Rate {
  /** 0 to 100. */
  readonly quality: number
  /** Bits a pixel. */
  readonly bpp: number
}

/** Tiles whose pixels are read: a few seconds of it, however large the slide. */
const LOOKED_AT = 1024
/** Tiles of these that are encoded. They stay in memory. */
const ENCODED = 24

/**
 * Relative error at which the search ends: below the sample's own, and below the 1 % that is promised where all tiles
 * are encoded.
 */
const TOLERANCE = 0.003
const MOST_TRIES = 10
/** Qualities are multiples of 1 / this: much finer than the tolerance on the curves of real models. */
const STEPS = 100

/**
 * @param target bits a pixel
 * @throws ClericError ERR_TARGET_UNREACHABLE; what reading and encoding the slide throws
 */
export async function qualityForTarget(
  run: CompressionRun,
  target: number,
  onSearch: (progress: SearchProgress) => void,
  signal: AbortSignal,
): Promise<number> {
  const numbers = spread(run.plan.totalTiles, LOOKED_AT)
  const total = numbers.length + MOST_TRIES * Math.min(ENCODED, numbers.length)
  let done = 0
  let tried: Rate | null = null
  onSearch({ done, total, tried })

  // The quality's digits are in the head, but make no difference.
  const aside = await run.bytesAside(0, signal)
  const stored: { number: number; weight: number }[] = []
  await inOrder(
    numbers,
    run.tilesInFlight,
    async (number, either) => jpegBytes((await run.tilePixels(number, either))?.image),
    async (number, weight) => {
      if (weight > 0) stored.push({ number, weight })
      onSearch({ done: ++done, total, tried })
    },
    signal,
  )
  const sample = evenly(
    stored.sort((a, b) => a.weight - b.weight),
    ENCODED,
  )
  const tiles: TilePixels[] = []
  for (const { number } of sample) {
    const tile = await run.tilePixels(number, signal)
    if (tile) tiles.push(tile)
  }
  const scale = (run.plan.totalTiles / numbers.length) * (weightOf(stored) / Math.max(1, weightOf(sample)))

  const bppAt = async (quality: number): Promise<number> => {
    let bytes = 0
    await inOrder(
      tiles,
      run.tilesInFlight,
      (tile, either) => run.encode(tile, quality, {}, either),
      async (_, { payload }) => {
        bytes += payload.length
        onSearch({ done: ++done, total, tried })
      },
      signal,
    )
    const bpp = (8 * (aside + scale * bytes)) / run.plan.totalPixels
    tried = { quality, bpp }
    return bpp
  }
  return findQuality(target, bppAt)
}

/**
 * The quality that gives the target, or nearly: Chandrupatla's root-finding on the logarithm of the bits, which begins
 * with false position, then goes by inverse quadratic interpolation, and by halves where the curve is too bent for
 * that.
 *
 * @param bppAt bits a pixel at a quality of 0 to 100; rises with it
 * @returns a multiple of 0.01
 * @throws ClericError ERR_TARGET_UNREACHABLE
 */
export async function findQuality(target: number, bppAt: (quality: number) => Promise<number>): Promise<number> {
  const least = await bppAt(0)
  const most = await bppAt(100)
  if (!(target >= least && target <= most)) throw unreachable(target, least, most)
  // The target is always between near, which was tried last, and far.
  let near: Tried = { quality: 0, off: Math.log(least / target) }
  let far: Tried = { quality: 100, off: Math.log(most / target) }
  let best = closer(near, far)
  let step = near.off / (near.off - far.off)
  for (let tries = 2; tries < MOST_TRIES && Math.abs(best.off) > TOLERANCE; tries++) {
    const [low, high] = [near.quality, far.quality].sort((a, b) => a - b).map((end) => Math.round(end * STEPS))
    const [first, last] = [(low as number) + 1, (high as number) - 1]
    if (first > last) break
    const wanted = Math.round(STEPS * (near.quality + step * (far.quality - near.quality)))
    const quality = Math.min(last, Math.max(first, wanted)) / STEPS
    const tried = { quality, off: Math.log((await bppAt(quality)) / target) }
    const isSameSide = tried.off > 0 === near.off > 0
    const third = isSameSide ? near : far
    if (!isSameSide) far = near
    near = tried
    best = closer(best, tried)
    step = nextStep(near, far, third)
  }
  return best.quality
}

interface Tried {
  readonly quality: number
  /** Logarithm of the bits over the target. */
  readonly off: number
}

function closer(a: Tried, b: Tried): Tried {
  return Math.abs(a.off) <= Math.abs(b.off) ? a : b
}

/** Where to try next, 0 at `a` to 1 at `b`: Chandrupatla 1997, https://doi.org/10.1016/S0965-9978(96)00051-8 */
function nextStep(a: Tried, b: Tried, c: Tried): number {
  const xi = (a.quality - b.quality) / (c.quality - b.quality)
  const phi = (a.off - b.off) / (c.off - b.off)
  if (!(phi ** 2 < xi && (1 - phi) ** 2 < 1 - xi)) return 0.5
  const alpha = (c.quality - a.quality) / (b.quality - a.quality)
  return (
    (a.off / (b.off - a.off)) * (c.off / (b.off - c.off)) +
    alpha * (a.off / (c.off - a.off)) * (b.off / (c.off - b.off))
  )
}

/** Says the range so that its ends, as they are rounded, can be reached. */
function unreachable(target: number, least: number, most: number): ClericError {
  const digits = (value: number, round: (value: number) => number) => {
    const unit = 10 ** (Math.floor(Math.log10(value)) - 2)
    return Number((round(value / unit) * unit).toPrecision(3))
  }
  const [from, to] = [digits(least, Math.ceil), digits(most, Math.floor)]
  const range = from < to ? `between ${from} and ${to}` : `of about ${from}`
  const what = `Expected a target ${range} bits a pixel for this slide but received ${target}`
  return new ClericError('ERR_TARGET_UNREACHABLE', what)
}

/** 0 for a tile that isn't stored. */
async function jpegBytes(image: Image | undefined): Promise<number> {
  return image ? (await fromImage(image).jpeg(JPEG.measure).toBuffer()).length : 0
}

function weightOf(tiles: readonly { readonly weight: number }[]): number {
  return tiles.reduce((sum, { weight }) => sum + weight, 0)
}

/** At most `most` of the items, each from the middle of one of so many equal stretches. */
function evenly<T>(items: readonly T[], most: number): T[] {
  const count = Math.min(most, items.length)
  return Array.from({ length: count }, (_, i) => items[Math.floor(((i + 0.5) * items.length) / count)] as T)
}

/**
 * At most `most` of the numbers 0 .. count - 1: one from each of so many equal stretches, each time from another part
 * of it, as equal steps could keep to a few columns of the slide.
 */
function spread(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i)
  const part = (i: number) => (i * 0.618034) % 1
  return Array.from({ length: most }, (_, i) => Math.floor(((i + part(i)) * count) / most))
}
