/** The search for a tile's best classic candidates, which are encoded no more often than it takes. */
import { crc32c } from '../entropy/crc32c.js'
import { throwIfAborted } from '../errors.js'
import { cropImage, type Image } from '../image/image.js'
import { meanSquaredError } from '../metrics/psnr.js'
import { writePayload } from './bitstream.js'
import { type Candidate, priced, type WantedTile } from './candidate.js'
import { type ClassicKind, decodeClassic } from './classic.js'
import { encodeLossless, encodeLossy, type LossyKind, type LossyOptions } from './classic-encoder.js'
import { encodePalette } from './palette.js'
import { costOf } from './rate.js'

/**
 * AVIF's efforts: to see how near it comes, to store, and to store what gains by it. On tissue they take a tenth, one and
 * four times as long as the second, and the last one gains 2 to 3 %; on drawings and edges it gains 5 to 10 %.
 */
const [QUICK, USUAL, THOROUGH] = [0, 3, 4]
/** Where the usual effort costs less than this, as a share of the quick one, more may gain as much again. */
const GAINS_BY_EFFORT = 0.92
/** How far from the usual quality others are tried, and what a step must gain at least. */
const [STEP, GAIN] = [9, 0.01]
/** Qualities of AVIF tried at most beyond the one found, if there it has more error than may be. */
const MORE = 8
/** A JPEG at a middling setting that is this near to AVIF makes JPEG worth a search of its own; a plain one, a look. */
const [JPEG_NEAR, PLAIN_NEAR] = [1.12, 1.4]
/** One at its best setting that is as near as this may come from the very pixels of a JPEG. */
const JPEG_ORIGIN = 1.05
/** Qualities of the JPEGs that slides are made of. */
const SOURCE_JPEGS = { from: 60, to: 98 }
/** Side of the part on which they are tried first, and the error that tells the right one. */
const [PART, UNCHANGED_MSE] = [64, 1]
/**
 * A tile is smooth if a quick AVIF takes fewer bits a pixel than this, its head of so many bytes aside: a form without loss
 * may then be the smallest.
 */
const [FEW_BITS, AVIF_HEAD] = [0.5, 284]
/** So may it be where this share of the pixels are as their left neighbour. */
const FLAT = 0.25

/** Side of a JPEG's blocks. Of so many rows of them one is in a sample. About what a JPEG's tables and markers take. */
const [BLOCK, SAMPLED_OF, JPEG_HEAD] = [8, 4, 400]

/** About what a candidate takes and costs. */
export interface Sampled {
  readonly bits: number
  readonly cost: number
}

/** Each candidate is decoded as a reader will decode it. */
export class ClassicSearch {
  readonly #tile: WantedTile
  readonly #signal: AbortSignal | undefined
  readonly #known = new Map<string, Candidate>()
  /** Where the least cost is on tissue, nearly. */
  readonly #start: Readonly<Record<LossyKind, number>>

  constructor(tile: WantedTile, signal: AbortSignal | undefined) {
    this.#tile = tile
    this.#signal = signal
    const { quality } = tile
    this.#start = {
      // Beyond it AVIF's bits gain little.
      avif: Math.min(85, Math.round(25 + 0.62 * quality)),
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

  /** The slide's own JPEGs, if they show the very pixels of the tile; else null. */
  async source(): Promise<Candidate | null> {
    const { source } = this.#tile
    if (!source) return null
    throwIfAborted(this.#signal)
    // What a decoder has doubts about isn't kept.
    const candidate = await this.#candidate('source', source).catch((error: unknown) => {
      if ((error as { code?: unknown }).code === 'ERR_CORRUPT_TILE') return null
      throw error
    })
    return candidate?.mse === 0 ? candidate : null
  }

  /** A JPEG at a middling setting. */
  plainJpeg(): Promise<Candidate> {
    return this.#lossy('jpeg', this.#start.jpeg, { plain: true })
  }

