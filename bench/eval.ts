/**
 * Bits and quality of the codec on a folder of images, from real bitstreams:
 *
 *     npx tsx bench/eval.ts [--codec cleric|jpeg] [--data ../shared/data/eval] [--quality 20,50,80] [--json]
 *                           [--model FILE] [--device auto|webgpu|cpu] [--adapter NAME]
 *
 * JPEG, for comparison, is sharp's (libvips), 4:4:4 with optimised Huffman tables.
 *
 * Prints bits per pixel and PSNR of every image and their means, and the time a megapixel takes each way.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { openCodec } from '../src/codec/codec.js'
import type { DeviceKind } from '../src/codec/devices.js'
import type { Image } from '../src/codec/image.js'
import { msSsim } from '../src/metrics/ms-ssim.js'
import { psnr } from '../src/metrics/psnr.js'

interface Result {
  readonly image: string
  readonly quality: number
  readonly bpp: number
  readonly psnr: number
  readonly msSsim: number
  readonly encodeSeconds: number
  readonly decodeSeconds: number
}

const { values } = parseArgs({
  options: {
    codec: { type: 'string', default: 'cleric' },
    data: { type: 'string', default: fileURLToPath(new URL('../../shared/data/eval', import.meta.url)) },
    quality: { type: 'string', default: '20,50,80' },
    model: { type: 'string' },
    device: { type: 'string', default: 'auto' },
    adapter: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

async function readImage(file: string | Uint8Array): Promise<Image> {
  const { data, info } = await sharp(file)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height, channels: 3 }
}

const mean = (numbers: readonly number[]) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length

interface EvaluatedCodec {
  readonly name: string
  encode(image: Image, quality: number): Promise<Uint8Array>
  decode(bytes: Uint8Array): Promise<Image>
  close(): void
}

async function openEvaluated(): Promise<EvaluatedCodec> {
  if (values.codec === 'jpeg') {
    return {
      name: `JPEG by sharp ${sharp.versions.sharp}`,
      encode: ({ data, width, height }, quality) =>
        sharp(data, { raw: { width, height, channels: 3 } })
          .jpeg({ quality, chromaSubsampling: '4:4:4', optimiseCoding: true })
          .toBuffer(),
      decode: (bytes) => readImage(bytes),
      close() {},
    }
  }
  if (values.codec !== 'cleric') throw new RangeError(`--codec is cleric or jpeg, not ${values.codec}`)
  const codec = await openCodec({
    device: values.device as DeviceKind,
    ...(values.model === undefined ? {} : { model: values.model }),
    ...(values.adapter === undefined ? {} : { adapter: values.adapter }),
  })
  return {
    name: `${codec.model.name} (${codec.model.hash.slice(0, 16)}) on ${codec.device.name}`,
    encode: (image, quality) => codec.encodeTile(image, { quality }),
    decode: (bytes) => codec.decodeTile(bytes),
    close: () => codec.close(),
  }
}

const codec = await openEvaluated()
const files = (await readdir(values.data)).filter((name) => /\.(png|webp|tiff?|jpe?g)$/.test(name)).sort()
if (files.length === 0) throw new Error(`no images in ${values.data}`)
const images = await Promise.all(files.map((name) => readImage(join(values.data, name))))
console.error(`${codec.name}, ${files.length} images`)

const results: Result[] = []
for (const quality of values.quality.split(',').map(Number)) {
  for (const [i, image] of images.entries()) {
    const begin = performance.now()
    const bytes = await codec.encode(image, quality)
    const middle = performance.now()
    const decoded = await codec.decode(bytes)
    const end = performance.now()
    const result: Result = {
      image: files[i] as string,
      quality,
      bpp: (bytes.length * 8) / (image.width * image.height),
      psnr: psnr(image, decoded),
      msSsim: msSsim(image, decoded) ?? Number.NaN,
      encodeSeconds: (middle - begin) / 1000,
      decodeSeconds: (end - middle) / 1000,
    }
    results.push(result)
    console.error(`quality ${quality} ${result.image}: ${result.bpp.toFixed(4)} bpp, ${result.psnr.toFixed(2)} dB`)
  }
}

codec.close()

const megapixels = mean(images.map(({ width, height }) => (width * height) / 1e6))
const summary = [...new Set(results.map(({ quality }) => quality))].map((quality) => {
  const of = results.filter((result) => result.quality === quality)
  return {
    quality,
    bpp: mean(of.map((r) => r.bpp)),
    psnr: mean(of.map((r) => r.psnr)),
    msSsim: mean(of.map((r) => r.msSsim)),
    encodeSecondsPerMegapixel: mean(of.map((r) => r.encodeSeconds)) / megapixels,
    decodeSecondsPerMegapixel: mean(of.map((r) => r.decodeSeconds)) / megapixels,
  }
})
if (values.json) console.log(JSON.stringify({ codec: codec.name, summary, results }, null, 2))
else {
  const rounded = (row: (typeof summary)[0]) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value.toFixed(4))]))
  console.table(summary.map(rounded))
}
