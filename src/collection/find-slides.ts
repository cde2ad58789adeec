/** The slides of a collection: files, and whatever lies in folders, each with the name that its archive is to have. */
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { outOfRange } from '../arguments.js'
import { ClericError } from '../errors.js'

/** A slide of a collection. */
export interface CollectionSlide {
  readonly path: string
  /** Its archive's path in the collection's folder, with slashes; no two slides have the same. */
  readonly archive: string
}

/**
 * What is taken from folders: the endings of what OpenSlide reads, but for DICOM, where a slide is many files. Pictures
 * (PNG, JPEG, WebP) have to be named, as beside slides they mostly are thumbnails and labels.
 */
const SLIDE_NAME = /\.(svs|tiff?|btf|ndpi|vms|vmu|scn|mrxs|svslide|bif|czi|qptiff)$/i

const ARCHIVE_NAME = /\.cleric\.tiff?$/i

/** Most folders inside each other; deeper ones are refused, as no collection is laid out so. */
const MAX_DEPTH = 64

/**
 * Finds the slides of these files and folders, sorted by the names of their archives. Folders are searched to the
 * bottom, but for hidden ones; links to folders aren't followed. Archives are left out, unless named as a file.
 *
 * @throws ENOENT and the like for an input that isn't there; RangeError for two slides whose archives would have one name;
 * ClericError ERR_FILE_EXISTS for folders nested too deeply
 * @example
 * await findSlides(['scans', 'x.svs']) // [{ path: 'scans/a/b.ndpi', archive: 'a/b.cleric.tif' }, ...]
 */
export async function findSlides(inputs: readonly string[]): Promise<CollectionSlide[]> {
  return nameArchives(await slidesAt(inputs))
}

/** A slide, and its name below the folder that was given. */
export interface FoundSlide {
  readonly path: string
  readonly name: string
}

/** The same without names for archives. */
export async function slidesAt(inputs: readonly string[]): Promise<FoundSlide[]> {
  const found = new Map<string, FoundSlide>()
  for (const input of inputs) {
    if (input.startsWith('synthetic:')) found.set(input, { path: input, name: input.replace(/[^\w.-]/g, '-') })
    else if (!(await stat(input)).isDirectory()) found.set(input, { path: input, name: basename(input) })
    else {
      for await (const path of slidesIn(input, MAX_DEPTH)) found.set(path, { path, name: relative(input, path) })
    }
  }
  return [...found.values()]
}

async function* slidesIn(folder: string, depth: number): AsyncGenerator<string> {
  if (depth === 0)
    throw new ClericError('ERR_NOT_WRITABLE', `${folder}: folders are nested more than ${MAX_DEPTH} deep`)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* slidesIn(path, depth - 1)
    else if (isSlideName(entry.name) && (await isFile(entry, path))) yield path
  }
}

/** A link to a file counts as one. */
async function isFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile()
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )
}

/** Whether a file of that name is taken from a folder. */
export function isSlideName(name: string): boolean {
  return SLIDE_NAME.test(name) && !ARCHIVE_NAME.test(name)
}

/** `a.svs` becomes `a.cleric.tif`; where another slide would too, both keep their endings: `a.svs.cleric.tif`. */
export function nameArchives(slides: readonly FoundSlide[]): CollectionSlide[] {
  const short = slides.map(({ name }) => join(dirname(name), basename(name).replace(/\.[^.]*$/, '')))
  const counts = new Map<string, number>()
  // Some file systems don't tell A from a.
  for (const name of short) counts.set(name.toLowerCase(), (counts.get(name.toLowerCase()) ?? 0) + 1)
  const taken = new Map<string, string>()
  const all = slides.map(({ path, name }, i) => {
    const base = short[i] as string
    const unique = (counts.get(base.toLowerCase()) as number) > 1 ? name : base
    const archive = `${unique.split(sep).join('/')}.cleric.tif`
    const other = taken.get(archive.toLowerCase())
    if (other !== undefined) throw outOfRange(`slides of different names, not ${other} too`, 'inputs', path)
    taken.set(archive.toLowerCase(), path)
    return { path, archive }
  })
  return all.sort((a, b) => (a.archive < b.archive ? -1 : 1))
}
