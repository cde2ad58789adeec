import { firstBytes } from '../files/byte-source.js'
import { openSlide } from '../slide/open.js'
import type { SlideSource } from '../slide/source.js'
import { type Archive, type ArchiveOptions, openArchive } from './archive.js'
import { isArchive } from './head-reader.js'

/**
 * Opens an archive (told by its first bytes), a slide, an image, or a drawn slide. Of an archive OpenSlide would show
 * no more than the overview.
 */
export async function openAny(path: string, options: ArchiveOptions): Promise<Archive | SlideSource> {
  return isArchive(await firstBytes(path)) ? openArchive(path, options) : openSlide(path, { signal: options.signal })
}
