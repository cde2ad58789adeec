/** Conversion of images to sharp pipelines and back. */
import sharp, { type Sharp } from 'sharp'
import type { Image } from './image.js'

/** The pipeline as RGB or, of a grey image, grey alone; transparency on white. */
export function asRgb(pipeline: Sharp): Sharp {
  return pipeline.flatten({ background: '#ffffff' }).toColourspace('srgb')
}

/** Pixels of a sharp pipeline as 8-bit RGB; transparency on white. */
export async function toImage(pipeline: Sharp): Promise<Image> {
  const { data, info } = await asRgb(pipeline).raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
  if (info.channels === 3) return { data, width: info.width, height: info.height, channels: 3 }
  const rgb = new Uint8Array(info.width * info.height * 3)
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += info.channels) rgb.fill(data[j] as number, i, i + 3)
  return { data: rgb, width: info.width, height: info.height, channels: 3 }
}

/** An image as input of a sharp pipeline. */
export function fromImage(image: Image): Sharp {
  // The pixels are here already, so their number is no danger.
  const raw = { width: image.width, height: image.height, channels: 3 } as const
  return sharp(image.data, { raw, limitInputPixels: false })
}

/** The ICC profile of sRGB, as libvips has it. */
export async function srgbProfile(): Promise<Uint8Array> {
  const pixel = sharp({ create: { width: 1, height: 1, channels: 3, background: 'white' } })
  const { icc } = await sharp(await pixel.withIccProfile('srgb').png().toBuffer()).metadata()
  return new Uint8Array(icc as Buffer)
}
