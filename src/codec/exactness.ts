/**
 * Whether a GPU computes the entropy model's integers as every other device does. WGSL promises it, and our kernels ask
 * for nothing else; but drivers compile them, and one driver is known that got an integer wrong
 * (integer_layer_norm.wgsl). Tiles that such a GPU encodes can't be decoded anywhere else, which must not come out
 * years later.
 */
import { openCpu } from '../cpu/backend.js'
import { CorruptDataError } from '../errors.js'
import type { Image } from '../image/image.js'
import { hash } from '../image/noise.js'
import type { Model } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import { TileCodec } from './tile-codec.js'

/** Side of the probe image: it has 8 x 8 latents of every channel. */
const SIDE = 128
const QUALITY = 50

/** Flat, striped, shaded and noisy quarters: symbols and scales of all sizes. */
function probe(): Image {
  const data = new Uint8Array(3 * SIDE * SIDE)
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const noise = hash(x, y, 1) >>> 24
      const quarter = 2 * Number(y >= SIDE / 2) + Number(x >= SIDE / 2)
      const value = [230, (x >> 2) & 1 ? 60 : 200, x + y, noise][quarter] as number
      data.set([value, value >> 1, 255 - (value >> 2)], 3 * (y * SIDE + x))
    }
  }
  return { data, width: SIDE, height: SIDE, channels: 3 }
}

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
    await reference.decode(await tested.encode(image, QUALITY, signal), image, QUALITY, signal)
    return true
  } catch (error) {
    if (error instanceof CorruptDataError && error.code === 'ERR_CORRUPT_TILE') return false
    throw error
  }
}