  /**
   * What {@link plainJpeg} costs, told from a quarter of the image: on tissue to 2 %, in a third of the time. Every tile
   * is looked at this way, and most tiles of most slides no further.
   */
  async sampledJpeg(): Promise<Sampled> {
    throwIfAborted(this.#signal)
    const { image, shown, quality } = this.#tile
    const sample = sampleOf(image)
    const stream = await encodeLossy('jpeg', sample, this.#start.jpeg, { plain: true })
    const decoded = await decodeClassic('jpeg', stream, sample)
    const mse = meanSquaredError(sample, decoded, { width: shown.width, height: sampledRows(shown.height) })
    const whole = JPEG_HEAD + ((stream.length - JPEG_HEAD) * image.height) / sample.height
    // The head of a sample of one colour is smaller, but the whole takes no less than a part of it.
    const bytes = Math.max(stream.length, whole)
    return { bits: 8 * bytes, cost: costOf(bytes, mse, shown, quality) }
  }

  /** An AVIF at a middling setting, of the least effort. */
  quickAvif(): Promise<Candidate> {
    return this.#lossy('avif', this.#start.avif, { effort: QUICK })
  }

  /** Whether a form without loss may be the smallest. */
  async mayBeLossless(): Promise<boolean> {
    return (await this.#isSmooth()) || isFlat(this.#tile.image)
  }

  /** AVIF at its best, of the usual effort. */
  async usualAvif(): Promise<Candidate> {
    return this.#lossy('avif', await this.#bestAvifQuality(), { effort: USUAL })
  }

  /**
   * AVIF with more effort where that pays.
   *
   * @param isAhead whether the tile is better off with AVIF by more than effort gains on tissue
   */
  async bestAvif(isAhead: boolean): Promise<Candidate> {
    const quality = await this.#bestAvifQuality()
    const [quick, usual] = [await this.#lossy('avif', quality, { effort: QUICK }), await this.usualAvif()]
    // A smooth tile takes little time whatever the effort, which may yet gain a tenth.
    const needsEffort = (await this.#isSmooth()) || (isAhead && usual.cost < GAINS_BY_EFFORT * quick.cost)
    const effort = needsEffort || usual.mse > this.#tile.mostMse ? THOROUGH : USUAL
    for (let more = 0; ; more++) {
      const candidate = await this.#lossy('avif', quality + more, { effort })
      const isAllowed = candidate.mse <= this.#tile.mostMse
      if (isAllowed || more === MORE || quality + more === 100) return candidate
    }
  }

  /** The best of mozjpeg's, and of plain ones, if any may be near that cost. */
  async bestJpegs(cost: number): Promise<Candidate[]> {
    const needsLess = (candidate: Candidate) => candidate.mse > this.#tile.mostMse
    const plain = await this.plainJpeg()
    if (plain.cost > PLAIN_NEAR * cost && !needsLess(plain)) return []
    const middling = await this.#lossy('jpeg', this.#start.jpeg)
    if (middling.cost > JPEG_NEAR * cost && !needsLess(middling)) return []
    const best = await this.#lossy('jpeg', await this.#bestJpegQuality())
    if (best.cost > JPEG_ORIGIN * cost) return [best]
    return [best, ...(await this.#jpegsOfOrigin())]
  }

  /** Pixels that come from a JPEG are nearly free of loss in a JPEG of the same tables and no other. */
  async #jpegsOfOrigin(): Promise<Candidate[]> {
    const { image } = this.#tile
    // The top left is on the blocks' grid.
    const part = cropImage(image, Math.min(PART, image.width), Math.min(PART, image.height))
    const found: Candidate[] = []
    for (let quality = SOURCE_JPEGS.from; quality <= SOURCE_JPEGS.to; quality++) {
      throwIfAborted(this.#signal)
      const decoded = await decodeClassic('jpeg', await encodeLossy('jpeg', part, quality, { plain: true }), part)
      if (meanSquaredError(part, decoded, part) > UNCHANGED_MSE) continue
      found.push(await this.#lossy('jpeg', quality, { plain: true }))
    }
    return found
  }

  async #isSmooth(): Promise<boolean> {
    const { width, height } = this.#tile.image
    return 8 * ((await this.quickAvif()).payload.length - AVIF_HEAD) < FEW_BITS * width * height
  }

  /** By the quick effort: that of least cost has it at others too, nearly. */
  async #bestAvifQuality(): Promise<number> {
    // Below a floor the cost has a cliff, whose edge is worth finding; on what isn't smooth the start is near the best.
    const isBelow = (await this.quickAvif()).mse > this.#tile.mostMse
    const steps = isBelow ? [STEP, 3, 1] : (await this.#isSmooth()) ? [STEP] : []
    return this.#downhill('avif', { effort: QUICK }, steps, GAIN)
  }

  #bestJpegQuality(): Promise<number> {
    return this.#downhill('jpeg', {}, [8, 4, 2], 0)
  }

  /** The quality of least cost: from the start in steps, as long as each gains enough, and then in smaller ones. */
  async #downhill(kind: LossyKind, how: LossyOptions, steps: readonly number[], gain: number): Promise<number> {
    const costAt = async (quality: number) => (await this.#lossy(kind, quality, how)).cost
    let best = this.#start[kind]
    for (const step of steps) {
      const from = best
      for (const direction of [-step, step]) {
        for (;;) {
          const next = Math.max(1, Math.min(100, best + direction))
          if (next === best || (await costAt(next)) >= (1 - gain) * (await costAt(best))) break
          best = next
        }
        if (best !== from) break
      }
    }
    return best
  }

  async #lossy(kind: LossyKind, quality: number, how: LossyOptions = {}): Promise<Candidate> {
    const key = JSON.stringify([kind, quality, how])
    const known = this.#known.get(key)
    if (known) return known
    throwIfAborted(this.#signal)
    const candidate = await this.#candidate(kind, await encodeLossy(kind, this.#tile.image, quality, how))
    this.#known.set(key, candidate)
    return candidate
  }

  async #candidate(kind: ClassicKind, stream: Uint8Array): Promise<Candidate> {
    const decoded = await decodeClassic(kind, stream, this.#tile.image)
    return priced(this.#tile, kind, writePayload({ kind, crc: crc32c(stream), stream }), decoded)
  }
}

/** How many of the first `rows` rows are in a sample: a row of blocks of every {@link SAMPLED_OF}. */
function sampledRows(rows: number): number {
  const step = BLOCK * SAMPLED_OF
  return BLOCK * Math.floor(rows / step) + Math.min(BLOCK, rows % step)
}

/** Some rows of a JPEG's blocks, one below the other, evenly spread over the image. */
function sampleOf({ data, width, height }: Image): Image {
  const stride = 3 * width
  const sampled = new Uint8Array(stride * sampledRows(height))
  for (let from = 0, to = 0; to < sampled.length; from += stride * BLOCK * SAMPLED_OF, to += stride * BLOCK) {
    sampled.set(data.subarray(from, from + Math.min(stride * BLOCK, sampled.length - to)), to)
  }
  return { data: sampled, width, height: sampledRows(height), channels: 3 }
}

/** Whether many pixels are as their left neighbour. */
function isFlat({ data }: Image): boolean {
  let equal = 0
  for (let i = 3; i < data.length; i += 3) {
    if (data[i] === data[i - 3] && data[i + 1] === data[i - 2] && data[i + 2] === data[i - 1]) equal++
  }
  return equal >= (FLAT * data.length) / 3
}
