/**
 * Whether the browser's GPU computes the entropy model's integers as every other device does (`src/codec/exactness.ts` says
 * why it might not). There is no processor to compare with here, so the answer is known beforehand: a tile that one encoded.
 */
import { modelId } from '../codec/bitstream.js'
import { PROBE_QUALITY, PROBE_SIDE } from '../codec/probe.js'
import { TileCodec } from '../codec/tile-codec.js'
import { ClericError } from '../errors.js'
import type { Model } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import { PROBE_TILES } from './probe-tiles.js'

/**
 * Decodes the model's probe on `backend`: its checksum shows every difference. Models without one pass; there a wrong integer
 * makes tiles fail, as their symbols have checksums too.
 *
 * @param tiles payloads in base64, by the first 16 digits of the model's hash
 * @throws what decoding throws, ERR_ABORTED
 */
export async function decodesProbe(
  model: Model,
  backend: Backend,
  signal?: AbortSignal,
  tiles: Readonly<Record<string, string>> = PROBE_TILES,
): Promise<boolean> {
  const tile = tiles[modelId(model.hash)]
  if (tile === undefined) return true
  const payload = Uint8Array.from(atob(tile), (character) => character.charCodeAt(0))
  using codec = new TileCodec(model, backend)
  try {
    await codec.decode(payload, { width: PROBE_SIDE, height: PROBE_SIDE }, PROBE_QUALITY, signal)
    return true
  } catch (error) {
    if (error instanceof ClericError && error.code === 'ERR_CORRUPT_TILE') return false
    throw error
  }
}
