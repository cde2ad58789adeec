/** Opens slides: finds out what a file is, and which reader reads it right. */
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { checkOneOf, checkOptions, checkSignal, checkString, type OptionChecks } from '../arguments.js'
import { ClericError, type ErrorCode, SlideError, throwIfAborted, withoutName } from '../errors.js'
import { isAddress } from '../files/byte-source.js'
import { firstBytes, notAFile } from '../files/local-file.js'
import { publicName } from '../files/name.js'
import { isTiff } from '../tiff/file.js'
import { absurdSize } from '../tiff/segment-sizes.js'
import { isChoice, SLIDE_CHOICE_CHECKS, type SlideChoice } from './choice.js'
import { ICC_MODES, type IccMode } from './colour.js'
import { ImageFile } from './image-file.js'
import { LevelGrid } from './level-grid.js'
import { openOpenSlide } from './openslide.js'
import { inColours } from './slide-in-colours.js'
import type { HeldImage, SlideSource } from './source.js'
import { SyntheticSlide } from './synthetic.js'
import { type OpenTiff, openTiff, selectOf, TiffSlide } from './tiff/tiff-slide.js'
import { type Vendor, vendorByBytes, vendorByName, vendorByTags } from './vendor.js'
import { VendorSlide, whyUnsafe } from './vendor-slide.js'

/** OpenSlide doesn't know the format, or isn't there. */
const OTHERS_MAY_READ: readonly ErrorCode[] = ['ERR_UNSUPPORTED_SLIDE', 'ERR_OPENSLIDE_MISSING', 'ERR_ADDON_MISSING']

