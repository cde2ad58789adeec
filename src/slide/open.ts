import { existsSync } from 'node:fs'
import { checkOneOf, checkOptions, checkSignal, checkString, type OptionChecks } from '../arguments.js'
import { ClericError, type ErrorCode, SlideError, throwIfAborted } from '../errors.js'
import { isAddress } from '../files/byte-source.js'
import { ICC_MODES, type IccMode } from './colour.js'
import { ImageFile } from './image-file.js'
import { LevelGrid } from './level-grid.js'
import { openOpenSlide } from './openslide.js'
import { inColours } from './slide-in-colours.js'
import type { SlideSource } from './source.js'
import { SyntheticSlide } from './synthetic.js'

/** OpenSlide doesn't know the format, or isn't there. */
const OTHERS_MAY_READ: readonly ErrorCode[] = ['ERR_UNSUPPORTED_SLIDE', 'ERR_OPENSLIDE_MISSING', 'ERR_ADDON_MISSING']

export interface OpenSlideOptions {
  /**
   * What becomes of the ICC profile: "keep" (default), with pixels as they are stored; "srgb", with pixels that are
   * converted by it; or "none", with pixels as they are stored and no profile.
   */
  readonly icc?: IccMode | undefined
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
 * @throws SlideError ERR_UNSUPPORTED_SLIDE; UnsupportedError ERR_IMAGE_UNSUPPORTED for `icc: "srgb"`, if the slide's
 * profile is of no use
 * @example
 * using slide = await openSlide('slide.svs')
 * const { data } = await slide.readRegion({ x: 0, y: 0, level: 0, width: 512, height: 512 })
 */
export async function openSlide(path: string, options: OpenSlideOptions = {}): Promise<SlideSource & Disposable> {
  checkString(path, 'path')
  const { cacheDir, icc = 'keep', signal } = checkOptions(options, OPEN_CHECKS)
  throwIfAborted(signal)
  const slide = await openByFormat(path, { cacheDir, signal })
  try {
    return await inColours(slide, icc)
  } catch (error) {
    slide.close()
    throw error
  }
}

const OPEN_CHECKS: OptionChecks<OpenSlideOptions> = {
  cacheDir: checkString,
  icc: (value, name) => checkOneOf(value, name, ICC_MODES),
  signal: checkSignal,
}

async function openByFormat(
  path: string,
  { cacheDir, signal }: Omit<OpenSlideOptions, 'icc'>,
): Promise<SlideSource & Disposable> {
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
