/**
 * Whether a GPU computes the entropy model's integers as every other device does. WGSL promises it, and our kernels ask
 * for nothing else; but drivers compile them, and one driver is known that got an integer wrong
 * (integer_layer_norm.wgsl). Tiles that such a GPU encodes can't be decoded anywhere else, which must not come out
 * years later.
 */
import { openCpu } from '../cpu/backend.js'
import { CorruptDataError } from '../errors.js'
import type { Model } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import { PROBE_QUALITY, probe } from './probe.js'
import { TileCodec } from './tile-codec.js'

/**
 * Encodes a small tile on `backend` and decodes it on the processor, where the tile's checksum shows every difference.
 *
 * @throws what encoding throws, ERR_ADDON_MISSING, ERR_ABORTED
 */
export async function agreesWithProcessor(model: Model, backend: Backend, signal?: AbortSignal): Promise<boolean> {
  const image = probe()
  using processor = await openCpu()
  using tested = new TileCodec(model, backend)
  using reference = new TileCodec(model, processor)
  try {
    await reference.decode(await tested.encode(image, PROBE_QUALITY, signal), image, PROBE_QUALITY, signal)
    return true
  } catch (error) {
    if (error instanceof CorruptDataError && error.code === 'ERR_CORRUPT_TILE') return false
    throw error
  }
}
