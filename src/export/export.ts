/** Slide to files that other programs open: a TIFF, DICOM, an OME-TIFF. */
import { Archive } from '../archive/archive.js'
import { openAny } from '../archive/open-any.js'
import {
  checkCallback,
  checkFlag,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
  type OptionChecks,
  outOfRange,
} from '../arguments.js'
import { type CodecChoice, codecUseChecks } from '../codec/arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import { throwIfAborted } from '../errors.js'
import { modelPath } from '../model/model-bytes.js'
import { refuseChoiceOfOpen, SLIDE_CHOICE_CHECKS, type SlideChoice } from '../slide/choice.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { keptOf } from '../slide/identity.js'
import { slideFiles } from '../slide/mirax.js'
import { inColours } from '../slide/slide-in-colours.js'
import { checkSlide, type Level, type SlideSource, warningsOf } from '../slide/source.js'
import { UnchangedSlide } from '../slide/unchanged.js'
import { EXPORT_FORMATS, type ExportFormat, FORMATS } from './formats.js'
import type { ExportProgress } from './progress.js'
import { exportLevels } from './pyramid.js'
import { ReadBack } from './read-back.js'
import { ExportRun } from './run.js'
import { EXPORT_COMPRESSIONS, type ExportCompression, isLossy, tileCodec } from './tile-codec.js'

export interface ExportOptions extends CodecChoice, SlideChoice {
  /** `tiff` (default), a pyramidal BigTIFF; `ome`, an OME-TIFF; or `dicom`, a folder of DICOM files. */
  readonly format?: ExportFormat | undefined
  /**
   * How tiles are compressed: `jpeg` (default); of `tiff` also `webp`, of `tiff` and `ome` `deflate`, which loses nothing, as
   * does the `none` of `dicom`.
   */
  readonly compression?: ExportCompression | undefined
  /** Quality of JPEG or WebP, an integer from 1 to 100; default 90. */
  readonly quality?: number | undefined
  /** false leaves the label out, and everything that may identify. */
  readonly label?: boolean | undefined
  /** false leaves the macro image out, and everything that may identify. */
  readonly macro?: boolean | undefined
  /** What becomes of the slide's ICC profile; default "keep". "srgb" converts the pixels by it. */
  readonly icc?: IccMode | undefined
  /** Folder for the decoded copy of a large image file, see `openSlide`. */
  readonly cacheDir?: string | undefined
  readonly overwrite?: boolean | undefined
  /** An open codec to decode an archive with; it isn't closed. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
  readonly onProgress?: ((progress: ExportProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ExportResult {
  /** The file, or the folder of the files. */
  readonly output: string
  readonly format: ExportFormat
  readonly bytes: number
  readonly compression: ExportCompression
  /** Null for what loses nothing. */
  readonly quality: number | null
  /** Those of the slide, and those that were made. */
  readonly levels: readonly Level[]
  readonly associatedImages: readonly string[]
  readonly tiles: number
  readonly seconds: number
  readonly peakRssBytes: number
  /** What of the file isn't taken, and which values were converted, in words. */
  readonly warnings: readonly string[]
}

const DEFAULT_QUALITY = 90
/** Side of a tile, unless the slide is an archive, whose own it is. */
const TILE = 512
/** Tiles of a slide that no codec of ours decodes: enough to read some while others are compressed. */
const TILES_IN_FLIGHT = 4

const EXPORT_CHECKS: OptionChecks<ExportOptions> = {
  format: (value, name) => checkOneOf(value, name, EXPORT_FORMATS),
  compression: (value, name, { format = 'tiff' }) => {
    const known = EXPORT_FORMATS.find((each) => each === format)
    checkOneOf(value, name, known ? FORMATS[known].compressions : EXPORT_COMPRESSIONS)
  },
  quality: (value, name, { compression = 'jpeg' }) => {
    const known = EXPORT_COMPRESSIONS.find((each) => each === compression)
    if (known && !isLossy(known)) throw outOfRange(`none, as ${known} loses nothing,`, name, value)
    checkInteger(value, name, 1, 100)
  },
  label: checkFlag,
  macro: checkFlag,
  icc: (value, name) => checkOneOf(value, name, ICC_MODES),
  cacheDir: checkString,
  overwrite: checkFlag,
  ...codecUseChecks(),
  ...SLIDE_CHOICE_CHECKS,
  onProgress: checkCallback,
  signal: checkSignal,
}

