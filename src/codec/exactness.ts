/**
 * Whether a GPU computes the entropy model's integers as every other device does. WGSL promises it, and our kernels ask
 * for nothing else; but drivers compile them, and one driver is known that got an integer wrong
 * (layer_norm.wgsl). Tiles that such a GPU encodes can't be decoded anywhere else, which must not come out
 * years later.
 */
import { openCpu } from '../cpu/backend.js'
import { CorruptDataError } from '../errors.js'
import type { Model } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import { PROBE_QUALITY, probe } from './probe.js'
import { TileCodec } from './tile-codec.js'

/**
 * Encodes a small tile on `backend`, alone and as each of a batch, whose kernels are compiled anew, and decodes it on the
 * processor, where the tile's checksum shows every difference.
 *
 * @throws what encoding throws, ERR_ADDON_MISSING, ERR_ABORTED
 */
export async function agreesWithProcessor(model: Model, backend: Backend, signal?: AbortSignal): Promise<boolean> {
  const image = probe()
  using processor = await openCpu()
  using tested = new TileCodec(model, backend)
  using reference = new TileCodec(model, processor)
  try {
    const encode = () => tested.encode(image, PROBE_QUALITY, signal)
    const alone = await encode()
    const { tilesTogether = 1 } = backend
    const together = tilesTogether > 1 ? await Promise.all(Array.from({ length: tilesTogether }, encode)) : []
    const isOther = (payload: Uint8Array) => payload.some((byte, i) => byte !== alone[i])
    for (const payload of [alone, ...together.filter(isOther)]) {
      await reference.decode(payload, image, PROBE_QUALITY, signal)
    }
    return true
  } catch (error) {
    if (error instanceof CorruptDataError && error.code === 'ERR_CORRUPT_TILE') return false
    throw error
  }
}
