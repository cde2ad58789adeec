/**
 * How a tile is stored: by the network, or, where the network does badly, by a classic codec. The least bits + lambda *
 * error wins, lambda being that of the quality, so that a quality means the same for all.
 *
 * On tissue the network is good, and classic codecs take as long as the network does to find their best setting. So a
 * tile is only offered to them if its error is above what its quality promises, or if a quick AVIF comes near. Nothing
 * is left to chance or timing: the same tile gives the same bytes.
 */
import { crc32c } from '../entropy/crc32c.js'
import { throwIfAborted } from '../errors.js'
import type { Image, Size } from '../image/image.js'
import { meanSquaredError } from '../metrics/psnr.js'
import { type PayloadKind, writePayload } from './bitstream.js'
import { type ClassicKind, decodeClassic } from './classic.js'
import { encodeLossless, encodeLossy, type LossyKind, type LossyOptions } from './classic-encoder.js'
import { encodePalette } from './palette.js'
import { costOf } from './rate.js'
import type { EncodedTile } from './tile-codec.js'

/** A tile that is to be stored. */
export interface WantedTile {
  readonly image: Image
  /** The part, from the top left, that is ever shown: at the edge of a level a tile reaches beyond it. */
  readonly shown: Size
  /** 0 to 100. */
  readonly quality: number
  /** The error above which the network does worse than on tissue, see `promise.ts`. */
  readonly promisedMse: number
  /** The error above which no tile may be; Infinity if any may. */
  readonly mostMse: number
}

/** One way to store a tile. */
export interface Candidate {
  readonly kind: PayloadKind
  readonly payload: Uint8Array
  /** Mean squared error of what is shown, of 8-bit values. */
  readonly mse: number
  /** Bits + lambda * error. A tile with more error than may be costs more than any other, and the more the worse. */
  readonly cost: number
}

/** Cost of a unit of error beyond what may be: more than all bits of a tile. */
const FORBIDDEN = 1e12

/**
 * A quick AVIF that costs less than this, as a share of what the network does, makes the tile worth a search. AVIF's
 * best is 2 to 25 % better than its quick one: the less it is, the more the tile is like tissue, where the network is
 * ahead, unless its rates are exhausted. Of all that was drawn and is no tissue the quick one is ahead.
 */
const NEAR = 1.06
/** The search goes on if AVIF at its usual effort is this near: more effort takes a few per cent more. */
const STILL_NEAR = 1.01
/** What a classic codec must cost at most, as a share of the network: tissue isn't to change codec from tile to tile. */
const BETTER = 0.98
/** Where the usual effort costs no less than this, as a share of the quick one, more effort is not worth its time. */
const NO_BETTER = 0.98
/** A JPEG at a middling setting that is this near to AVIF makes JPEG worth a search of its own. */
const JPEG_NEAR = 1.12
/** One at its best setting that is as near as this may come from the very pixels of a JPEG. */
const JPEG_ORIGIN = 1.05
/** A tile is smooth if a quick AVIF takes fewer bits a pixel than this: a form without loss may then be the smallest. */
const FEW_BITS = 0.5
/** So may it be where this share of the pixels are as their left neighbour. */
const FLAT = 0.25

/**
 * AVIF's efforts: to see whether it comes near, to search for a quality or store what gains nothing by more, and to
 * store. Each takes 3 times as long as the one before.
 */
const [QUICK, USUAL, THOROUGH] = [1, 3, 4]
/** How far a search goes from quality to quality at first, at last, and at last where little is at stake. */
const [FIRST_STEP, LAST_STEP, LARGE_STEP] = [8, 2, 4]
/** Qualities of AVIF tried at most beyond the one found, if at the stored effort it has more error than may be. */
const MORE = 8
/** Qualities of the JPEGs that slides are made of. */
const SOURCE_JPEGS = { from: 60, to: 98 }

/** The network's candidate. */
export function networkCandidate(tile: WantedTile, { payload, decoded }: EncodedTile): Candidate {
  return priced(tile, 'cleric', payload, decoded)
}

/** The best candidate for a tile, given the network's. */
export async function bestCandidate(tile: WantedTile, network: Candidate, signal?: AbortSignal): Promise<Candidate> {
  const search = new Search(tile, signal)
  const isPoor = network.mse > Math.min(tile.promisedMse, tile.mostMse)
  const palette = await search.palette()
  const quick = await search.lossy('avif', search.start.avif, { effort: QUICK })
  if (!isPoor && !palette && quick.cost > NEAR * network.cost) return network
  const usual = await search.lossy('avif', search.start.avif, { effort: USUAL })
  const isNear = isPoor || usual.cost < STILL_NEAR * network.cost
  if (!isNear && !palette) return network
  const found = palette ? [palette] : []
  // Without loss there is always one that may be stored.
  const isAny = palette !== null || tile.mostMse < Number.POSITIVE_INFINITY
  const isSmooth = 8 * quick.payload.length < FEW_BITS * tile.image.width * tile.image.height
  if (isAny || isSmooth || isFlat(tile.image)) found.push(await search.lossless())
  if (isNear) {
    // A smooth tile takes little time whatever the effort, which may yet gain a tenth.
    const needsEffort = isSmooth || usual.cost < NO_BETTER * quick.cost || usual.mse > tile.mostMse
    found.push(await search.bestAvif(needsEffort), ...(await search.bestJpegs(usual.cost)))
  }
  const best = leastOf(found)
  // A tile that may not be stored as the network has it is so dear that any other is better.
  return best.cost < (isPoor ? 1 : BETTER) * network.cost ? best : network
}

