import { Archive } from '../archive/archive.js'
import { isArchiveFile, openAny } from '../archive/open-any.js'
import type { CodecChoice } from '../codec/arguments.js'
import { UnsupportedError } from '../errors.js'
import { compareSlides, type LevelComparison, matchingLevels } from '../metrics/compare.js'
import type { SlideChoice } from '../slide/choice.js'
import { type SlideSource, warningsOf } from '../slide/source.js'
import { type Cli, cacheDirOption, codecOptions, type Session } from './cli.js'
import { byteSize, decibels, rateText, table } from './quantities.js'
import { choiceOf, slideOptions } from './slide-options.js'

interface Options extends CodecChoice, SlideChoice {
  readonly cacheDir?: string
}

export function addCompare(cli: Cli): void {
  cli.add<Options>(
    'compare <a> <b>',
    'PSNR, MS-SSIM and largest error of two slides, archives or images, per level',
    (command) => codecOptions(cacheDirOption(slideOptions(command))),
    async (session, options, a, b) => {
      const areArchives = await Promise.all([a, b].map((path) => isArchiveFile(path as string)))
      const opening = { ...session.opening(options), cacheDir: options.cacheDir }
      // A choice is about what isn't an archive; two archives leave none to choose from.
      const open = (path: string | undefined, isArchive: boolean | undefined) => {
        const choice = isArchive && !areArchives.every(Boolean) ? {} : choiceOf(options)
        return openAny(path as string, { ...opening, ...choice })
      }
      const first = await open(a, areArchives[0])
      try {
        const second = await open(b, areArchives[1])
        try {
          return await compare(session, first, second)
        } finally {
          second.close()
        }
      } finally {
        first.close()
      }
    },
    'cleric compare slide.svs slide.cleric.tif',
  )
}

async function compare(session: Session, a: Archive | SlideSource, b: Archive | SlideSource) {
  if (matchingLevels(a, b).length === 0) {
    const size = ({ levels }: SlideSource) => `${levels[0]?.width} x ${levels[0]?.height}`
    const what = `${a.path} (${size(a)}) and ${b.path} (${size(b)}) have no level of the same size`
    throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what)
  }
  const levels = await compareWithProgress(session, a, b)
  const cost = rate(a, b)
  const warnings = [a, b].flatMap((slide) => warningsOf(slide).map((warning) => `${slide.path}: ${warning}`))
  for (const warning of warnings) session.warn(warning)
  const json = {
    ...cost,
    // JSON has no Infinity: equal levels have psnr null and maxError 0.
    levels: levels.map(({ psnr, ...rest }) => ({ ...rest, psnr: Number.isFinite(psnr) ? psnr : null })),
    warnings,
  }
  return { json, text: describe(cost, levels) }
}

export async function compareWithProgress(
  session: Session,
  a: SlideSource,
  b: SlideSource,
): Promise<LevelComparison[]> {
  const progress = session.progress('compare')
  try {
    return await compareSlides(a, b, {
      signal: session.signal,
      onProgress: (done, total) => progress.update(done, total),
    })
  } finally {
    progress.end()
  }
}

/** Size and rate of the archive among the two; of the second if both are archives. */
function rate(a: Archive | SlideSource, b: Archive | SlideSource) {
  const archive = b instanceof Archive ? b : a instanceof Archive ? a : null
  if (!archive) return { bytes: null, bpp: null, ratioToRaw: null, ratioToSource: null }
  const sourceBytes = archive.source.bytes
  return {
    bytes: archive.bytes,
    bpp: archive.bpp,
    ratioToRaw: 24 / archive.bpp,
    ratioToSource: sourceBytes > 0 ? sourceBytes / archive.bytes : null,
  }
}

function describe(cost: ReturnType<typeof rate>, levels: readonly LevelComparison[]): string {
  const rows = levels.map(({ level, width, height, psnr, msSsim, maxError }) => [
    String(level),
    `${width} x ${height}`,
    decibels(psnr),
    msSsim === null ? '-' : msSsim.toFixed(5),
    String(maxError),
  ])
  const lines = [table([['level', 'size', 'PSNR', 'MS-SSIM', 'max error'], ...rows])]
  if (cost.bytes !== null) lines.unshift(`${byteSize(cost.bytes)}, ${rateText(cost.bpp, cost.ratioToSource)}`)
  return lines.join('\n')
}
