/** Slide to archive. */
import { MAX_LEVELS } from '../archive/description.js'
import { LAYOUTS, type Layout } from '../archive/head-writer.js'
import { openAny } from '../archive/open-any.js'
import { type CheckSummary, summarise } from '../archive/tile-checks.js'
import {
  checkCallback,
  checkFlag,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkPositive,
  checkSignal,
  checkString,
  type OptionChecks,
  outOfRange,
  wrongType,
} from '../arguments.js'
import { type CodecChoice, codecUseChecks, FLOOR_CHECKS } from '../codec/arguments.js'
import { MAX_TILE_SIDE } from '../codec/bitstream.js'
import type { PayloadCodec } from '../codec/codec.js'
import { lend } from '../codec/default-codec.js'
import { DEFAULT_QUALITY } from '../codec/gain.js'
import { throwIfAborted } from '../errors.js'
import { checkOutput } from '../files/output.js'
import { modelPath } from '../model/model-bytes.js'
import { refuseChoiceOfOpen, SLIDE_CHOICE_CHECKS, type SlideChoice } from '../slide/choice.js'
import { slideFiles } from '../slide/mirax.js'
import { checkSlide, type Level, type SlideSource, warningsOf } from '../slide/source.js'
import { UnchangedSlide } from '../slide/unchanged.js'
import { TILE_MULTIPLE } from '../tiff/tile-index.js'
import type { ArchiveTarget } from './archive-store.js'
import { BACKGROUND_MODES, type BackgroundMode } from './blank.js'
import { BusyClock } from './busy-clock.js'
import { archiveNames } from './file-store.js'
import { type Division, openPart, type Share } from './part.js'
import { CompressionPlan } from './plan.js'
import type { CompressProgress, UnreadableTile } from './progress.js'
import { CHECK_MODES, type CheckMode, CompressionRun } from './run.js'
import { ON_BAD_TILE, type OnBadTile, SlideReader } from './slide-reader.js'
import { KEEP_SOURCE_TILES, type KeepSourceTiles, mustHaveJpegs, sideFor } from './source-jpegs.js'
import { qualityForTarget, type SearchProgress } from './target-bpp.js'

