/**
 * Whether a GPU computes the entropy model's integers as every other device does. WGSL promises it, and our kernels ask for
 * nothing else; but drivers compile them, and one that erred was met (integer_layer_norm.wgsl). What such a GPU encodes
 * decodes nowhere else, which nobody must find out years later.
 */
import { openCpu } from '../cpu/backend.js'
import { CorruptDataError } from '../errors.js'
import type { Image } from '../image/image.js'
import { hash } from '../image/noise.js'
import type { Model } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import { TileCodec } from './tile-codec.js'

/** Of the probe: 8 x 8 latents of every channel. */
const side = 128
const quality = 50

/** Flat, striped, shaded and noisy quarters: symbols and scales of all sizes. */
function probe(): Image {
  const data = new Uint8Array(3 * side * side)
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const noise = hash(x, y, 1) >>> 24
      const quarter = 2 * Number(y >= side / 2) + Number(x >= side / 2)
      const value = [230, (x >> 2) & 1 ? 60 : 200, x + y, noise][quarter] as number
      data.set([value, value >> 1, 255 - (value >> 2)], 3 * (y * side + x))
    }
  }
  return { data, width: side, height: side, channels: 3 }
}

/**
 * Encodes a small tile on `backend` and decodes it on the processor, whose checksum tells every difference.
 *
 * @throws what encoding throws, ERR_ADDON_MISSING, ERR_ABORTED
 */
export async function agreesWithProcessor(model: Model, backend: Backend, signal?: AbortSignal): Promise<boolean> {
  const image = probe()
  using processor = await openCpu()
  using own = new TileCodec(model, backend)
  using other = new TileCodec(model, processor)
  try {
    await other.decode(await own.encode(image, quality, signal), image, quality, signal)
    return true
  } catch (error) {
    if (error instanceof CorruptDataError && error.code === 'ERR_CORRUPT_TILE') return false
    throw error
  }
}
