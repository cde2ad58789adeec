import { Archive } from '../archive/archive.js'
import { openAny } from '../archive/open-any.js'
import { SlideError } from '../errors.js'
import type { SlideChoice } from '../slide/choice.js'
import { contentsOf } from '../slide/open.js'
import { type HeldImage, type SlideSource, warningsOf } from '../slide/source.js'
import { checksText } from './checks-text.js'
import type { Cli, Session } from './cli.js'
import { oneLine } from './printable.js'
import { byteSize, decibels, rateText, table } from './quantities.js'
import { choiceOf, slideOptions } from './slide-options.js'

export function addInfo(cli: Cli): void {
  cli.add<SlideChoice>(
    'info <file>',
    'Levels, size, model and properties of an archive (or of a slide)',
    slideOptions,
    async (session, options, file) => {
      const opened = await open(session, file as string, options)
      if ('error' in opened) {
        session.complain(`cleric info: ${opened.error.message}`)
        return { json: opened, text: refusalText(file as string, opened), ok: false }
      }
      try {
        const json = facts(opened)
        return { json, text: text(opened, json) }
      } finally {
        opened.close()
      }
    },
    'cleric info slide.cleric.tif --json',
  )
}

/** What is said of a file that can't be opened as it is, but lists what it holds. */
interface Refused {
  readonly error: { readonly code: string; readonly message: string }
  readonly contents: readonly HeldImage[]
}

/** Opens a file, or tells what it holds if that is why nothing of it can be taken without a choice. */
async function open(session: Session, path: string, choice: SlideChoice): Promise<Archive | SlideSource | Refused> {
  try {
    return await openAny(path, { ...session.opening({}), ...choiceOf(choice) })
  } catch (error) {
    if (!(error instanceof SlideError)) throw error
    const contents = await contentsOf(path, session.signal).catch(() => null)
    if (contents === null) throw error
    return { error: { code: error.code, message: error.message }, contents }
  }
}

function refusalText(path: string, { contents }: Refused): string {
  return [`${oneLine(path)}: nothing of it is taken as it is; it holds`, '', contentsTable(contents)].join('\n')
}

function contentsTable(contents: readonly HeldImage[]): string {
  const rows = contents.map(({ page, subIfd, width, height, role }) => [
    String(page),
    subIfd === null ? '-' : String(subIfd),
    String(width),
    String(height),
    role ?? 'not taken',
  ])
  return table([['page', 'SubIFD', 'width', 'height', 'taken as'], ...rows])
}

function facts(file: Archive | SlideSource) {
  const archive = file instanceof Archive ? file : null
  const pixels = file.levels.reduce((sum, { width, height }) => sum + width * height, 0)
  const bpp = file.bytes > 0 ? (8 * file.bytes) / pixels : null
  return {
    bytes: file.bytes,
    bpp,
    ratioToRaw: bpp === null ? null : 24 / bpp,
    ratioToSource: archive && archive.source.bytes > 0 ? archive.source.bytes / archive.bytes : null,
    quality: archive?.quality ?? null,
    model: archive?.model ?? null,
    mpp: file.mpp,
    objectivePower: file.objectivePower,
    layout: archive?.layout ?? null,
    tile: archive?.tile ?? null,
    levels: file.levels.map(({ width, height, downsample }, i) => {
      const { tiles = null, blankTiles = null, unreadableTiles = null, bytes = null } = archive?.levels[i] ?? {}
      return { width, height, downsample, tiles, blankTiles, unreadableTiles, bytes }
    }),
    checks: archive?.checks ?? null,
    associatedImages: [...file.associatedImages],
    properties: { ...file.properties },
    contents: (file as SlideSource).contents ?? null,
    warnings: warningsOf(file),
  }
}

function text(file: Archive | SlideSource, json: ReturnType<typeof facts>): string {
  const lines = [`${oneLine(`${file.path}: ${file.format}`)}${json.bytes > 0 ? `, ${byteSize(json.bytes)}` : ''}`]
  if (json.bpp !== null) lines.push(rateText(json.bpp, json.ratioToSource))
  if (json.model)
    lines.push(oneLine(`model ${json.model.name} (${json.model.hash.slice(0, 16)}), quality ${json.quality}`))
  if (json.mpp) lines.push(`${json.mpp.x} x ${json.mpp.y} micrometres per pixel`)
  if (json.objectivePower !== null) lines.push(`objective power ${json.objectivePower}`)
  if (json.tile !== null) lines.push(`tiles of ${json.tile} x ${json.tile}, layout ${json.layout}`)
  const rows = json.levels.map((level, i) => [
    String(i),
    String(level.width),
    String(level.height),
    level.downsample.toFixed(2),
    ...(level.bytes === null
      ? []
      : [String(level.tiles), String(level.blankTiles), String(level.unreadableTiles), byteSize(level.bytes)]),
  ])
  const heads = ['level', 'width', 'height', 'downsample', 'tiles', 'blank', 'unreadable', 'bytes']
  lines.push('', table([heads.slice(0, rows[0]?.length), ...rows]))
  if (json.contents) lines.push('', contentsTable(json.contents))
  if (json.warnings.length > 0) lines.push('', ...json.warnings.map(oneLine))
  if (json.checks) {
    lines.push('', `PSNR of the tiles when they were written: ${checksText(json.checks)}`)
    const places = json.checks.worst.map(({ level, column, row, psnr, codec }) =>
      [level, column, row, decibels(psnr), codec ?? 'unknown'].map(String),
    )
    lines.push('', table([['level', 'column', 'row', 'worst', 'stored by'], ...places]))
  }
  if (json.associatedImages.length > 0)
    lines.push('', `associated images: ${json.associatedImages.map(oneLine).join(', ')}`)
  const properties = Object.entries(json.properties).sort(([a], [b]) => (a < b ? -1 : 1))
  if (properties.length > 0) lines.push('')
  for (const [key, value] of properties) lines.push(oneLine(`${key}: ${shortened(value)}`))
  return lines.join('\n')
}

function shortened(value: string): string {
  const line = value.replace(/\s+/g, ' ')
  return line.length > 160 ? `${line.slice(0, 157)}...` : line
}
