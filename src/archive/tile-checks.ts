/**
 * What an archive knows of how near its tiles come to the slide (docs/format.md, ClericTileChecks): two bytes a tile,
 * its PSNR and what stores it.
 */
import { kindOfNumber, PAYLOAD_KINDS, type PayloadKind } from '../codec/bitstream.js'
import type { TileIndex, TilePlace } from '../tiff/tile-index.js'

/** How near a tile comes to its image. */
export interface TileCheck {
  /** dB, rounded down to quarters, from 0.25 to 63.5; Infinity if it comes back unchanged. */
  readonly psnr: number
  /** What stores it; null for a codec that is later than this program. */
  readonly codec: PayloadKind | null
}

export interface CheckSummary {
  /** Tiles that are stored and whose error is known. */
  readonly tiles: number
  /** The least of their PSNR, what 1 % and 10 % of them don't exceed, and the median. */
  readonly psnr: { readonly least: number; readonly p1: number; readonly p10: number; readonly p50: number }
  /** Those of the least PSNR, the worst first. */
  readonly worst: readonly (TilePlace & TileCheck)[]
  /** Tiles by what stores them; codecs that store none are left out. */
  readonly codecs: Readonly<Partial<Record<PayloadKind | 'unknown', number>>>
}

const STEPS = 4
const [LEAST, MOST, UNCHANGED] = [1, 254, 255]
/** Places that a summary names. */
const WORST = 5

/** The two bytes of a tile. */
export function encodeCheck({ psnr, codec }: { readonly psnr: number; readonly codec: PayloadKind }): Uint8Array {
  const rounded = Math.min(MOST, Math.max(LEAST, Math.floor(STEPS * psnr)))
  return Uint8Array.of(psnr === Number.POSITIVE_INFINITY ? UNCHANGED : rounded, PAYLOAD_KINDS[codec])
}

/** The check of tile `at`; null if it isn't known. */
export function decodeCheck(checks: Uint8Array, at: number): TileCheck | null {
  const byte = checks[2 * at] as number
  if (byte < LEAST) return null
  const psnr = byte === UNCHANGED ? Number.POSITIVE_INFINITY : byte / STEPS
  return { psnr, codec: kindOfNumber(checks[2 * at + 1] as number) ?? null }
}

/** Sums up the checks of all tiles of some levels; null if none was checked. */
export function summarise(indexes: readonly TileIndex[]): CheckSummary | null {
  const counts = new Uint32Array(256)
  const codecs: Partial<Record<PayloadKind | 'unknown', number>> = {}
  let worst: (TilePlace & TileCheck)[] = []
  let tiles = 0
  for (const [level, { checks, columns, length }] of indexes.entries()) {
    for (let at = 0; at < length.length; at++) {
      const check = length[at] === 0 ? null : decodeCheck(checks, at)
      if (!check) continue
      tiles++
      const byte = checks[2 * at] as number
      counts[byte] = (counts[byte] as number) + 1
      const codec = check.codec ?? 'unknown'
      codecs[codec] = (codecs[codec] ?? 0) + 1
      if (worst.length === WORST && check.psnr >= (worst.at(-1) as TileCheck).psnr) continue
      // Sorting is stable: of equal ones the first stays first.
      worst = [...worst, { level, column: at % columns, row: Math.floor(at / columns), ...check }]
        .sort((a, b) => a.psnr - b.psnr || 0)
        .slice(0, WORST)
    }
  }
  if (tiles === 0) return null
  const percentile = (share: number) => {
    let left = Math.max(1, Math.ceil(share * tiles))
    const byte = counts.findIndex((count) => {
      left -= count
      return left <= 0
    })
    return (decodeCheck(Uint8Array.of(byte, 0), 0) as TileCheck).psnr
  }
  const psnr = { least: percentile(0), p1: percentile(0.01), p10: percentile(0.1), p50: percentile(0.5) }
  return { tiles, psnr, worst, codecs }
}
