import { statSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { LAYOUTS, type Layout } from '../archive/head-writer.js'
import type { CheckSummary } from '../archive/tile-checks.js'
import type { CodecChoice } from '../codec/arguments.js'
import type { PayloadKind } from '../codec/bitstream.js'
import { DEFAULT_QUALITY } from '../codec/gain.js'
import { BACKGROUND_MODES, type BackgroundMode } from '../compress/blank.js'
import { type CompressOptions, type CompressResult, compressSlide } from '../compress/compress.js'
import { isResumable } from '../compress/file-store.js'
import { CHECK_MODES, type CheckMode } from '../compress/run.js'
import { ON_BAD_TILE, type OnBadTile } from '../compress/slide-reader.js'
import { KEEP_SOURCE_TILES, type KeepSourceTiles } from '../compress/source-jpegs.js'
import { nameOf } from '../files/name.js'
import type { SlideChoice } from '../slide/choice.js'
import { withArchiveOutput } from './archive-output.js'
import { CODEC_NAMES, checksText } from './checks-text.js'
import { type Cli, cacheDirOption, codecOptions, type Session } from './cli.js'
import { collectionOutcome, compressManyWithProgress } from './compress-collection.js'
import { WithHint } from './failure.js'
import { DASH, expandPatterns, withInput } from './inputs.js'
import {
  byteSize,
  counted,
  duration,
  integerFrom,
  levelList,
  numberFrom,
  oneOf,
  positiveNumber,
  rateText,
} from './quantities.js'
import { slideOptions, warnOf } from './slide-options.js'
import { tileSide } from './tile-side.js'

/** Values of {@link archiveOptions}. */
export interface ArchiveOptionValues {
  readonly quality?: number
  readonly targetBpp?: number
  readonly levels: 'all' | number[]
  readonly tile?: number
  readonly background: BackgroundMode
  readonly label: boolean
  readonly macro: boolean
  readonly layout: Layout
  readonly onBadTile: OnBadTile
  /** false: `--no-check`. */
  readonly check: CheckMode | false
  readonly minPsnr?: number
  readonly lossless?: boolean
  readonly keepSourceTiles?: KeepSourceTiles
}

interface Options extends ArchiveOptionValues, CodecChoice, SlideChoice {
  readonly output?: string
  readonly outputDir?: string
  readonly jobs?: number
  readonly cacheDir?: string
  readonly resume?: boolean
  readonly overwrite?: boolean
}

export function addCompress(cli: Cli): void {
  const severalTo = new Option('--output-dir <folder>', 'for several slides, or folders of them: where the archives go')
  cli.add<Options>(
    'compress <slide...>',
    'Compress a slide into an archive, or several slides, and folders of them, into a folder of archives',
    (command) =>
      codecOptions(
        archiveOptions(
          cacheDirOption(slideOptions(command)).option(
            '-o, --output <file>',
            'archive to write, or - for stdout (default: the name of the slide with .cleric.tif)',
          ),
        )
          .addOption(severalTo.conflicts(['output', 'page', 'series', 'range']))
          .option('--jobs <number>', 'of several slides, how many at a time', integerFrom(1, 64))
          .option('--resume', 'go on from an interrupted run with the same slide, model and options')
          .option('--overwrite', 'replace an existing file'),
      ),
    async (session, { output: named, outputDir, jobs, ...options }, ...inputs) => {
      const slides = await expandPatterns(inputs)
      const [slide] = slides
      if (outputDir !== undefined) {
        return collectionOutcome(await compressManyWithProgress(session, slides, outputDir, { ...options, jobs }))
      }
      if (jobs !== undefined || slides.length > 1 || isFolder(slide as string)) {
        throw new InvalidArgumentError('Several slides, or a folder of them, and --jobs take --output-dir FOLDER.')
      }
      if (slide === DASH && named === undefined) throw new InvalidArgumentError('What comes from stdin takes -o.')
      const output = named ?? `${nameOf(slide as string).replace(/\.[^.]*$/, '')}.cleric.tif`
      return withInput(session, slide as string, async (source) => {
        const write = (path: string) => compressWithProgress(session, source, path, options)
        return compressOutcome(session, { ...(await withArchiveOutput(session, output, write)), output })
      })
    },
    'cleric compress slide.svs -o slide.cleric.tif --quality 60',
  )
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    // Opening it will say why it can't be read.
    return false
  }
}

/** The options that say what an archive holds. */
export function archiveOptions(command: Command): Command {
  return qualityOptions(command)
    .option('--levels <list>', '"all", or the levels to keep, such as 0,2', levelList, 'all' as const)
    .option(
      '--tile <pixels>',
      "side of a tile (default: 512, or the most below it that is made up of the slide's own JPEG tiles)",
      tileSide,
    )
    .option(
      '--background <mode>',
      'glass: keep (as it is), white, or auto (its mean colour)',
      oneOf(BACKGROUND_MODES),
      'auto' as const,
    )
    .option(
      '--keep-source-tiles <when>',
      "store the slide's own JPEG tiles as they are: auto (where that costs least), always (where they fit), or never " +
        '(default: auto)',
      oneOf(KEEP_SOURCE_TILES),
    )
    .option('--no-label', 'leave the label out, and properties that may identify')
    .option('--no-macro', 'leave the macro image out, and properties that may identify')
    .option(
      '--layout <name>',
      'compat: other programs open it as a low-power slide; strict: the levels come first',
      oneOf(LAYOUTS),
      'compat' as const,
    )
    .addOption(onBadTileOption())
}

