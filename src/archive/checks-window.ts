/** How near the tiles of an archive came to the slide, and what stores them, for a page that colours them by it. */
import { kindOf, type TileIndex } from '../tiff/tile-index.js'
import type { Archive } from './archive.js'
import { decodeCheck } from './tile-checks.js'

/** Most tiles of one answer: 128 x 128. */
export const MOST_TILES = 16384

/** dB; JSON has no Infinity. */
type Psnr = number | 'unchanged'

function psnrOf(psnr: number): Psnr {
  return Number.isFinite(psnr) ? psnr : 'unchanged'
}

/** The checks of the whole archive; `checks` is null if its tiles weren't checked. */
export function checksOf({ version, checks, levels }: Archive) {
  const summary = checks && {
    ...checks,
    psnr: Object.fromEntries(Object.entries(checks.psnr).map(([share, psnr]) => [share, psnrOf(psnr)])),
    worst: checks.worst.map((tile) => ({ ...tile, psnr: psnrOf(tile.psnr) })),
  }
  const sizes = levels.map(({ width, height, downsample, columns, rows, tileWidth, tileHeight }) => {
    return { width, height, downsample, columns, rows, tileWidth, tileHeight }
  })
  return { version, checks: summary, levels: sizes }
}

/**
 * The checks of the tiles of a window, row by row.
 *
 * @param asked the parameters of the address: `level`, and the window's `column`, `row`, `columns` and `rows` in tiles
 * @returns the answer, or what is wrong with the question
 */
export function checksWindow(archive: Archive, asked: ReadonlyMap<string, unknown>) {
  const numbers = new Map<string, number>()
  for (const [name, value] of asked) {
    if (!PARAMETERS.includes(name)) return `Expected one of ${PARAMETERS.join(', ')} but received ${name}`
    // It is a list if the address has the parameter twice.
    if (typeof value !== 'string' || !/^\d{1,7}$/.test(value)) return `Expected a whole number for ${name}`
    numbers.set(name, Number(value))
  }
  const level = numbers.get('level')
  if (level === undefined) return 'Expected a level'
  const index = archive.indexes[level]
  if (!index) return `Expected 0 to ${archive.indexes.length - 1} for level but received ${level}`
  const { column = 0, row = 0 } = Object.fromEntries(numbers)
  const { columns = index.columns - column, rows = index.rows - row } = Object.fromEntries(numbers)
  const isWithin = columns >= 1 && rows >= 1 && column + columns <= index.columns && row + rows <= index.rows
  if (!isWithin) return `Expected a window within the ${index.columns} x ${index.rows} tiles of level ${level}`
  if (columns * rows > MOST_TILES) return `Expected at most ${MOST_TILES} tiles but received ${columns} x ${rows}`
  const { tileWidth, tileHeight } = index
  const { downsample } = archive.levels[level] as Archive['levels'][number]
  const window = { level, column, row, columns, rows, tileWidth, tileHeight, downsample }
  return { version: archive.version, ...window, ...checksWithin(index, window) }
}

const PARAMETERS = ['level', 'column', 'row', 'columns', 'rows']

interface Window {
  readonly column: number
  readonly row: number
  readonly columns: number
  readonly rows: number
}

/** `state` has a digit a tile, of `TILE` in `tiff/tile-index.ts`. */
function checksWithin(index: TileIndex, { column, row, columns, rows }: Window) {
  const psnr: (Psnr | null)[] = []
  const codec: (string | null)[] = []
  let state = ''
  for (let y = row; y < row + rows; y++) {
    for (let x = column; x < column + columns; x++) {
      const at = y * index.columns + x
      const check = decodeCheck(index.checks, at)
      psnr.push(check && psnrOf(check.psnr))
      codec.push(check && (check.codec ?? 'unknown'))
      state += kindOf(index, at)
    }
  }
  return { psnr, codec, state }
}
