/** Slides that need no file: read by ranges of bytes, from wherever those come. */
import { SlideError, throwIfAborted } from '../errors.js'
import type { ByteSource } from '../files/byte-source.js'
import type { Image } from '../image/image.js'
import { isTiff } from '../tiff/file.js'
import { absurdSize } from '../tiff/segment-sizes.js'
import { TAGS } from '../tiff/tags.js'
import type { SlideChoice } from './choice.js'
import { SlideOver } from './slide-over.js'
import type { Region, SlideSource } from './source.js'
import { aperioFacts } from './tiff/aperio.js'
import { type OpenTiff, openTiffOf, TiffSlide } from './tiff/tiff-slide.js'
import { vendorByName, vendorByTags } from './vendor.js'

const FIRST_BYTES = 16

/**
 * Opens a TIFF or OME-TIFF that is nobody's, or a slide of Aperio whose tiles our reader reads as OpenSlide does. Null for
 * every other file: its reader needs a path. The bytes are closed with the slide, but not where there is none.
 *
 * @throws SlideError ERR_UNSUPPORTED_SLIDE for a TIFF that has to be refused
 */
export async function openByRanges(
  source: ByteSource,
  choice: SlideChoice = {},
  signal?: AbortSignal,
): Promise<(SlideSource & Disposable) | null> {
  throwIfAborted(signal)
  if (!isTiff(await source.read(0, Math.min(FIRST_BYTES, source.size), signal))) return null
  const tiff = await openTiffOf(borrowed(source), signal)
  const vendor = vendorByTags(tiff.file) ?? vendorByName(source.name)
  if (vendor && vendorByTags(tiff.file)?.name !== 'Aperio') return null
  const absurd = await absurdSize(tiff.file, signal)
  if (absurd !== null) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${source.name}: ${absurd}`)
  const slide = vendor ? await openAperio(tiff, signal) : await TiffSlide.open(tiff, choice, signal)
  return slide && new Owner(slide, source)
}

/** A slide whose bytes are closed with it. */
class Owner extends SlideOver {
  readonly #source: ByteSource

  constructor(slide: SlideSource, source: ByteSource) {
    super(slide)
    this.#source = source
  }

  readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    return this.slide.readRegion(region, signal)
  }

  override close(): void {
    super.close()
    this.#source.close()
  }
}

/** The same bytes, which whoever has them closes. */
function borrowed(source: ByteSource): ByteSource {
  const { name, size, version } = source
  return { name, size, version, read: (...range) => source.read(...range), close: () => {} }
}

/** Null unless each tiled image is a level, as OpenSlide has it, that we can decode. */
async function openAperio(tiff: OpenTiff, signal?: AbortSignal): Promise<TiffSlide | null> {
  const { pages } = tiff.file
  const description = pages[0]?.directory.text(TAGS.ImageDescription) ?? ''
  try {
    const slide = await TiffSlide.open(tiff, {}, signal, aperioFacts(description))
    const tiled = pages.filter(({ directory }) => directory.has(TAGS.TileWidth)).length
    return slide.levels.length === tiled ? slide : null
  } catch (error) {
    if (error instanceof SlideError) return null
    throw error
  }
}
