import { existsSync } from 'node:fs'
import { checkString } from '../arguments.js'
import { SlideError } from '../errors.js'
import { ImageFile } from './image-file.js'
import type { SlideSource } from './source.js'
import { SyntheticSlide } from './synthetic.js'

/**
 * Opens a slide: whatever OpenSlide reads, an image file (PNG, JPEG, TIFF, WebP; one level), or a slide that is drawn,
 * "synthetic:WIDTHxHEIGHT" or "synthetic:WIDTHxHEIGHT:SEED".
 *
 * @throws SlideError ERR_UNSUPPORTED_SLIDE
 * @example
 * const slide = await openSlide('slide.svs')
 * const { data } = await slide.readRegion({ x: 0, y: 0, level: 0, width: 512, height: 512 })
 * slide.close()
 */
export async function openSlide(path: string): Promise<SlideSource> {
  checkString(path, 'path')
  if (path.startsWith('synthetic:')) return new SyntheticSlide(path)
  if (!existsSync(path)) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} doesn't exist`)
  return ImageFile.open(path)
}
