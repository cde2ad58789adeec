import { type Archive, type ArchiveOptions, openArchive } from '../archive/archive.js'
import { firstBytes } from '../archive/byte-source.js'
import { isArchive } from '../archive/reader.js'
import { openSlide } from '../slide/open.js'
import type { SlideSource } from '../slide/source.js'

/** Opens an archive (told by its first bytes), a slide, an image, or a drawn slide. */
export async function openAny(path: string, options: ArchiveOptions): Promise<Archive | SlideSource> {
  return isArchive(await firstBytes(path)) ? openArchive(path, options) : openSlide(path)
}
