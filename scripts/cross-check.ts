/**
 * Encodes real images on each device and decodes them on each other:
 *
 *     npx tsx scripts/cross-check.ts [--images ../shared/data/eval] [--model FILE] [--quality 20,50,80]
 *                                    [--devices cpu,opengles,swiftshader] [--crop PIXELS]
 *
 * A device is "cpu", "cpu:ISA" for one instruction set of the processor, or a part of a WebGPU adapter's name; default:
 * the processor and all adapters. Each pair must decode the same symbols (else the tile's checksum fails) and pixels
 * within 1 of 255. Prints a row for every quality and pair; exits with 1 if anything differs that must not.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { TileCodec } from '../src/codec/tile-codec.js'
import { openCpu } from '../src/cpu/backend.js'
import type { Image } from '../src/image/image.js'
import { ErrorTotals } from '../src/metrics/psnr.js'
import { loadModel } from '../src/model/model.js'
import type { Backend } from '../src/network/graph.js'
import { listAdapters } from '../src/webgpu/adapters.js'
import { openWebGpu } from '../src/webgpu/backend.js'

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: fileURLToPath(new URL('../../shared/data/eval', import.meta.url)) },
    model: { type: 'string' },
    quality: { type: 'string', default: '20,50,80' },
    devices: { type: 'string' },
    crop: { type: 'string', default: '1024' },
  },
})

interface Device {
  readonly name: string
  readonly backend: Backend
  readonly codec: TileCodec
}

/** What one pair of devices gave at one quality. */
interface Row {
  quality: number
  encoder: string
  decoder: string
  images: number
  bytes: number
  /** Tiles that this decoder's device would have written bit for bit alike. */
  alike: number
  failed: number
  /** Squared differences of the 8-bit values of pixels, summed: how many differ, where none does by more than 1. */
  differing: number
  largest: number
}

const model = await loadModel(values.model)
const crop = Number(values.crop)

async function openDevice(name: string): Promise<Device> {
  const [kind, isa] = name.split(':')
  const backend = kind === 'cpu' ? await openCpu(isa === undefined ? {} : { isa }) : await openWebGpu({ adapter: name })
  return { name: backend.name, backend, codec: new TileCodec(model, backend) }
}

async function readImage(file: string): Promise<Image> {
  const image = sharp(file).removeAlpha().toColourspace('srgb')
  const { width, height } = await image.metadata()
  const size = { width: Math.min(crop, width), height: Math.min(crop, height) }
  return {
    data: await image
      .extract({ left: 0, top: 0, ...size })
      .raw()
      .toBuffer(),
    ...size,
    channels: 3,
  }
}

const names = values.devices?.split(',') ?? ['cpu', ...(await listAdapters()).map(({ name }) => name)]
const files = (await readdir(values.images)).filter((name) => /\.(png|webp|tiff?|jpe?g)$/.test(name)).sort()
if (files.length === 0) throw new Error(`no images in ${values.images}`)
const devices = await Promise.all(names.map(openDevice))
if (devices.length < 2) throw new Error('there is only one device here')
console.error(`${model.name} (${model.hash.slice(0, 16)}), ${files.length} images`)

const rows = new Map<string, Row>()
for (const quality of values.quality.split(',').map(Number)) {
  for (const file of files) {
    const image = await readImage(join(values.images, file))
    const payloads: Uint8Array[] = []
    for (const { codec } of devices) payloads.push(await codec.encode(image, quality))
    for (const [e, encoder] of devices.entries()) {
      const payload = payloads[e] as Uint8Array
      const own = await encoder.codec.decode(payload, image, quality)
      for (const [d, decoder] of devices.entries()) {
        if (d === e) continue
        const key = `${quality} ${e} ${d}`
        const row = rows.get(key) ?? {
          ...{ quality, encoder: encoder.name, decoder: decoder.name },
          ...{ images: 0, bytes: 0, alike: 0, failed: 0, differing: 0, largest: 0 },
        }
        rows.set(key, row)
        row.images++
        row.bytes += payload.length
        if (Buffer.compare(payload, payloads[d] as Uint8Array) === 0) row.alike++
        try {
          const other = await decoder.codec.decode(payload, image, quality)
          const errors = new ErrorTotals()
          errors.add(own, other)
          row.differing += errors.squared
          row.largest = Math.max(row.largest, errors.maxError)
        } catch (error) {
          row.failed++
          console.error(`quality ${quality} ${file}, ${encoder.name} to ${decoder.name}: ${error}`)
        }
      }
    }
    console.error(`quality ${quality} ${file}: ${payloads.map(({ length }) => length).join(', ')} bytes`)
  }
}
for (const { codec, backend } of devices) {
  codec.close()
  backend.close()
}
console.table([...rows.values()])
const bad = [...rows.values()].filter(({ failed, largest }) => failed > 0 || largest > 1)
console.log(bad.length === 0 ? 'Every pair of devices agrees.' : `${bad.length} pairs do not agree.`)
process.exitCode = bad.length === 0 ? 0 : 1
