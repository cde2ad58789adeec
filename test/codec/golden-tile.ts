/** The golden vectors of PyTorch's oracle as a tile and its latents: no device has a part in them. */
import { writePayload } from '../../src/codec/bitstream.js'
import { channelIndexes } from '../../src/codec/coding-order.js'
import { gainsAt } from '../../src/codec/gain.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { RansEncoder, RansTables } from '../../src/entropy/rans.js'
import type { Image } from '../../src/image/image.js'
import { LATENT_STEPS } from '../../src/network/graph.js'
import { gather, halfPositions } from '../../src/network/ports.js'
import { nanoGolden, nanoModel, rgbOf } from '../network/golden.js'

const model = await nanoModel()
const golden = nanoGolden()
const { M, Z, slices } = model.config
const [, height = 0, width = 0] = golden.get('x').shape

export const goldenImage: Image = { data: rgbOf(golden.get('x').data, height, width), width, height, channels: 3 }
export const goldenQuality = golden.quality

/** The symbols as a tile. */
export async function goldenPayload(): Promise<Uint8Array> {
  const encoder = new RansEncoder()
  let crc = 0
  const push = (symbols: Int16Array, indexes: Uint16Array, tables: RansTables) => {
    encoder.push(symbols, indexes, tables)
    crc = crc32c(new Uint8Array(symbols.buffer), crc)
  }
  const z = { channels: Z, height: height / 64, width: width / 64 }
  push(Int16Array.from(golden.get('z_hat').data), channelIndexes(z), new RansTables(model.zTables))
  const slice = { channels: M / slices, height: height / 16, width: width / 16 }
  for (let i = 0; i < slices; i++) {
    for (const half of ['anchor', 'nonAnchor'] as const) {
      const coded = (name: string) =>
        gather(Int16Array.from(golden.get(`${name}.${i}`).data), halfPositions(slice, half))
      push(coded('r'), Uint16Array.from(coded('index')), new RansTables(model.yTables))
    }
  }
  return writePayload({ kind: 'cleric', crc, stream: await encoder.finish() })
}

/** y_hat times the inverse gain, in float32. */
export function goldenLatents(): Float32Array {
  const yHat = Array.from({ length: slices }, (_, i) => [...golden.get(`y_hat.${i}`).data]).flat()
  const inverse = gainsAt(model, golden.quality)?.inverse as Float32Array
  const area = (height / 16) * (width / 16)
  return Float32Array.from(yHat, (v, i) => (v / LATENT_STEPS) * (inverse[Math.floor(i / area)] as number))
}
