/** How throughput grows: with the processor's threads, with tiles in flight, with the size of a slide. */
import { join } from 'node:path'
import { compressSlide, type Image } from 'cleric'
import { measure, throughput } from './clock.js'
import { attempt, megapixels, type SpeedContext, tissue } from './context.js'
import type { SpeedDevice } from './devices.js'
import { ObservedCodec } from './observed-codec.js'
import type { Direction } from './tiles.js'

export interface ThreadSpeed {
  readonly device: string
  readonly direction: Direction
  readonly threads: number
  /** One tile at a time, the best run. */
  readonly megapixelsPerSecond: number
}

export interface FlightSpeed {
  readonly device: string
  readonly direction: Direction
  readonly tilesInFlight: number
  readonly megapixelsPerSecond: number
  /** 0 to 1: share of the time during which the network ran. */
  readonly deviceBusy: number
}

export interface SlideSpeed {
  readonly device: string
  /** Width and height of the drawn slide, whose drawing counts as reading. */
  readonly side: number
  readonly tiles: number
  /** Compression, all levels. */
  readonly megapixelsPerSecond: number
}

export interface Scaling {
  /** Side of the tile. */
  readonly tile: number
  readonly threads: readonly ThreadSpeed[]
  readonly inFlight: readonly FlightSpeed[]
  readonly slides: readonly SlideSpeed[]
}

const MOST_IN_FLIGHT = 4
/** The best of so many that take turns, as what else the machine does hits some of them. */
const ROUNDS = 3

/**
 * @param sides of drawn slides
 * @param cores most threads
 * @param folder for archives, removed by the caller
 */
export async function benchScaling(
  context: SpeedContext,
  tile: number,
  sides: readonly number[],
  cores: number,
  folder: string,
): Promise<Scaling> {
  const image = await tissue(tile)
  const threads: ThreadSpeed[] = []
  const inFlight: FlightSpeed[] = []
  const slides: SlideSpeed[] = []
  for (const [i, device] of context.devices.entries()) {
    await attempt(context, device.id, 'scaling', async () => {
      if (device.kind === 'cpu') threads.push(...(await byThreads(context, device, image, cores)))
      inFlight.push(...(await byTilesInFlight(context, device, image)))
      for (const side of sides) slides.push(await bySlide(context, device, side, join(folder, `slide-${i}.cleric.tif`)))
    })
  }
  return { tile, threads, inFlight, slides }
}

/** 1, 2, 4, ... and all of them. */
export function threadCounts(cores: number): number[] {
  const counts: number[] = []
  for (let n = 1; n < cores; n *= 2) counts.push(n)
  return [...counts, cores]
}

async function byThreads(
  context: SpeedContext,
  device: SpeedDevice,
  image: Image,
  cores: number,
): Promise<ThreadSpeed[]> {
  const speeds: ThreadSpeed[] = []
  for (const threads of threadCounts(cores)) {
    context.note(`${threads} threads`)
    await withCalls(context, device, image, { threads }, async (calls) => {
      for (const [direction, call] of calls) {
        const { best } = await measure(call, context.seconds, context.signal)
        speeds.push({ device: device.id, direction, threads, megapixelsPerSecond: megapixels(image.width) / best })
      }
    })
  }
  return speeds
}

async function byTilesInFlight(context: SpeedContext, device: SpeedDevice, image: Image): Promise<FlightSpeed[]> {
  const speeds: FlightSpeed[] = []
  await withCalls(context, device, image, { tilesInFlight: MOST_IN_FLIGHT }, async (calls, codec) => {
    for (const [direction, call] of calls) {
      const best = new Map<number, FlightSpeed>()
      for (let round = 0; round < ROUNDS; round++) {
        for (let tilesInFlight = 1; tilesInFlight <= MOST_IN_FLIGHT; tilesInFlight++) {
          context.note(`${direction} with ${tilesInFlight} tiles in flight on ${device.id}`)
          // So that each has its executable.
          if (round === 0) await Promise.all(Array.from({ length: tilesInFlight }, call))
          codec.restart()
          const rate = await throughput(call, tilesInFlight, context.seconds / ROUNDS, context.signal)
          const { networkSeconds, seconds } = codec.observed
          const megapixelsPerSecond = rate * megapixels(image.width)
          if (megapixelsPerSecond <= (best.get(tilesInFlight)?.megapixelsPerSecond ?? 0)) continue
          const deviceBusy = networkSeconds / seconds
          best.set(tilesInFlight, { device: device.id, direction, tilesInFlight, megapixelsPerSecond, deviceBusy })
        }
      }
      speeds.push(...best.values())
    }
  })
  return speeds
}

async function bySlide(context: SpeedContext, device: SpeedDevice, side: number, output: string): Promise<SlideSpeed> {
  const { model, quality, signal } = context
  const backend = await device.open()
  const codec = new ObservedCodec(model, backend)
  try {
    context.note(`a slide of ${side} x ${side} on ${device.id}`)
    const slide = `synthetic:${side}x${side}`
    const { bytes, bpp, seconds, tiles } = await compressSlide(slide, output, {
      // What the network takes: a check would add g_s, and the codecs that are tried beside it.
      ...{ codec, quality, signal, check: 'none', overwrite: true },
    })
    return { device: device.id, side, tiles, megapixelsPerSecond: (8 * bytes) / bpp / 1e6 / seconds }
  } finally {
    codec.close()
    backend.close()
  }
}

type Calls = readonly (readonly [Direction, () => Promise<unknown>])[]

async function withCalls(
  { model, quality, signal }: SpeedContext,
  device: SpeedDevice,
  image: Image,
  { threads, tilesInFlight }: { readonly threads?: number; readonly tilesInFlight?: number },
  use: (calls: Calls, codec: ObservedCodec) => Promise<void>,
): Promise<void> {
  const backend = await device.open(threads)
  const codec = new ObservedCodec(model, backend, tilesInFlight)
  try {
    const payload = await codec.encodePayload(image, quality, signal)
    const size = { width: image.width, height: image.height, quality }
    await use(
      [
        ['encode', () => codec.encodePayload(image, quality, signal)],
        ['decode', () => codec.decodePayload(payload, size, signal)],
      ],
      codec,
    )
  } finally {
    codec.close()
    backend.close()
  }
}
