/**
 * What was learnt from the tiles of a slide that were stored before: where those that look alike were all stored by the
 * network, or were all better off by far with classic codecs, the next one that looks alike need not try the other way.
 *
 * Tiles look alike if a plain JPEG and a quick AVIF cost about as much for them. All is in whole numbers, so that what
 * is learnt can be written down and the same decisions be made of it by a run that is resumed.
 */
import { type Prediction, predict } from './prediction.js'

/** How a tile looks to classic codecs. */
export interface Look {
  /** 16 times the binary logarithm of what a plain JPEG costs a pixel, its bits and its error. */
  readonly jpeg: number
  /** How much of that is bits, in 64ths. */
  readonly bits: number
  /** 128 times the binary logarithm of what a quick AVIF costs, over the JPEG; null if it wasn't tried. */
  readonly avif: number | null
}

/** A tile that was tried both ways. */
export interface SeenTile extends Look {
  readonly avif: number
  /** 128 times the binary logarithm of what the network costs, over the best classic codec. */
  readonly network: number
  /** 128 times the binary logarithm of what the best classic codec costs, over the quick AVIF. */
  readonly gain: number
}

/** Numbers of a seen tile, and bytes that each takes. */
const FIELDS = ['jpeg', 'bits', 'avif', 'network', 'gain'] as const
export const SEEN_BYTES = 2 * FIELDS.length
/** What is kept of a tile of which not both are known. */
const UNSEEN = new Uint8Array(SEEN_BYTES)

const [JPEG_UNIT, BITS_UNIT, UNIT] = [16, 64, 128]
/** Costs that differ by less than these are alike: a factor of 1.5, an eighth, a factor of 1.1. */
const [JPEG_NEAR, BITS_NEAR, AVIF_NEAR] = [JPEG_UNIT * Math.log2(1.5), BITS_UNIT / 8, UNIT * Math.log2(1.1)]
/** By the JPEG alone bits must be as near as this: what AVIF makes of the tile isn't known. */
const BITS_NEARER = BITS_UNIT / 16
/** Alike tiles that must agree. */
const ENOUGH = 3
/**
 * Where a prediction from several tiles is to be had, these may be less alike: costs by factors of 2.8 and 1.4, bits by
 * three sixteenths.
 */
const [JPEG_RANGE, BITS_RANGE, AVIF_RANGE] = [1.5 * JPEG_UNIT, (3 * BITS_UNIT) / 16, 60]
const ENOUGH_TO_PREDICT = 8
/**
 * How many standard deviations the network must be predicted behind, not to be tried. Few tiles may agree by chance: on
 * tissue it scatters by 3 % whatever they say.
 */
const [CERTAIN, LEAST_DEVIATION] = [1.5, UNIT * Math.log2(1.03)]
/**
 * What a classic codec must cost at most, as a share of the network, to be taken: tissue isn't to change codec from tile
 * to tile.
 */
export const BETTER = 0.98
/**
 * Up to what the network's cost settles it for the network in each of them, and from what on for classic codecs. On
 * tissue both cost the same within a few per cent, and trying AVIF takes as long as half of the network: so as long as
 * the network was always taken, it is taken.
 */
const SETTLES = { network: -UNIT * Math.log2(BETTER), classic: UNIT * Math.log2(1.05) } as const

/** @param jpegBits bits of the plain JPEG; costs are bits + lambda * error */
export function lookOf(jpegBits: number, jpegCost: number, avifCost: number | null, pixels: number): Look {
  return {
    jpeg: clamp(JPEG_UNIT * Math.log2(jpegCost / pixels)),
    bits: clamp((BITS_UNIT * jpegBits) / jpegCost),
    avif: avifCost === null ? null : clamp(UNIT * Math.log2(avifCost / jpegCost)),
  }
}

/**
 * @param classicCost of the best classic codec, found or expected
 * @param quickCost of the quick AVIF
 */
export function seenTile(
  look: Look & { readonly avif: number },
  networkCost: number,
  classicCost: number,
  quickCost: number,
): SeenTile {
  const gain = clamp(UNIT * Math.log2(classicCost / quickCost))
  return { ...look, network: clamp(UNIT * Math.log2(networkCost / classicCost)), gain }
}

/**
 * What tiles that look alike settle it for; null if they don't agree, or are too few. By the JPEG alone, as long as the
 * AVIF wasn't tried.
 */
