import { UnsupportedError } from '../errors.js'
import { firstBytes, isAddress } from '../files/byte-source.js'
import { type OpenSlideOptions, openSlide } from '../slide/open.js'
import type { SlideSource } from '../slide/source.js'
import { type Archive, type ArchiveOptions, openArchive } from './archive.js'
import { isArchive } from './head-reader.js'

/**
 * Opens an archive (told by its first bytes, or by an http(s) address), a slide, an image, or a drawn slide. Of an
 * archive OpenSlide would show no more than the overview.
 */
export async function openAny(
  path: string,
  { cacheDir, ...options }: ArchiveOptions & OpenSlideOptions,
): Promise<Archive | SlideSource> {
  if (isAddress(path)) return openRemote(path, options)
  if (isArchive(await firstBytes(path))) return openArchive(path, options)
  return openSlide(path, { cacheDir, signal: options.signal })
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
