/** The paper's Table 3 for presets of ours: parameters, multiply-adds and latencies with each module on and off. */

import type { Image } from 'cleric'
import { type Model, TileCodec } from 'cleric/internal'
import { measure, type Timing } from './clock.js'
import { attempt, type SpeedContext, tissue } from './context.js'
import type { SpeedDevice } from './devices.js'
import { type Preset, presets } from './presets.js'
import { randomModel } from './random-model.js'
import { paperMultiplyAdds, parameterCount } from './work.js'

interface Switches {
  readonly ls: boolean
  readonly drb: boolean
  readonly r2b: boolean
}

/** As the paper prints them, measured on its GPU. */
export interface PaperRow {
  readonly parametersM: number
  /** The paper's "GFLOPs". */
  readonly gmacs: number
  readonly encodeSeconds: number
  readonly decodeSeconds: number
}

export interface Latency {
  readonly device: string
  readonly encode: Timing
  readonly decode: Timing
}

export interface Table3Row extends Switches {
  readonly preset: Preset
  readonly parameters: number
  /** Multiply-adds for 256 x 256 pixels, as the paper counts them. */
  readonly gmacs: number
  /** Times of a tile of `tile` x `tile`, with random weights, entropy coder included. */
  readonly latencies: readonly Latency[]
  /** What the paper has in this row; null for other presets. */
  readonly paper: PaperRow | null
}

export interface Table3 {
  /** Side of the tile that is timed. */
  readonly tile: number
  readonly rows: readonly Table3Row[]
}

const row = (ls: boolean, drb: boolean, r2b: boolean, figures: readonly [number, number, number, number]) => {
  const [parametersM, gmacs, encodeSeconds, decodeSeconds] = figures
  return { ls, drb, r2b, paper: { parametersM, gmacs, encodeSeconds, decodeSeconds } }
}

/** In the paper's order. */
export const PAPER_TABLE3: readonly (Switches & { readonly paper: PaperRow })[] = [
  row(false, false, false, [83.5, 75.44, 0.1534, 0.2147]),
  row(true, true, false, [85.87, 64.06, 0.1716, 0.2437]),
  row(true, false, true, [85.34, 91.85, 0.173, 0.2406]),
  row(true, false, false, [85.34, 81.18, 0.1686, 0.2367]),
  row(false, true, true, [83.94, 88.71, 0.1603, 0.227]),
  row(true, true, true, [85.87, 74.72, 0.1746, 0.2467]),
]

/** Side of the image that the paper counts multiply-adds for. */
const COUNTED_SIDE = 256

export async function benchTable3(context: SpeedContext, tile: number, names: readonly Preset[]): Promise<Table3> {
  const image = await tissue(tile)
  const rows: Table3Row[] = []
  for (const preset of names) {
    for (const { ls, drb, r2b, paper } of PAPER_TABLE3) {
      const config = { ...presets[preset], ls, drb, iters: r2b ? presets[preset].iters : 1 }
      const model = await randomModel(config)
      const latencies: Latency[] = []
      const what = `Table 3, ${preset}, LS ${sign(ls)}, DRB ${sign(drb)}, R2B ${sign(r2b)}`
      for (const device of context.devices) {
        context.note(`${what}, on ${device.id}`)
        const result = await attempt(context, device.id, what, () => latency(context, device, model, image))
        if (result) latencies.push(result)
      }
      rows.push({
        ...{ preset, ls, drb, r2b, latencies },
        parameters: parameterCount(config, model.parameters),
        gmacs: paperMultiplyAdds(config, model.parameters, COUNTED_SIDE) / 1e9,
        paper: preset === 'paper' ? paper : null,
      })
    }
  }
  return { tile, rows }
}

const sign = (on: boolean) => (on ? 'on' : 'off')

async function latency(
  { quality, seconds, signal }: SpeedContext,
  device: SpeedDevice,
  model: Model,
  image: Image,
): Promise<Latency> {
  const backend = await device.open()
  const codec = new TileCodec(model, backend)
  try {
    const payload = await codec.encode(image, quality, signal)
    const encode = await measure(() => codec.encode(image, quality, signal), seconds, signal, true)
    const decode = await measure(() => codec.decode(payload, image, quality, signal), seconds, signal)
    return { device: device.id, encode, decode }
  } finally {
    codec.close()
    backend.close()
  }
}
