/**
 * How a tile is stored: by the network, or, where the network does badly, by a classic codec or as the slide had it. The
 * least bits + lambda * error wins, lambda being that of the quality, so that a quality means the same for all.
 *
 * On tissue the network is good, and classic codecs take as long as the network does to find their best setting. So a
 * tile is only offered to them if its error is above what its quality promises, or if a quick AVIF comes near; and where
 * tiles that look alike leave no doubt, only one way is tried. Nothing is left to chance or timing: the same tile after
 * the same tiles gives the same bytes.
 */
import { type Candidate, priced, type WantedTile } from './candidate.js'
import { ClassicSearch } from './classic-search.js'
import {
  BETTER,
  expectedClassic,
  expectedGain,
  type Look,
  lookOf,
  type SeenTile,
  seenTile,
  verdictOf,
} from './seen-tiles.js'
import type { EncodedTile } from './tile-codec.js'

/**
 * A quick AVIF that costs less than this, as a share of what the network does, makes the tile worth a search. AVIF's
 * best is 4 to 25 % better than its quick one: the less it is, the more the tile is like tissue.
 */
const NEAR = 1.12
/** What AVIF's best costs on tissue, as a share of its quick one. */
const USUAL_GAIN = 0.93
/** Where tiles that look alike say what AVIF's best costs, it must be less than this share of the network to be searched. */
const WORTH = 0.95
/** The search goes on if AVIF at its usual effort is this near. */
const STILL_NEAR = 1
/**
 * AVIF of the usual effort that costs less than this, as a share of the network, is worth more effort; where the network
 * wasn't tried, as a share of the quick AVIF.
 */
const [AHEAD, FAR_BELOW] = [0.93, 0.85]
/** What AVIF's best costs at least, as a share of its quick one: on what comes from a JPEG, and on few colours. */
const LEAST = { source: 0.92, palette: 0.85 } as const

/** A tile's best candidate, and what was learnt of it for the tiles after it; null if not both ways were tried. */
export interface Choice {
  readonly best: Candidate
  readonly seen: SeenTile | null
}

export interface ChoiceOptions {
  /** Tiles of the same slide that were stored before. */
  readonly seen?: readonly SeenTile[] | undefined
  /** Whether the slide's own JPEGs are kept whatever they cost. */
  readonly keepSource?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** The network's candidate. */
export function networkCandidate(tile: WantedTile, { payload, decoded }: EncodedTile): Candidate {
  return priced(tile, 'cleric', payload, decoded)
}

/**
 * The best candidate for a tile.
 *
 * @param encode makes the network's, if it is needed
 */
export async function choose(
  tile: WantedTile,
  encode: () => Promise<Candidate>,
  { seen = [], keepSource = false, signal }: ChoiceOptions = {},
): Promise<Choice> {
  const search = new ClassicSearch(tile, signal)
  const source = await search.source()
  if (source && keepSource) return { best: source, seen: null }
  const palette = await search.palette()
  const jpeg = await search.sampledJpeg()
  const look = (avif: Candidate | null): Look =>
    lookOf(jpeg.bits, jpeg.cost, avif?.cost ?? null, tile.shown.width * tile.shown.height)
  const free = [source, palette].filter((candidate) => candidate !== null)

  let network: Candidate | null = null
  // The slide's own JPEGs are out of the question where they are finer than wanted: a JPEG of these costs less.
  const mayBeTissue = free.every(({ kind, cost }) => kind === 'source' && cost > jpeg.cost)
  const isBest = (candidate: Candidate) =>
    !isPoor(tile, candidate) && free.every(({ cost }) => cost >= BETTER * candidate.cost)
  if (mayBeTissue && verdictOf(look(null), seen) === 'network') {
    network = await encode()
    const isAhead = BETTER * network.cost <= expectedClassic(look(null), seen) * jpeg.cost
    if (isAhead && isBest(network)) return { best: network, seen: null }
  }
  const quick = await search.quickAvif()
  const known = look(quick) as Look & { avif: number }
  // What takes no more as the JPEG that it was is full of that JPEG's traces, which the network can't make.
  const isOfJpeg = source !== null && source.cost < quick.cost
  if (!network && (isOfJpeg || verdictOf(known, seen) === 'classic')) {
    return { best: leastOf(await classics(search, tile, free, null)), seen: null }
  }
  network ??= await encode()
  const gain = expectedGain(known, seen)
  const isFar = quick.cost > NEAR * network.cost
  const isIdle = gain !== null && gain * quick.cost > WORTH * network.cost
  if (mayBeTissue && isBest(network) && (isFar || isIdle)) {
    const expected = (gain ?? USUAL_GAIN) * quick.cost
    return { best: network, seen: seenTile(known, network.cost, expected, quick.cost) }
  }
  const found = await classics(search, tile, free, network)
  const best = leastOf(found)
  // A tile that may not be stored as the network has it is so dear that any other is better.
  const isBetter = best.cost < (isPoor(tile, network) ? 1 : BETTER) * network.cost
  return { best: isBetter ? best : network, seen: seenTile(known, network.cost, best.cost, quick.cost) }
}

function isPoor(tile: WantedTile, { mse }: Candidate): boolean {
  return mse > Math.min(tile.promisedMse, tile.mostMse)
}

/**
 * Classic candidates, the best among them.
 *
 * @param free those that are known already
 * @param network null if it wasn't tried
 */
async function classics(
  search: ClassicSearch,
  tile: WantedTile,
  free: readonly Candidate[],
  network: Candidate | null,
): Promise<Candidate[]> {
  const found = [...free]
  const quick = await search.quickAvif()
  const isOutOfReach = (candidate: Candidate) => candidate.cost < LEAST[candidate.kind as 'source'] * quick.cost
  if (quick.mse <= tile.mostMse && free.some(isOutOfReach)) return found
  const isFlat = free.some(({ kind }) => kind === 'palette')
  if (isFlat || (await search.mayBeLossless())) found.push(await search.lossless())
  if (network && !isPoor(tile, network) && quick.cost > NEAR * network.cost) return [...found, quick]
  const usual = await search.usualAvif()
  const isNear = !network || isPoor(tile, network) || usual.cost < STILL_NEAR * network.cost
  if (!isNear) return [...found, usual]
  const isAhead = network ? usual.cost < AHEAD * network.cost : usual.cost < FAR_BELOW * quick.cost
  found.push(await search.bestAvif(isAhead))
  found.push(...(await search.bestJpegs(leastOf(found).cost)))
  // Without loss there is always one that may be stored.
  if (found.every(({ mse }) => mse > tile.mostMse)) found.push(await search.lossless())
  return found
}

/** The smallest candidate without loss. */
export async function bestLossless(tile: WantedTile, signal?: AbortSignal): Promise<Candidate> {
  const search = new ClassicSearch(tile, signal)
  const source = await search.source()
  const palette = await search.palette()
  const found = [source, palette].filter((candidate) => candidate !== null)
  // Pixels that were a JPEG take several times its bytes in any other form.
  return leastOf(source ? found : [...found, await search.lossless()])
}

/** The first of the cheapest. */
function leastOf(candidates: readonly Candidate[]): Candidate {
  return candidates.reduce((best, candidate) => (candidate.cost < best.cost ? candidate : best))
}
