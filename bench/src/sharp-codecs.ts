/** Codecs that sharp carries. To add one, add an entry to the table. */

import { ClericError, type Image } from 'cleric'
import { fromImage, throwIfAborted, toImage } from 'cleric/internal'
import sharp, { type Sharp } from 'sharp'
import type { BenchCodec, CodecFacts } from './codec.js'

interface SharpCodec extends CodecFacts {
  readonly format: 'jpeg' | 'avif' | 'webp'
  readonly options: Readonly<Record<string, string | number | boolean>>
  /** The entries of sharp.versions that name its libraries. */
  readonly libraries: readonly ('mozjpeg' | 'heif' | 'aom' | 'webp')[]
  /** Whether samples have more than 8 bits. */
  readonly deep?: true
}

const CODECS: readonly SharpCodec[] = [
  {
    id: 'mozjpeg',
    label: 'JPEG (mozjpeg)',
    chroma: '4:4:4',
    setting: 'quality',
    settings: [12, 25, 50, 72, 85, 93],
    step: 1,
    format: 'jpeg',
    options: { chromaSubsampling: '4:4:4', mozjpeg: true },
    libraries: ['mozjpeg'],
  },
  {
    id: 'avif',
    label: 'AVIF',
    chroma: '4:4:4',
    setting: 'quality',
    settings: [15, 32, 48, 62, 74, 84],
    step: 1,
    format: 'avif',
    // Effort 4 is libaom's speed 5.
    options: { chromaSubsampling: '4:4:4', effort: 4, tune: 'psnr', bitdepth: 10 },
    libraries: ['heif', 'aom'],
    deep: true,
  },
  {
    id: 'webp',
    label: 'WebP',
    chroma: '4:2:0',
    setting: 'quality',
    settings: [5, 30, 60, 80, 92, 98],
    step: 1,
    format: 'webp',
    options: { effort: 6, smartSubsample: true },
    libraries: ['webp'],
  },
]

export const SHARP_CODECS: readonly CodecFacts[] = CODECS

export function openSharpCodec(id: string): BenchCodec {
  const codec = CODECS.find((candidate) => candidate.id === id) as SharpCodec
  const { label, chroma, setting, settings, step, format, options, deep } = codec
  const encoder = (image: Sharp, quality: number) => image[format]({ ...options, quality })
  return {
    ...{ id, label, chroma, setting, settings, step },
    version: `${codec.libraries.map((name) => `${name} ${sharp.versions[name]}`).join(', ')} (by sharp ${sharp.versions.sharp})`,
    commands: [
      `sharp(image).${format}(${JSON.stringify({ ...options, quality: '{setting}' })}).toBuffer()`,
      deep
        ? "sharp(coded).toColourspace('rgb16').raw({ depth: 'ushort' }).toBuffer(), then round(sample / 256)"
        : 'sharp(coded).raw().toBuffer()',
    ],
    cacheable: true,
    encode: async (image: Image, quality, signal) => {
      throwIfAborted(signal)
      return encoder(fromImage(image), quality).toBuffer()
    },
    decode: async (bytes, { width, height }, signal) => {
      throwIfAborted(signal)
      const image = await (deep ? rounded(bytes) : toImage(sharp(bytes)))
      if (image.width === width && image.height === height) return image
      throw new ClericError('ERR_TOOL_FAILED', `${label} came back as ${image.width} x ${image.height}`)
    },
  }
}

/** What 8 bits can hold of deeper samples: sharp by itself cuts the bits below off, which makes all darker. */
async function rounded(bytes: Uint8Array): Promise<Image> {
  const { data, info } = await sharp(bytes)
    .toColourspace('rgb16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true })
  const samples = new Uint8ClampedArray(data.length / 2)
  for (let i = 0; i < samples.length; i++) samples[i] = data.readUInt16LE(2 * i) / 256
  return { data: new Uint8Array(samples.buffer), width: info.width, height: info.height, channels: 3 }
}