/** The option of what becomes of places where the slide can't be read. */
export function onBadTileOption(): Option {
  const about = 'where the slide can not be read: fail, or put the background there'
  return new Option('--on-bad-tile <what>', about).argParser(oneOf(ON_BAD_TILE)).default('fail' satisfies OnBadTile)
}

/** The options of rate and quality. */
export function qualityOptions(command: Command): Command {
  const target = new Option('--target-bpp <number>', 'instead of a quality: the bits a pixel that the file is to have')
  return command
    .option('--quality <number>', `0 (smallest) to 100 (best) (default: ${DEFAULT_QUALITY})`, numberFrom(0, 100))
    .addOption(target.argParser(positiveNumber(24)).conflicts('quality'))
    .option(
      '--check <how>',
      'compare every tile with the slide, and decode some from their bytes alone: sample, or full (all)',
      oneOf(CHECK_MODES),
      'sample' as const,
    )
    .option('--no-check', 'store what the network encodes, unseen')
    .option('--min-psnr <dB>', 'PSNR that every tile has at least, where need be without loss', positiveNumber(100))
    .addOption(new Option('--lossless', 'store every tile without loss').conflicts(['quality', 'targetBpp', 'minPsnr']))
}

export async function compressWithProgress(
  session: Session,
  slide: Parameters<typeof compressSlide>[0],
  output: string,
  { model, device, adapter, check, ...options }: Omit<CompressOptions, 'check'> & { check?: CheckMode | false },
): Promise<CompressResult> {
  const search = session.progress('find the quality')
  const progress = session.progress('compress')
  let hasBegun = false
  try {
    const result = await compressSlide(slide, output, {
      ...options,
      check: check === false ? 'none' : check,
      ...session.codec({ model, device, adapter }),
      signal: session.signal,
      onProgress: ({ tiles, totalTiles, pixels, totalPixels, bytes }) => {
        if (!hasBegun) search.end()
        hasBegun = true
        progress.update(pixels, totalPixels, `tile ${tiles} of ${totalTiles}, ${byteSize(bytes)}`)
      },
      onSearch: ({ done, total, tried }) => {
        const last = tried && `quality ${tried.quality} gives ${tried.bpp.toPrecision(3)} bpp`
        search.update(done, total, last ?? 'looking at tiles')
      },
      onUnreadable: ({ level, column, row, isPartial, reason }) => {
        progress.end()
        session.warn(
          `tile at level ${level}, column ${column}, row ${row} is background${isPartial ? ' in places' : ''}: ${reason ?? 'unreadable'}`,
        )
      },
    })
    progress.end()
    warnOf(session, typeof slide === 'string' ? slide : slide.path, result.warnings)
    return result
  } catch (error) {
    // The files beside the output may be another run's: an earlier one that this run didn't resume, or one that took
    // them over.
    const isOwn = hasBegun && isResumable(output) && (error as { code?: unknown }).code !== 'ERR_FILE_EXISTS'
    throw isOwn ? new WithHint(error, '; to go on from there, give the same command with --resume') : error
  } finally {
    search.end()
    progress.end()
  }
}

/** Share of tiles stored by classic codecs from which on the model is said to be the wrong one. */
const MANY = 0.25

export function compressOutcome(session: Session, result: CompressResult) {
  const { output, bytes, sourceBytes, bpp, quality, seconds, tiles, blankTiles, device, deviceBusy } = result
  const { resumedTiles, unreadableCount, checks } = result
  const counts = [
    `${blankTiles} blank`,
    ...(resumedTiles > 0 ? [`${resumedTiles} from the interrupted run`] : []),
    ...(unreadableCount > 0 ? [`${unreadableCount} unreadable in the slide`] : []),
  ]
  const others = checks && othersText(checks)
  if (others !== null) session.warn(others)
  return {
    json: result,
    text: [
      `${output}: ${byteSize(bytes)}, quality ${quality}, ${rateText(bpp, sourceBytes > 0 ? sourceBytes / bytes : null)}`,
      `${counted(tiles, 'tile')} (${counts.join(', ')}) in ${duration(seconds)} on ${device}, busy ${(100 * deviceBusy).toFixed(0)} %`,
      ...(checks ? [`every tile was decoded and checked: ${checksText(checks)}`] : []),
    ].join('\n'),
  }
}

/** What is said if many tiles were not stored by the network; null if few were. */
function othersText({ tiles, psnr, codecs }: CheckSummary): string | null {
  const { cleric = 0, source = 0, ...others } = codecs
  // What comes from the slide itself can't be had better, and what is without any loss is as it was asked for.
  if ((tiles - cleric - source) / tiles < MANY || psnr.least === Number.POSITIVE_INFINITY) return null
  const [name, count] = Object.entries(others).reduce((most, other) => (other[1] > most[1] ? other : most))
  const share = `${((100 * count) / tiles).toFixed(0)} % of the tiles were stored as ${CODEC_NAMES[name as PayloadKind]}`
  return `${share}: this model was made for H&E, at low and middle qualities, and that was no JPEG before`
}
