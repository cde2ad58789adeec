/** Slide to a TIFF that every reader of slides opens. */
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
import { checkOutput } from '../files/output.js'
import { partialNames } from '../files/partial-file.js'
import { modelPath } from '../model/model-bytes.js'
import { refuseChoiceOfOpen, SLIDE_CHOICE_CHECKS, type SlideChoice } from '../slide/choice.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { keptOf } from '../slide/identity.js'
import { slideFiles } from '../slide/mirax.js'
import { inColours } from '../slide/slide-in-colours.js'
import { checkSlide, type Level, type SlideSource, warningsOf } from '../slide/source.js'
import { UnchangedSlide } from '../slide/unchanged.js'
import { describeSlide } from './head.js'
import type { ExportProgress } from './progress.js'
import { type ExportLevel, exportLevels } from './pyramid.js'
import { ExportRun } from './run.js'
import { EXPORT_COMPRESSIONS, type ExportCompression, tileCodec } from './tile-codec.js'

export interface ExportOptions extends CodecChoice, SlideChoice {
  /** How tiles are compressed: `jpeg` (default), `webp`, or `deflate`, which loses nothing. */
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
  readonly output: string
  readonly bytes: number
  readonly compression: ExportCompression
  /** Null for `deflate`. */
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
  compression: (value, name) => checkOneOf(value, name, EXPORT_COMPRESSIONS),
  quality: (value, name, { compression }) => {
    if (compression === 'deflate') throw outOfRange('none, as deflate loses nothing,', name, value)
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
 * Writes a slide or archive as a pyramid of tiles in a BigTIFF that OpenSlide, QuPath, libvips and others open with
 * every level, with resolution, description, ICC profile and associated images. A path is opened and closed again, a
 * slide that is open stays so. The same slide and options give the same bytes.
 *
 * Levels are added where the slide has none within a factor of 8, and until one is no larger than 1024 pixels: each
 * pixel the mean of 4 x 4.
 *
 * A few tiles of each level are read back through OpenSlide, where it is installed, and compared.
 *
 * @throws CorruptDataError, SlideError, ClericError ERR_FILE_EXISTS, ERR_DISK_FULL, ERR_EXPORT_FAILED if OpenSlide shows
 * something else than what was written, AbortedError; TypeError and RangeError for
 * wrong options. After a failure nothing is left of the file.
 * @example
 * await exportSlide('slide.cleric.tif', 'slide.tif', { compression: 'jpeg', quality: 85 })
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
  const quality = compression === 'deflate' ? null : givenQuality
  throwIfAborted(signal)
  const choice = { page, series, range }
  if (typeof slide !== 'string') refuseChoiceOfOpen(choice)
  const path = typeof slide === 'string' ? slide : slide.path
  checkOutput({ names: partialNames(output), reads: [...slideFiles(path), model && modelPath(model)], overwrite })
  const started = performance.now()

  // Each tile of an archive is read once.
  const toRead = { codec: given, model, device, adapter, cacheBytes: 0, cacheDir, ...choice, signal }
  const unchanged = new UnchangedSlide(path)
  const source = typeof slide === 'string' ? await openAny(slide, toRead) : slide
  try {
    const coloured = await inColours(source, icc)
    const kept = keptOf(coloured, { label, macro })
    const codec = tileCodec(compression, givenQuality)
    const tile = source instanceof Archive ? source.tile : TILE
    const levels = exportLevels(source.levels, tile, codec.isOpenSlides)
    const { mpp, objectivePower } = source
    const description = describeSlide({ properties: kept.properties, mpp, objectivePower }, levels[0] as ExportLevel)
    using loan = source instanceof Archive ? await source.lend(signal) : null
    const tilesInFlight = loan?.tilesInFlight ?? TILES_IN_FLIGHT
    const mustHold = () => unchanged.mustHold()
    const plan = { ...kept, levels, codec, tilesInFlight, description, overwrite, mustHold, onProgress }
    const run = new ExportRun(coloured, plan, signal)
    const bytes = await run.write(output)
    return {
      output,
      bytes,
      compression,
      quality,
      levels: levels.map(({ level }) => level),
      associatedImages: kept.images,
      tiles: run.tiles,
      seconds: (performance.now() - started) / 1000,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      warnings: [...warningsOf(source), ...run.warnings],
    }
  } finally {
    if (source !== slide) source.close()
  }
}
