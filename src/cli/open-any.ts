import { open } from 'node:fs/promises'
import { type Archive, type ArchiveOptions, openArchive } from '../archive/archive.js'
import { HEAD_BYTES, isArchive } from '../archive/format.js'
import { openSlide } from '../slide/open.js'
import type { SlideSource } from '../slide/source.js'

/** The first bytes of a file; none if there is no such file, or it is a folder. */
export async function firstBytes(path: string): Promise<Uint8Array> {
  const handle = await open(path, 'r').catch(() => null)
  if (!handle) return new Uint8Array(0)
  try {
    if (!(await handle.stat()).isFile()) return new Uint8Array(0)
    const { buffer, bytesRead } = await handle.read(new Uint8Array(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** Opens an archive (told by its first bytes), a slide, an image, or a drawn slide. */
export async function openAny(path: string, options: ArchiveOptions): Promise<Archive | SlideSource> {
  return isArchive(await firstBytes(path)) ? openArchive(path, options) : openSlide(path)
}