export function verdictOf(look: Look, seen: readonly SeenTile[]): 'network' | 'classic' | null {
  const { avif } = look
  const alike = seen.filter((tile) => isAlike(tile, look, avif === null ? BITS_NEARER : BITS_NEAR))
  const predicted = predictedNetwork(look, seen)
  if (alike.length >= ENOUGH && alike.every(({ network }) => network <= SETTLES.network)) {
    return predicted && predicted.mean > SETTLES.network ? null : 'network'
  }
  if (predicted && predicted.mean >= CERTAIN * predicted.deviation) return 'classic'
  const isClassic = ({ network }: SeenTile) => network >= SETTLES.classic
  // Where AVIF was less far ahead of the JPEG and yet better than the network, it is here too: on glass, and on drawings.
  const clearer =
    avif === null
      ? []
      : seen.filter((tile) => isAlike(tile, { ...look, avif: null }) && tile.avif > avif + AVIF_NEAR && isClassic(tile))
  return alike.length + clearer.length >= ENOUGH && alike.every(isClassic) ? 'classic' : null
}

/**
 * What the network probably costs over the best classic codec, as {@link SeenTile.network} has it. On one slide the network
 * costs about as much less than a JPEG in all tissue, so the further AVIF is ahead of the JPEG, the further it is of the
 * network. Null before an AVIF is tried, and if too few tiles are known.
 */
function predictedNetwork({ jpeg, bits, avif }: Look, seen: readonly SeenTile[]): Prediction | null {
  if (avif === null) return null
  const known = seen.map((tile) => ({
    differences: [(tile.jpeg - jpeg) / JPEG_RANGE, (tile.bits - bits) / BITS_RANGE, (tile.avif - avif) / AVIF_RANGE],
    value: tile.network,
  }))
  const near = known.filter(({ differences }) => differences.every((difference) => Math.abs(difference) <= 1))
  return near.length < ENOUGH_TO_PREDICT ? null : predict(near, LEAST_DEVIATION)
}

/** What the best classic codec costs on tiles that look alike, as a share of the quick AVIF; null if they are too few. */
export function expectedGain(look: Look & { readonly avif: number }, seen: readonly SeenTile[]): number | null {
  const alike = seen.filter((tile) => isAlike(tile, look))
  if (alike.length < ENOUGH) return null
  return 2 ** (alike.reduce((sum, { gain }) => sum + gain, 0) / alike.length / UNIT)
}

/**
 * What the best classic codec costs on tiles that look alike to a JPEG, as a share of what that costs; infinite if there are
 * none. Once the network's cost is known, this tells whether what they settled holds here, too.
 */
export function expectedClassic(look: Look, seen: readonly SeenTile[]): number {
  const alike = seen.filter((tile) => isAlike(tile, { ...look, avif: null }, BITS_NEARER))
  if (alike.length === 0) return Number.POSITIVE_INFINITY
  return 2 ** (alike.reduce((sum, { avif, gain }) => sum + avif + gain, 0) / alike.length / UNIT)
}

function isAlike(tile: SeenTile, { jpeg, bits, avif }: Look, bitsNear = BITS_NEAR): boolean {
  return (
    Math.abs(tile.jpeg - jpeg) <= JPEG_NEAR &&
    Math.abs(tile.bits - bits) <= bitsNear &&
    (avif === null || Math.abs(tile.avif - avif) <= AVIF_NEAR)
  )
}

/** As little-endian int16. Zeros stand for a tile that isn't seen: no JPEG costs one bit a pixel with no bits. */
export function encodeSeen(tile: SeenTile | null): Uint8Array {
  if (!tile) return UNSEEN
  const bytes = new Uint8Array(SEEN_BYTES)
  const view = new DataView(bytes.buffer)
  for (const [i, field] of FIELDS.entries()) view.setInt16(2 * i, tile[field], true)
  return bytes
}

export function decodeSeen(bytes: Uint8Array): SeenTile | null {
  if (bytes.every((byte) => byte === 0)) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const field = (name: (typeof FIELDS)[number]) => view.getInt16(2 * FIELDS.indexOf(name), true)
  return {
    jpeg: field('jpeg'),
    bits: field('bits'),
    avif: field('avif'),
    network: field('network'),
    gain: field('gain'),
  }
}

function clamp(value: number): number {
  return Math.max(-32768, Math.min(32767, Math.round(value)))
}
