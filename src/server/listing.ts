/** Which files the server shows, told by their names alone: nothing is opened for a list. */
import { readdir } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'

const ARCHIVES = ['.cleric.tif', '.cleric']
/** Slides that are one file, or, as MIRAX has it, a file with a folder of the same name beside it. */
const SLIDES = ['.svs', '.tif', '.tiff', '.ndpi', '.scn', '.bif', '.svslide', '.mrxs']
/** Folders below the one that is served. */
const MAX_DEPTH = 8

export function isArchiveName(name: string): boolean {
  return !name.includes('\0') && ARCHIVES.some((suffix) => name.endsWith(suffix))
}

/** Whether a file of that name is shown if a folder is served that holds it. */
export function isSlideName(name: string): boolean {
  return isArchiveName(name) || (!name.includes('\0') && SLIDES.includes(extname(name).toLowerCase()))
}

/** The names that a slide may have which an archive was made of: the archive's own with another suffix. */
export function sourceNamesOf(archive: string): string[] {
  const suffix = ARCHIVES.find((end) => archive.endsWith(end))
  if (suffix === undefined) return []
  return SLIDES.map((end) => archive.slice(0, -suffix.length) + end)
}

/** Names of the slides below a folder, relative to it, with "/" between folders, sorted. */
export async function namesBelow(root: string): Promise<string[]> {
  const names: string[] = []
  const walk = async (folder: string, depth: number): Promise<void> => {
    // A folder that may not be read, or is gone by now, hides no others.
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const path = join(folder, entry.name)
      if (entry.isDirectory() && depth < MAX_DEPTH) await walk(path, depth + 1)
      else if (entry.isFile() && isSlideName(entry.name)) names.push(relative(root, path).split(sep).join('/'))
    }
  }
  await walk(root, 0)
  return names.sort()
}