export interface OpenSlideOptions extends SlideChoice {
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
 * Opens a slide: a scanner's, which OpenSlide reads; a TIFF of pictures or pyramids, OME-TIFF among them; an image file
 * (PNG, JPEG, WebP; one level); or a slide that is drawn, "synthetic:WIDTHxHEIGHT" or "synthetic:WIDTHxHEIGHT:SEED".
 * docs/formats.md says what of each is read, converted and refused.
 *
 * @throws SlideError ERR_UNSUPPORTED_SLIDE, ERR_OPENSLIDE_MISSING, ERR_OPENSLIDE_READ; UnsupportedError
 * ERR_IMAGE_UNSUPPORTED for `icc: "srgb"`, if the slide's profile is of no use; AbortedError; TypeError and RangeError
 * for wrong options
 * @example
 * using slide = await openSlide('slide.svs')
 * const { data } = await slide.readRegion({ x: 0, y: 0, level: 0, width: 512, height: 512 })
 */
export async function openSlide(path: string, options: OpenSlideOptions = {}): Promise<SlideSource & Disposable> {
  checkString(path, 'path')
  const { icc = 'keep', ...opening } = checkOptions(options, OPEN_CHECKS)
  throwIfAborted(opening.signal)
  const slide = await openByFormat(path, opening)
  try {
    return await inColours(slide, icc)
  } catch (error) {
    slide.close()
    throw error
  }
}

const OPEN_CHECKS: OptionChecks<OpenSlideOptions> = {
  ...SLIDE_CHOICE_CHECKS,
  cacheDir: checkString,
  icc: (value, name) => checkOneOf(value, name, ICC_MODES),
  signal: checkSignal,
}

async function openByFormat(path: string, options: Omit<OpenSlideOptions, 'icc'>): Promise<SlideSource & Disposable> {
  const { cacheDir, signal, ...choice } = options
  if (path.startsWith('synthetic:')) {
    refuseChoice(path, 'a drawn slide', choice)
    return new SyntheticSlide(path)
  }
  if (isAddress(path)) {
    const what = `${publicName(path)} is no path: slides are read from files only, archives (openArchive) also over HTTP`
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', what)
  }
  const stats = await stat(path).catch(() => null)
  if (!stats) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} doesn't exist`)
  if (!stats.isFile()) throw new SlideError('ERR_UNSUPPORTED_SLIDE', notAFile(path))
  const start = await firstBytes(path)
  const tiff = isTiff(start) ? await openTiff(path, signal) : null
  const vendor = (tiff ? vendorByTags(tiff.file) : vendorByBytes(start)) ?? vendorByName(path)
  try {
    const absurd = tiff && (await absurdSize(tiff.file, signal))
    if (absurd !== null) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path}: ${absurd}`)
    if (tiff && !vendor) return await TiffSlide.open(tiff, choice, signal)
    return await openVendors(path, tiff, vendor, options)
  } catch (error) {
    tiff?.close()
    throw error
  }
}

/**
 * What a file holds that no slide can be opened of unless a page, series or range is asked for; null if that isn't why
 * it can't be opened.
 */
export async function contentsOf(path: string, signal?: AbortSignal): Promise<readonly HeldImage[] | null> {
  if (!existsSync(path) || !isTiff(await firstBytes(path))) return null
  const tiff = await openTiff(path, signal)
  try {
    if (vendorByTags(tiff.file) ?? vendorByName(path)) return null
    const { contents } = await selectOf(tiff, {})
    return contents.length > 0 ? contents.map((image) => ({ ...image, role: null })) : null
  } finally {
    tiff.close()
  }
}

/** What is a vendor's by its tags or name, or may be, as it is no TIFF. */
async function openVendors(
  path: string,
  tiff: OpenTiff | null,
  vendor: Vendor | null,
  { cacheDir, signal, ...choice }: Omit<OpenSlideOptions, 'icc'>,
): Promise<SlideSource & Disposable> {
  const unsafe = tiff && whyUnsafe(tiff)
  if (unsafe !== null) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path}: ${unsafe}`)
  let refused: ClericError
  try {
    const slide = await openOpenSlide(path, signal)
    if (slide.vendor !== 'generic-tiff' || !tiff) {
      try {
        refuseChoice(path, `a slide of ${slide.vendor}`, choice)
        return new LevelGrid(new VendorSlide(slide, tiff))
      } catch (error) {
        await slide.close()
        throw error
      }
    }
    await slide.close()
    // Only its name is a vendor's.
    if (!vendorByTags(tiff.file)) return await TiffSlide.open(tiff, choice, signal)
    refused = new SlideError('ERR_UNSUPPORTED_SLIDE', `OpenSlide ${slide.libraryVersion} takes it for a plain TIFF`)
  } catch (error) {
    if (!(error instanceof ClericError) || !(OTHERS_MAY_READ.includes(error.code) || vendor)) throw error
    refused = error
  }
  if (vendor) throw refusedBy(path, vendor, refused, tiff)
  const isUnknown = refused.code !== 'ERR_UNSUPPORTED_SLIDE'
  return ImageFile.open(path, { folder: cacheDir, choice }).catch((error: unknown) => {
    throw isUnknown ? refused : error
  })
}

/** Never a plain image in place of a scanner's slide: the vendor, OpenSlide's reason, and what is wrong with the file. */
function refusedBy(path: string, vendor: Vendor, refused: ClericError, tiff: OpenTiff | null): ClericError {
  if (refused.code === 'ERR_OPENSLIDE_MISSING' || refused.code === 'ERR_ADDON_MISSING') return refused
  if (!(refused instanceof SlideError)) return refused
  const fault = tiff?.file.fault ? `; ${tiff.file.fault}` : ''
  const reason = withoutName(refused.message, path)
  // The version is in the reason, where OpenSlide doesn't know the format.
  const version = Number.parseInt(/OpenSlide (\d+)\./.exec(reason)?.[1] ?? '', 10)
  const isOld = vendor.openSlide !== undefined && version < vendor.openSlide
  const hint = isOld
    ? `; ${vendor.name} needs OpenSlide ${vendor.openSlide}.0 or later (CLERIC_OPENSLIDE names its library)`
    : ''
  const message = `${path} is a slide of ${vendor.name} by ${vendor.by}, which OpenSlide can't open: ${reason}${fault}${hint}`
  return new SlideError(refused.code, message, { cause: refused })
}

function refuseChoice(path: string, what: string, choice: SlideChoice): void {
  if (!isChoice(choice)) return
  throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} is ${what}: it takes no page, series or range`)
}
