import { UnsupportedError } from '../errors.js'
import { isAddress } from '../files/byte-source.js'
import { firstBytes } from '../files/local-file.js'
import { publicName } from '../files/name.js'
import { isChoice } from '../slide/choice.js'
import { type OpenSlideOptions, openSlide } from '../slide/open.js'
import type { SlideSource } from '../slide/source.js'
import { type Archive, type ArchiveOptions, openArchive } from './archive.js'
import { isArchive } from './head-reader.js'

/** Whether a file is an archive, by its first bytes, or may only be one, as it is an address. */
export async function isArchiveFile(path: string): Promise<boolean> {
  return isAddress(path) || isArchive(await firstBytes(path))
}

/**
 * Opens an archive (told by its first bytes, or by an http(s) address), a slide, an image, or a drawn slide. Of an
 * archive OpenSlide would show no more than the overview.
 */
export async function openAny(
  path: string,
  { cacheDir, page, series, range, ...options }: ArchiveOptions & OpenSlideOptions,
): Promise<Archive | SlideSource> {
  const choice = { page, series, range }
  if (!(await isArchiveFile(path)))
    return openSlide(path, { ...choice, cacheDir, icc: options.icc, signal: options.signal })
  if (isChoice(choice)) {
    throw new UnsupportedError(
      'ERR_ARCHIVE_UNSUPPORTED',
      `${publicName(path)} is an archive: it takes no page, series or range`,
    )
  }
  return isAddress(path) ? openRemote(path, options) : openArchive(path, options)
}

async function openRemote(address: string, options: ArchiveOptions): Promise<Archive> {
  try {
    return await openArchive(address, options)
  } catch (cause) {
    if (!(cause instanceof UnsupportedError)) throw cause
    const what = `${cause.message}; of a server only archives are read: fetch the file first, and give its path`
    throw new UnsupportedError(cause.code, what, { cause })
  }
}
