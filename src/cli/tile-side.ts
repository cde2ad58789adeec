import { InvalidArgumentError } from 'commander'
import { MAX_TILE_SIDE } from '../codec/bitstream.js'
import { TILE_MULTIPLE } from '../tiff/tile-index.js'
import { integerFrom } from './quantities.js'

/** Parses an option's value as the side of a tile. */
export function tileSide(text: string): number {
  const side = integerFrom(TILE_MULTIPLE, MAX_TILE_SIDE)(text)
  if (side % TILE_MULTIPLE !== 0) throw new InvalidArgumentError(`Expected a multiple of ${TILE_MULTIPLE}.`)
  return side
}