export interface CompressOptions extends CodecChoice, SlideChoice {
  /** 0 (smallest) to 100 (best), default 60. */
  readonly quality?: number | undefined
  /**
   * Instead of a quality: the bits a pixel that the archive is to have, above 0 and up to 24, as {@link
   * CompressResult.bpp} counts them. The quality is found first, on a sample of at most 24 tiles: if these are all that
   * are stored, the archive is within 1 % of the target, else within about 5 %.
   */
  readonly targetBpp?: number | undefined
  /** Levels of the slide to keep, level 0 among them; default all. */
  readonly levels?: 'all' | readonly number[] | undefined
  /**
   * Side of a tile, a multiple of 16 from 16 to 1024; default 512, or the most below that is made up of the slide's own
   * JPEG tiles, such as 480 for those of 240.
   */
  readonly tile?: number | undefined
  /** How tiles that show only glass are stored; default "auto". */
  readonly background?: BackgroundMode | undefined
  /** false leaves the label out, and every property that may identify. */
  readonly label?: boolean | undefined
  /** false leaves the macro image out, and every property that may identify. */
  readonly macro?: boolean | undefined
  /**
   * `compat` (default): other programs open the archive as a low-power slide. `strict`: the slide's levels come first.
   */
  readonly layout?: Layout | undefined
  /** What to do if a tile can't be read from the slide: `fail` (default), or store `background` in its place. */
  readonly onBadTile?: OnBadTile | undefined
  /** Folder for the decoded copy of a large image file, see `openSlide`. */
  readonly cacheDir?: string | undefined
  /**
   * Whether each tile is compared with the slide while it is written, and stored by a classic codec where the network
   * does badly; default `sample`.
   */
  readonly check?: CheckMode | undefined
  /** PSNR in dB that every tile has at least, above 0 and up to 100: where need be it is stored without loss. */
  readonly minPsnr?: number | undefined
  /** Stores every tile without loss. */
  readonly lossless?: boolean | undefined
  /**
   * Whether the JPEGs that the slide itself is stored as may be tiles of the archive, bit for bit, where they fit into
   * its tiles and show the very pixels that are read: `auto` (default), where that costs least; `always`, wherever they
   * do; or `never`.
   */
  readonly keepSourceTiles?: KeepSourceTiles | undefined
  readonly overwrite?: boolean | undefined
  /** Goes on from an interrupted run with the same slide, model and options, if there is one. */
  readonly resume?: boolean | undefined
  /** An open codec to encode with; it isn't closed. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
  readonly onProgress?: ((progress: CompressProgress) => void) | undefined
  /** Called with the progress of the search for a quality, with `targetBpp`. */
  readonly onSearch?: ((progress: SearchProgress) => void) | undefined
  /** Called for each tile that can't be read from the slide, with `onBadTile: "background"`. */
  readonly onUnreadable?: ((tile: UnreadableTile) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CompressResult {
  readonly output: string
  readonly bytes: number
  /** Size of the source's files, as far as they are known; 0 for a drawn slide. */
  readonly sourceBytes: number
  /** Bits a pixel of all levels kept. */
  readonly bpp: number
  /** The one given, or found for `targetBpp`. */
  readonly quality: number
  readonly seconds: number
  readonly tiles: number
  readonly blankTiles: number
  readonly device: string
  /** Share of the time, 0 to 1, during which the codec had a tile to work on. */
  readonly deviceBusy: number
  /** Time during which pixels of the slide were being read. */
  readonly readSeconds: number
  /** Time during which the archive was being written. */
  readonly writeSeconds: number
  readonly peakRssBytes: number
  /** Tiles taken over from an interrupted run. */
  readonly resumedTiles: number
  /** Tiles that couldn't be read from the slide, with `onBadTile: "background"`: the first 1000. */
  readonly unreadableTiles: readonly UnreadableTile[]
  /** How many couldn't be read. */
  readonly unreadableCount: number
  /** What of the file isn't taken, and which values were converted, in words. */
  readonly warnings: readonly string[]
  /** How near the tiles come to the slide; null if they weren't checked. */
  readonly checks: CheckSummary | null
}

/**
 * Compresses a slide: a path (of an archive too), "synthetic:WIDTHxHEIGHT", or a slide that is open (it stays open).
 * The same slide, model, device and options give the same bytes, also if the run is interrupted at any moment and
 * resumed.
 *
 * @throws SlideError; ClericError ERR_FILE_EXISTS, ERR_RESUME_MISMATCH, ERR_DISK_FULL, ERR_TARGET_UNREACHABLE if no quality
 * gives that many bits a pixel; AbortedError; TypeError and RangeError for wrong options. Once tiles are written they
 * stay, beside the output, for a call with `resume`.
 * @example
 * const { bytes, bpp } = await compressSlide('slide.svs', 'slide.cleric.tif', { quality: 50 })
 */
export async function compressSlide(
  slide: SlideSource | string,
  output: string,
  options: CompressOptions = {},
): Promise<CompressResult> {
  if (typeof slide !== 'string') checkSlide(slide, 'slide')
  checkString(output, 'output')
  return compressTo(slide, output, options)
}

/**
 * The same, also to where no path leads, and of tiles that were encoded apart: what of the parts is of other slides or
 * options, or damaged, is left aside, and those tiles are encoded here.
 */
export function compressTo(
  slide: SlideSource | string,
  output: string | ArchiveTarget,
  options: CompressOptions = {},
  division: Division = {},
): Promise<CompressResult> {
  return withRun(slide, output, options, division, (run, quality, signal) => run.write(output, quality, signal))
}

/**
 * Encodes some segments of a slide into a part of its archive, for {@link compressTo} to put together. Nothing is done if
 * the part is there.
 *
 * @throws what `compressSlide` throws
 */
export async function compressPart(
  slide: SlideSource | string,
  output: string,
  share: Share,
  options: CompressOptions = {},
  division: Division = {},
): Promise<void> {
  const there = await openPart(output, options.signal)
  try {
    await withRun(slide, output, { ...options, overwrite: true }, division, async (run, quality, signal) => {
      await run.writePart(output, share, there, quality, signal)
      return 0
    })
  } finally {
    there?.close()
  }
}

/** How many tiles an archive would have. */
export function countTiles(slide: SlideSource, options: CompressOptions): number {
  const { levels = 'all', check, tile, keepSourceTiles = check === 'none' ? 'never' : 'auto' } = options
  const of = { tile: tile ?? sideFor(slide, keepSourceTiles), keepSourceTiles, isChecked: check !== 'none' }
  // None of these changes how many.
  const others = { background: 'auto', layout: 'compat', floor: {}, label: true, macro: true } as const
  return new CompressionPlan(slide, chooseLevels(slide.levels, levels), { ...of, ...others }).totalTiles
}

/** What is written of a run, in bytes. */
type Work = (run: CompressionRun, quality: number, signal: AbortSignal) => Promise<number>

async function withRun(
  slide: SlideSource | string,
  output: string | ArchiveTarget,
  options: CompressOptions,
  { parts = [], segmentTiles }: Division,
  work: Work,
): Promise<CompressResult> {
  const {
    codec,
    model,
    device,
    adapter,
    page,
    series,
    range,
    quality: givenQuality,
    targetBpp,
    levels: wanted = 'all',
    tile: givenTile,
    background = 'auto',
    layout = 'compat',
    onBadTile = 'fail',
    check = 'sample',
    minPsnr,
    lossless,
    keepSourceTiles = check === 'none' ? 'never' : 'auto',
    label = true,
    macro = true,
    cacheDir,
    overwrite = false,
    resume = false,
    onProgress,
    onSearch,
    onUnreadable,
    signal = new AbortController().signal,
  } = checkOptions(options, COMPRESS_CHECKS)
  throwIfAborted(signal)
  const choice = { page, series, range }
  if (typeof slide !== 'string') refuseChoiceOfOpen(choice)
  const path = typeof slide === 'string' ? slide : slide.path
  if (typeof output === 'string') {
    checkOutput({ names: archiveNames(output), reads: [...slideFiles(path), model && modelPath(model)], overwrite })
  }
  const started = performance.now()

  const unchanged = new UnchangedSlide(path)
  const source =
    typeof slide === 'string'
      ? await openAny(slide, { codec, model, device, adapter, cacheDir, ...choice, signal })
      : slide
  try {
    const levels = chooseLevels(source.levels, wanted)
    const tile = givenTile ?? sideFor(source, keepSourceTiles)
    if (keepSourceTiles === 'always') mustHaveJpegs(source, levels, tile)
    using loan = await lend({ codec, model, device, adapter, signal })
    const clocks = { read: new BusyClock(), codec: new BusyClock(), write: new BusyClock() }
    const [isChecked, floor] = [check !== 'none', { minPsnr, lossless }]
    const planOptions = { tile, background, layout, isChecked, floor, keepSourceTiles, label, macro, segmentTiles }
    const plan = new CompressionPlan(source, levels, planOptions)
    const mustHold = () => unchanged.mustHold()
    const writing = { parts, overwrite, resume, mustHold, onProgress, onUnreadable }
    const runOptions = { background, check, floor, keepSourceTiles, ...writing }
    const run = new CompressionRun(plan, new SlideReader(source, onBadTile), loan, clocks, runOptions)
    const quality =
      targetBpp === undefined
        ? (givenQuality ?? DEFAULT_QUALITY)
        : await qualityForTarget(run, targetBpp, onSearch ?? (() => {}), signal)
    const bytes = await work(run, quality, signal)
    return {
      output: typeof output === 'string' ? output : output.name,
      bytes,
      sourceBytes: source.bytes,
      bpp: (8 * bytes) / plan.totalPixels,
      quality,
      seconds: (performance.now() - started) / 1000,
      tiles: run.tiles,
      blankTiles: run.blankTiles,
      device: loan.codec.device.name,
      deviceBusy: clocks.codec.share,
      readSeconds: clocks.read.seconds,
      writeSeconds: clocks.write.seconds,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      resumedTiles: run.resumedTiles,
      unreadableTiles: run.unreadable.first,
      unreadableCount: run.unreadable.count,
      warnings: warningsOf(source),
      checks: isChecked ? summarise(plan.indexes) : null,
    }
  } finally {
    if (source !== slide) source.close()
  }
}

export const COMPRESS_CHECKS: OptionChecks<CompressOptions> = {
  quality: (value, name, { targetBpp }) => {
    checkNumber(value, name, 0, 100)
    if (targetBpp !== undefined) throw outOfRange('no quality with a targetBpp', name, value)
  },
  targetBpp: (value, name) => checkPositive(value, name, 24),
  levels: checkLevels,
  tile: checkTile,
  background: (value, name) => checkOneOf(value, name, BACKGROUND_MODES),
  label: checkFlag,
  macro: checkFlag,
  layout: (value, name) => checkOneOf(value, name, LAYOUTS),
  onBadTile: (value, name) => checkOneOf(value, name, ON_BAD_TILE),
  cacheDir: checkString,
  check: (value, name) => checkOneOf(value, name, CHECK_MODES),
  minPsnr: (value, name, options) => {
    FLOOR_CHECKS.minPsnr(value, name, options)
    if (options.check === 'none') throw outOfRange('no minPsnr with check "none"', name, value)
  },
  lossless: (value, name, options) => {
    checkFlag(value, name)
    if (value === true && options.check === 'none') throw outOfRange('no lossless with check "none"', name, value)
    if (value === true && options.targetBpp !== undefined) throw outOfRange('no lossless with a targetBpp', name, value)
  },
  keepSourceTiles: (value, name, options) => {
    checkOneOf(value, name, KEEP_SOURCE_TILES)
    if (value !== 'never' && options.check === 'none') {
      throw outOfRange('"never" with check "none"', name, value)
    }
  },
  overwrite: checkFlag,
  resume: checkFlag,
  ...codecUseChecks(['encodePayload', 'encodeCheckedPayload', 'decodePayload']),
  ...SLIDE_CHOICE_CHECKS,
  onProgress: checkCallback,
  onSearch: checkCallback,
  onUnreadable: checkCallback,
  signal: checkSignal,
}

/** A side that TIFF has. */
function checkTile(tile: unknown, name: string): void {
  if (checkInteger(tile, name, TILE_MULTIPLE, MAX_TILE_SIDE) % TILE_MULTIPLE !== 0) {
    throw outOfRange(`a multiple of ${TILE_MULTIPLE}`, name, tile)
  }
}

/** How many the slide has shows when it is open. */
function checkLevels(wanted: unknown, name: string): void {
  if (wanted === 'all') return
  if (!Array.isArray(wanted)) throw wrongType('"all" or a list of level numbers', name, wanted)
  for (const level of wanted) checkInteger(level, name, 0, MAX_LEVELS - 1)
  if (!wanted.includes(0)) throw outOfRange('a list with level 0', name, wanted)
}

function chooseLevels(levels: readonly Level[], wanted: 'all' | readonly number[]): number[] {
  if (wanted === 'all') return levels.map((_, i) => i)
  for (const level of wanted) checkInteger(level, 'levels', 0, levels.length - 1)
  return [...new Set(wanted)].sort((a, b) => a - b)
}
