import { UnsupportedError } from '../errors.js'
import { firstBytes } from '../files/byte-source.js'
import { isChoice, type SlideChoice } from '../slide/choice.js'
import { openSlide } from '../slide/open.js'
import type { SlideSource } from '../slide/source.js'
import { type Archive, type ArchiveOptions, openArchive } from './archive.js'
import { isArchive } from './head-reader.js'

/** Whether a file is an archive, by its first bytes. */
export async function isArchiveFile(path: string): Promise<boolean> {
  return isArchive(await firstBytes(path))
}

/**
 * Opens an archive (told by its first bytes), a slide, an image, or a drawn slide. Of an archive OpenSlide would show
 * no more than the overview.
 */
export async function openAny(
  path: string,
  { page, series, range, ...options }: ArchiveOptions & SlideChoice,
): Promise<Archive | SlideSource> {
  if (!(await isArchiveFile(path))) return openSlide(path, { page, series, range, signal: options.signal })
  if (!isChoice({ page, series, range })) return openArchive(path, options)
  const what = `${path} is an archive: it takes no page, series or range`
  throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', what)
}