/** Whether many pixels are as their left neighbour. */
function isFlat({ data }: Image): boolean {
  let equal = 0
  for (let i = 3; i < data.length; i += 3) {
    if (data[i] === data[i - 3] && data[i + 1] === data[i - 2] && data[i + 2] === data[i - 1]) equal++
  }
  return equal >= (FLAT * data.length) / 3
}

/** The smallest candidate without loss. */
export async function bestLossless(tile: WantedTile, signal?: AbortSignal): Promise<Candidate> {
  const search = new Search(tile, signal)
  const palette = await search.palette()
  const webp = await search.lossless()
  return leastOf(palette ? [palette, webp] : [webp])
}

/** The first of the cheapest. */
function leastOf(candidates: readonly Candidate[]): Candidate {
  return candidates.reduce((best, candidate) => (candidate.cost < best.cost ? candidate : best))
}

function priced(tile: WantedTile, kind: PayloadKind, payload: Uint8Array, decoded: Image): Candidate {
  const mse = meanSquaredError(tile.image, decoded, tile.shown)
  const excess = mse > tile.mostMse ? FORBIDDEN * mse : 0
  return { kind, payload, mse, cost: excess + costOf(payload.length, mse, tile.shown, tile.quality) }
}

/** The classic candidates for one tile. Each is decoded as a reader will decode it. */
class Search {
  /** Where the least cost is on tissue, nearly. */
  readonly start: Readonly<Record<LossyKind, number>>
  readonly #tile: WantedTile
  readonly #signal: AbortSignal | undefined
  readonly #known = new Map<string, Candidate>()

  constructor(tile: WantedTile, signal: AbortSignal | undefined) {
    this.#tile = tile
    this.#signal = signal
    const { quality } = tile
    this.start = {
      avif: Math.round(20 + 0.62 * quality),
      jpeg: Math.round(25 + 0.9 * quality - 0.002 * quality ** 2),
    }
  }

  /** Null for a tile of more than 256 colours. */
  async palette(): Promise<Candidate | null> {
    const stream = await encodePalette(this.#tile.image)
    return stream && this.#candidate('palette', stream)
  }

  async lossless(): Promise<Candidate> {
    throwIfAborted(this.#signal)
    return this.#candidate('webp', await encodeLossless(this.#tile.image))
  }

  async lossy(kind: LossyKind, quality: number, how: LossyOptions = {}): Promise<Candidate> {
    const key = JSON.stringify([kind, quality, how])
    const known = this.#known.get(key)
    if (known) return known
    throwIfAborted(this.#signal)
    const candidate = await this.#candidate(kind, await encodeLossy(kind, this.#tile.image, quality, how))
    this.#known.set(key, candidate)
    return candidate
  }

  /** @param needsEffort whether more effort than for a search pays */
  async bestAvif(needsEffort: boolean): Promise<Candidate> {
    const quality = needsEffort
      ? await this.#bestQuality('avif', { effort: USUAL }, LAST_STEP)
      : await this.#bestQuality('avif', { effort: QUICK }, LARGE_STEP)
    const effort = needsEffort ? THOROUGH : USUAL
    for (let more = 0; ; more++) {
      const candidate = await this.lossy('avif', quality + more, { effort })
      const isAllowed = candidate.mse <= this.#tile.mostMse
      if (isAllowed || more === MORE || quality + more === 100) return candidate
    }
  }

  /** The best of mozjpeg's, and of plain ones, if any may be near that cost. */
  async bestJpegs(cost: number): Promise<Candidate[]> {
    const middling = await this.lossy('jpeg', this.start.jpeg)
    if (middling.cost > JPEG_NEAR * cost && middling.mse <= this.#tile.mostMse) return []
    const found = [await this.lossy('jpeg', await this.#bestQuality('jpeg', {}, LAST_STEP))]
    if ((found[0] as Candidate).cost > JPEG_ORIGIN * cost) return found
    // Pixels that come from a JPEG are nearly free of loss in a JPEG of the same tables and no other.
    for (let quality = SOURCE_JPEGS.from; quality <= SOURCE_JPEGS.to; quality++) {
      found.push(await this.lossy('jpeg', quality, { plain: true }))
    }
    return found
  }

  /** The quality of least cost: downhill from the start in steps, which are halved where no neighbour is lower. */
  async #bestQuality(kind: LossyKind, how: LossyOptions, last: number): Promise<number> {
    let best = this.start[kind]
    for (let step = FIRST_STEP; step >= last; step /= 2) {
      for (;;) {
        const around = [best, best - step, best + step].filter((quality) => quality >= 1 && quality <= 100)
        const costs = new Map<number, number>()
        for (const quality of around) costs.set(quality, (await this.lossy(kind, quality, how)).cost)
        const least = around.reduce((a, b) => ((costs.get(b) as number) < (costs.get(a) as number) ? b : a))
        if (least === best) break
        best = least
      }
    }
    return best
  }

  async #candidate(kind: ClassicKind, stream: Uint8Array): Promise<Candidate> {
    const decoded = await decodeClassic(kind, stream, this.#tile.image)
    return priced(this.#tile, kind, writePayload({ kind, crc: crc32c(stream), stream }), decoded)
  }
}
