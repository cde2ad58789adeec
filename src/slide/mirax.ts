/**
 * MIRAX slides have many files: X.mrxs, and in the folder X beside it Slidedat.ini, which names the others and tells how
 * large images and tables are. OpenSlide reads them; here is what has to be known before it does.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const EXTENSION = '.mrxs'
/** OpenSlide reads no larger ones. */
const MAX_SLIDEDAT_BYTES = 2 ** 20

/** Most pixels of an image that OpenSlide decodes at once, of four bytes each; those of scanners have about 4 million. */
const MAX_IMAGE_PIXELS = 2 ** 26
/** Most places for images, for which OpenSlide has a table; a glass of 50 x 25 mm in images of 50 µm has 500,000. */
const MAX_PLACES = 2 ** 24
/** Most files, and levels. */
const MAX_FILES = 2 ** 16
const MAX_LEVELS = 2 ** 8

type Line = readonly [key: string, value: string]

interface Slidedat {
  readonly folder: string
  readonly path: string
  /** The lines of all groups. A key may be there more than once; OpenSlide takes its last value, in the group that it looks in. */
  readonly lines: readonly Line[]
}

/**
 * Every file that a slide is read from, as far as it is known: that of the path first, and where that is of a MIRAX slide,
 * those that belong to it. They need not be there.
 */
export function slideFiles(path: string): string[] {
  const slidedat = readSlidedat(path)
  if (!slidedat) return [path]
  const names = slidedat.lines.filter(([key]) => /^(INDEXFILE|FILE_\d+)$/.test(key)).map(([, value]) => value)
  return [...new Set([path, slidedat.path, ...names.map((name) => join(slidedat.folder, name))])]
}

/** Bytes of all files of a slide that are there. */
export function slideBytes(path: string): number {
  return slideFiles(path).reduce((sum, file) => sum + sizeOf(file), 0)
}

/**
 * What is absurd about the sizes that a MIRAX slide states, in words that follow the file's name and a colon; null if
 * nothing, or it is none: OpenSlide takes memory for them before it looks at the data, and ends the process if there is
 * none.
 */
export function absurdMirax(path: string): string | null {
  const lines = readSlidedat(path)?.lines ?? []
  /** The largest value that a key has anywhere. */
  const most = (pattern: RegExp) =>
    lines.reduce((max, [key, value]) => (pattern.test(key) ? Math.max(max, Number.parseInt(value, 10) || 0) : max), 0)
  const [width, height] = [most(/^DIGITIZER_WIDTH$/), most(/^DIGITIZER_HEIGHT$/)]
  if (width * height > MAX_IMAGE_PIXELS)
    return `Slidedat.ini has images of ${width} x ${height}, expected at most 2^26 pixels`
  const [columns, rows] = [most(/^IMAGENUMBER_X$/), most(/^IMAGENUMBER_Y$/)]
  if (columns * rows > MAX_PLACES) return `Slidedat.ini has ${columns} x ${rows} images, expected at most 2^24`
  const files = most(/^FILE_COUNT$/)
  if (files > MAX_FILES) return `Slidedat.ini has ${files} files, expected at most ${MAX_FILES}`
  const levels = most(/^HIER_\d+_COUNT$/)
  if (levels > MAX_LEVELS) return `Slidedat.ini has ${levels} levels, expected at most ${MAX_LEVELS}`
  return null
}

function readSlidedat(slide: string): Slidedat | null {
  if (!slide.endsWith(EXTENSION)) return null
  const folder = slide.slice(0, -EXTENSION.length)
  const path = join(folder, 'Slidedat.ini')
  const size = sizeOf(path)
  if (size === 0 || size > MAX_SLIDEDAT_BYTES) return null
  const text = readFileSync(path, 'utf8').replace(/^\ufeff/, '')
  const lines = text.split('\n').flatMap((line): Line[] => {
    const at = line.indexOf('=')
    return at < 0
      ? []
      : [
          [
            line.slice(0, at).trim(),
            line
              .slice(at + 1)
              .trimStart()
              .replace(/\r$/, ''),
          ],
        ]
  })
  return { folder, path, lines }
}

/** Size of a file; 0 where none is, or it can't be had. */
function sizeOf(path: string): number {
  try {
    const stats = statSync(path)
    return stats.isFile() ? stats.size : 0
  } catch {
    return 0
  }
}
