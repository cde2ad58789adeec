/** Tiles one after the other: megapixels a second by device and size, and how much of the device's peak that is. */
import { type Backend, decoderGraph, encoderGraph, HostClock, TileCodec, WebGpuBackend } from 'cleric/internal'
import { measure, type Timing } from './clock.js'
import { attempt, megapixels, type SpeedContext, tissue } from './context.js'
import { measurePeak, type Peak } from './kernel.js'
import { necessaryMultiplyAdds } from './work.js'

export type Direction = 'encode' | 'decode'

export interface TileSpeed {
  readonly device: string
  readonly tile: number
  readonly direction: Direction
  readonly seconds: Timing
  readonly megapixelsPerSecond: { readonly best: number; readonly median: number }
  /** Multiply-adds that the network can't do without, entropy coder and host not counted. */
  readonly gmacs: number
  /** Two operations a multiply-add, over the whole time of the median run. */
  readonly gflops: number
  /** 0 to 1: `gflops` over the device's peak. */
  readonly shareOfPeak: number
  /**
   * Milliseconds of JavaScript's thread, of the mean run: for recording the network's work, handing it over, moving
   * what goes in and comes out, and starting the entropy coder. null where a backend works on other threads.
   */
  readonly hostMilliseconds: number | null
  /** What the network is handed to a WebGPU device as: dispatches, and copies between textures; else null. */
  readonly dispatches: number | null
  /** Bytes of tensors that those read and write, a tensor once for each; else null. */
  readonly tensorBytes: number | null
}

export interface DevicePeak extends Peak {
  readonly device: string
}

/** The speed of work of so many multiply-adds on a tile. */
export function tileSpeed(
  facts: Pick<TileSpeed, 'device' | 'tile' | 'direction'>,
  seconds: Timing,
  multiplyAdds: number,
  peak: Peak,
  host: Pick<TileSpeed, 'hostMilliseconds' | 'dispatches' | 'tensorBytes'>,
): TileSpeed {
  const pixels = megapixels(facts.tile)
  const gflops = (2 * multiplyAdds) / seconds.median / 1e9
  return {
    ...facts,
    seconds,
    megapixelsPerSecond: { best: pixels / seconds.best, median: pixels / seconds.median },
    gmacs: multiplyAdds / 1e9,
    gflops,
    shareOfPeak: gflops / peak.gflops,
    ...host,
  }
}

export async function benchTiles(context: SpeedContext) {
  const peaks: DevicePeak[] = []
  const tiles: TileSpeed[] = []
  for (const device of context.devices) {
    await attempt(context, device.id, 'tiles', async () => {
      const backend = await device.open()
      const coding = new HostClock()
      const codec = new TileCodec(context.model, backend, (work) => coding.while(work))
      try {
        context.note(`peak of ${device.id}`)
        const isGpu = device.kind === 'webgpu' && !device.software
        const peak = await measurePeak(backend, context.seconds, isGpu ? 256 : 64)
        peaks.push({ device: device.id, ...peak })
        for (const tile of context.tiles) {
          const run = () => bothDirections(context, codec, { backend, coding }, device.id, tile, peak)
          tiles.push(...((await attempt(context, device.id, `tiles of ${tile}`, run)) ?? []))
        }
      } finally {
        codec.close()
        backend.close()
      }
    })
  }
  return { peaks, tiles }
}

async function bothDirections(
  { model, seconds, quality, signal, note }: SpeedContext,
  codec: TileCodec,
  { backend, coding }: { readonly backend: Backend; readonly coding: HostClock },
  device: string,
  tile: number,
  peak: Peak,
): Promise<TileSpeed[]> {
  const { config, parameters } = model
  const image = await tissue(tile)
  const payload = await codec.encode(image, quality, signal)
  const speeds: TileSpeed[] = []
  for (const [direction, call, { graph }] of [
    ['encode', () => codec.encode(image, quality, signal), encoderGraph(config, parameters, tile, tile)],
    ['decode', () => codec.decode(payload, image, quality, signal), decoderGraph(config, parameters, tile, tile)],
  ] as const) {
    note(`${direction} ${tile} x ${tile} on ${device}`)
    if (direction === 'decode') await call()
    const hostSeconds = () => (backend.hostSeconds === undefined ? null : backend.hostSeconds + coding.seconds)
    const before = hostSeconds()
    const time = await measure(call, seconds, signal, true)
    const after = hostSeconds()
    const hostMilliseconds = before === null || after === null ? null : (1000 * (after - before)) / time.runs
    const handed = backend instanceof WebGpuBackend ? backend.workOf(graph, parameters) : null
    const work = necessaryMultiplyAdds(graph, parameters)
    const host = { hostMilliseconds, dispatches: handed?.actions ?? null, tensorBytes: handed?.bytes ?? null }
    speeds.push(tileSpeed({ device, tile, direction }, time, work, peak, host))
  }
  return speeds
}
