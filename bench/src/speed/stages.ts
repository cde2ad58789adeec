/** A slide to an archive and back: how long reading, network, entropy coder and writing are at work. They overlap. */
import { join } from 'node:path'
import { ClericError, compressSlide, exportSlide, openSlide, TileCache } from 'cleric'
import { Archive, BusyClock, lend, openBytes, readHead } from 'cleric/internal'
import { attempt, type SpeedContext } from './context.js'
import { type NetworkPart, type Observed, ObservedCodec } from './observed-codec.js'
import type { Direction } from './tiles.js'

/** Seconds during which each was at work; together more than the whole where they overlap. */
export interface StageSpeed {
  readonly device: string
  readonly direction: Direction
  /** Pixels of all levels of the slide. */
  readonly megapixels: number
  readonly seconds: number
  readonly megapixelsPerSecond: number
  readonly read: number
  readonly network: number
  /** Shares of the network's time; null where the device doesn't tell. */
  readonly parts: Readonly<Record<NetworkPart, number>> | null
  readonly entropyCoder: number
  /** null: pixels are decoded to memory. */
  readonly write: number | null
  /** 0 to 1: share of the time during which the device ran the network. */
  readonly deviceBusy: number
}

export interface StagesResult {
  /** What was compressed. */
  readonly slide: string
  readonly stages: readonly StageSpeed[]
}

/**
 * @param slide null: a drawn one of `side` x `side`, made a tiled JPEG first where OpenSlide is there, as scanners have it
 * @param folder for what is written, removed by the caller
 */
export async function benchStages(
  context: SpeedContext,
  slide: string | null,
  side: number,
  folder: string,
): Promise<StagesResult> {
  const source = slide ?? (await drawnSlide(side, folder, context))
  const stages: StageSpeed[] = []
  for (const [i, device] of context.devices.entries()) {
    await attempt(context, device.id, 'stages', async () => {
      const backend = await device.open()
      const codec = new ObservedCodec(context.model, backend)
      const archive = join(folder, `stages-${i}.cleric.tif`)
      try {
        context.note(`compress ${source} on ${device.id}`)
        await warmUp(codec, context)
        // A GPU compiles for each size of tile and of batch: longer than it then takes for a slide of some thousand pixels.
        if (device.kind === 'webgpu' && !device.software) {
          await compressed(device.id, source, archive, codec, context)
          await decoded(device.id, archive, codec, context)
        }
        stages.push(await compressed(device.id, source, archive, codec, context))
        context.note(`decode ${source} on ${device.id}`)
        stages.push(await decoded(device.id, archive, codec, context))
      } finally {
        codec.close()
        backend.close()
      }
    })
  }
  return { slide: slide ?? `synthetic:${side}x${side}${source.endsWith('.tif') ? ' as a tiled JPEG' : ''}`, stages }
}

/** Compiles what a run would compile at its first tile. */
async function warmUp(codec: ObservedCodec, { quality, signal }: SpeedContext): Promise<void> {
  const side = 512
  const image = { data: new Uint8Array(3 * side * side).fill(200), width: side, height: side, channels: 3 as const }
  const payload = await codec.encodePayload(image, quality, signal)
  await codec.decodePayload(payload, { width: side, height: side, quality }, signal)
}

async function drawnSlide(side: number, folder: string, { signal, note }: SpeedContext): Promise<string> {
  const drawn = `synthetic:${side}x${side}`
  note(`draw a slide of ${side} x ${side}`)
  const file = join(folder, `drawn-${side}.tif`)
  try {
    await exportSlide(drawn, file, { compression: 'jpeg', signal })
    ;(await openSlide(file)).close()
    return file
  } catch (error) {
    if (error instanceof ClericError && error.code === 'ERR_OPENSLIDE_MISSING') return drawn
    throw error
  }
}

async function compressed(
  device: string,
  slide: string,
  output: string,
  codec: ObservedCodec,
  { quality, signal }: SpeedContext,
): Promise<StageSpeed> {
  codec.restart()
  const result = await compressSlide(slide, output, { codec, quality, signal, check: 'none', overwrite: true })
  const { bytes, bpp, seconds, readSeconds, writeSeconds } = result
  const pixels = (8 * bytes) / bpp / 1e6
  return stageSpeed({ device, direction: 'encode' }, codec.observed, pixels, seconds, readSeconds, writeSeconds)
}

async function decoded(
  device: string,
  file: string,
  codec: ObservedCodec,
  { signal }: SpeedContext,
): Promise<StageSpeed> {
  const bytes = await openBytes(file, signal)
  const clock = new BusyClock()
  const { name, size, version } = bytes
  const timed = {
    ...{ name, size, version },
    read: (offset: number, length: number, stop?: AbortSignal) => clock.while(() => bytes.read(offset, length, stop)),
    close: () => bytes.close(),
  }
  using archive = new Archive(timed, await readHead(timed, signal), { codec }, new TileCache(0))
  codec.restart()
  const { seconds: start } = codec.observed
  using loan = await lend({ codec })
  const { pixels } = await readAllTiles(archive, loan.tilesInFlight, signal)
  const { observed } = codec
  const facts = { device, direction: 'decode' } as const
  return stageSpeed(facts, observed, pixels / 1e6, observed.seconds - start, clock.seconds, null)
}

/** Reads every tile of every level once, so many at a time; gives how many they are and have pixels. */
export async function readAllTiles(
  archive: Archive,
  inFlight: number,
  signal?: AbortSignal,
): Promise<{ readonly tiles: number; readonly pixels: number }> {
  const places = archive.levels.flatMap(({ columns, rows }, level) =>
    Array.from({ length: columns * rows }, (_, at) => [level, at % columns, Math.floor(at / columns)] as const),
  )
  const tiles = places.length
  let pixels = 0
  const readOn = async () => {
    for (let place = places.shift(); place; place = places.shift()) {
      const { width, height } = await archive.readTile(...place, signal)
      pixels += width * height
    }
  }
  await Promise.all(Array.from({ length: inFlight }, readOn))
  return { tiles, pixels }
}

function stageSpeed(
  facts: Pick<StageSpeed, 'device' | 'direction'>,
  { networkSeconds, codingSeconds, parts }: Observed,
  pixels: number,
  seconds: number,
  read: number,
  write: number | null,
): StageSpeed {
  return {
    ...facts,
    ...{ megapixels: pixels, seconds, megapixelsPerSecond: pixels / seconds },
    ...{ read, network: networkSeconds, parts, entropyCoder: codingSeconds, write },
    deviceBusy: networkSeconds / seconds,
  }
}
