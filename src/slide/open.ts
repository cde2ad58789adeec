import { existsSync } from 'node:fs'
import { checkOptions, checkSignal, checkString } from '../arguments.js'
import { ClericError, type ErrorCode, SlideError, throwIfAborted } from '../errors.js'
import { isAddress } from '../files/byte-source.js'
import { ImageFile } from './image-file.js'
import { LevelGrid } from './level-grid.js'
import { openOpenSlide } from './openslide.js'
import type { SlideSource } from './source.js'
import { SyntheticSlide } from './synthetic.js'

/** OpenSlide doesn't know the format, or isn't there. */
const OTHERS_MAY_READ: readonly ErrorCode[] = ['ERR_UNSUPPORTED_SLIDE', 'ERR_OPENSLIDE_MISSING', 'ERR_ADDON_MISSING']

export interface OpenSlideOptions {
  /**
   * Folder for the decoded copy of an image file of more than 256 MiB of pixels; default: the system's for temporary
   * files (TMPDIR).
   */
  readonly cacheDir?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens a slide: whatever OpenSlide reads, an image file (PNG, JPEG, TIFF, WebP; one level), or a slide that is drawn,
 * "synthetic:WIDTHxHEIGHT" or "synthetic:WIDTHxHEIGHT:SEED".
 *
 * @throws SlideError ERR_UNSUPPORTED_SLIDE
 * @example
 * using slide = await openSlide('slide.svs')
 * const { data } = await slide.readRegion({ x: 0, y: 0, level: 0, width: 512, height: 512 })
 */
export async function openSlide(path: string, options: OpenSlideOptions = {}): Promise<SlideSource & Disposable> {
  checkString(path, 'path')
  const { cacheDir, signal } = checkOptions(options, { cacheDir: checkString, signal: checkSignal })
  throwIfAborted(signal)
  if (path.startsWith('synthetic:')) return new SyntheticSlide(path)
  if (isAddress(path)) {
    const what = `${path} is no path: slides are read from files only, archives (openArchive) also over HTTP`
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', what)
  }
  if (!existsSync(path)) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} doesn't exist`)
  let refused: ClericError
  try {
    return new LevelGrid(await openOpenSlide(path, signal))
  } catch (error) {
    if (!(error instanceof ClericError) || !OTHERS_MAY_READ.includes(error.code)) throw error
    refused = error
  }
  const isUnknown = refused.code !== 'ERR_UNSUPPORTED_SLIDE'
  const image = await ImageFile.open(path, { folder: cacheDir }).catch((error: unknown) => {
    throw isUnknown ? refused : error
  })
  // Without OpenSlide nobody knows whether a TIFF is a slide: as an image it would lose levels, label and resolution.
  if (isUnknown && image.format === 'tiff') throw refused
  return image
}
