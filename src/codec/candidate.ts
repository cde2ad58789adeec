/** A tile that is to be stored, and a way to store it. */
import type { Image, Size } from '../image/image.js'
import { meanSquaredError } from '../metrics/psnr.js'
import type { PayloadKind } from './bitstream.js'
import { costOf } from './rate.js'

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
  /** The stream of the slide's own JPEGs (`source-tiles.ts`); null if there are none. */
  readonly source: Uint8Array | null
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

export function priced(tile: WantedTile, kind: PayloadKind, payload: Uint8Array, decoded: Image): Candidate {
  const mse = meanSquaredError(tile.image, decoded, tile.shown)
  const excess = mse > tile.mostMse ? FORBIDDEN * mse : 0
  return { kind, payload, mse, cost: excess + costOf(payload.length, mse, tile.shown, tile.quality) }
}