/**
 * Writes a slide or archive for other programs, with every level, resolution, ICC profile and associated images: as a
 * pyramid of tiles in a BigTIFF that OpenSlide, QuPath, libvips and others open; as an OME-TIFF; or as a folder of DICOM files (VL Whole
 * Slide Microscopy), one a level, which only get their names together. A path is opened and closed again, a slide that is
 * open stays so. The same slide and options give the same bytes.
 *
 * Levels are added where the slide has none within a factor of 8, and until one is no larger than 1024 pixels: each
 * pixel the mean of 4 x 4.
 *
 * A few tiles of each level are read back and compared: through OpenSlide, where it is installed, an OME-TIFF by cleric.
 *
 * @throws CorruptDataError, SlideError, ClericError ERR_FILE_EXISTS, ERR_DISK_FULL, ERR_EXPORT_FAILED if something else is
 * read back than what was written, UnsupportedError ERR_IMAGE_UNSUPPORTED for what the format can't hold, AbortedError;
 * TypeError and RangeError for wrong options. After a failure nothing is left of what was written.
 * @example
 * await exportSlide('slide.cleric.tif', 'slide.tif', { compression: 'jpeg', quality: 85 })
 * await exportSlide('slide.cleric.tif', 'slide-dicom', { format: 'dicom', label: false })
 */
export async function exportSlide(
  slide: SlideSource | string,
  output: string,
  options: ExportOptions = {},
): Promise<ExportResult> {
  if (typeof slide !== 'string') checkSlide(slide, 'slide')
  checkString(output, 'output')
  const {
    codec: given,
    model,
    device,
    adapter,
    page,
    series,
    range,
    format = 'tiff',
    compression = 'jpeg',
    quality: givenQuality = DEFAULT_QUALITY,
    label = true,
    macro = true,
    icc = 'keep',
    cacheDir,
    overwrite = false,
    onProgress,
    signal = new AbortController().signal,
  } = checkOptions(options, EXPORT_CHECKS)
  const quality = isLossy(compression) ? givenQuality : null
  throwIfAborted(signal)
  const choice = { page, series, range }
  if (typeof slide !== 'string') refuseChoiceOfOpen(choice)
  const path = typeof slide === 'string' ? slide : slide.path
  const place = { output, reads: [...slideFiles(path), model && modelPath(model)], overwrite }
  const { check, tileFit, held, begin, openBack } = FORMATS[format]
  await check(place)
  const started = performance.now()

  // Each tile of an archive is read once.
  const toRead = { codec: given, model, device, adapter, cacheBytes: 0, cacheDir, ...choice, signal }
  const unchanged = new UnchangedSlide(path)
  const source = typeof slide === 'string' ? await openAny(slide, toRead) : slide
  try {
    const coloured = await inColours(source, icc)
    const kept = keptOf(coloured, { label, macro })
    const images = held(kept.images)
    const codec = tileCodec(compression, givenQuality)
    const tile = source instanceof Archive ? source.tile : TILE
    const levels = exportLevels(source.levels, tile, tileFit(codec))
    using loan = source instanceof Archive ? await source.lend(signal) : null
    const tilesInFlight = loan?.tilesInFlight ?? TILES_IN_FLIGHT
    const run = new ExportRun(
      coloured,
      {
        ...{ levels, codec, tilesInFlight, onProgress },
        images,
        begin: (pictures) => begin({ ...place, slide: source, kept, levels, codec, compression, signal }, pictures),
        readBack: new ReadBack(levels, codec, openBack),
        mustHold: () => unchanged.mustHold(),
      },
      signal,
    )
    const bytes = await run.write(output)
    const left = kept.images.filter((image) => !images.includes(image))
    return {
      output,
      format,
      bytes,
      compression,
      quality,
      levels: levels.map(({ level }) => level),
      associatedImages: images,
      tiles: run.tiles,
      seconds: (performance.now() - started) / 1000,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      warnings: [...warningsOf(source), ...left.map((image) => `${format} has no place for ${image}`), ...run.warnings],
    }
  } finally {
    if (source !== slide) source.close()
  }
}
