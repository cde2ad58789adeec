/**
 * A folder of page, decoder, models and archives that any web server or object store can serve: nothing runs there, as the
 * browser decodes.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Archive, openArchive } from '../archive/archive.js'
import { Pyramid } from '../archive/pyramid.js'
import { modelMismatch } from '../codec/model-mismatch.js'
import { ClericError, throwIfAborted } from '../errors.js'
import { makeFolder } from '../files/make-folder.js'
import { nameOf, publicName } from '../files/name.js'
import { refuseExisting } from '../files/output.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { TileCache } from '../image/tile-cache.js'
import { parseModel } from '../model/model.js'
import { modelBytes } from '../model/model-bytes.js'

/** The page, as `npm run build:viewer` made it. */
const PAGE = fileURLToPath(new URL('../../dist/viewer', import.meta.url))
/** The list of slides, by which the page knows that there is no `cleric serve`, and a folder that it is one of these. */
const LIST = 'slides.json'
const COPY_BYTES = 2 ** 23
const THUMBNAIL = 256

export interface StaticOptions {
  /** Models that the archives need, at least one, each a name or a file; default: the one that ships. */
  readonly models?: readonly string[] | undefined
  /** Replaces a folder that an earlier run wrote. */
  readonly overwrite?: boolean | undefined
  /** Called with the bytes of archives that are written, and of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface StaticResult {
  readonly output: string
  /** Bytes of all files. */
  readonly bytes: number
  readonly slides: readonly { readonly name: string; readonly bytes: number; readonly model: string }[]
}

interface KnownModel {
  readonly name: string
  readonly hash: string
  readonly bytes: Uint8Array
}

/** A slide in the list that the page reads (`viewer/src/shelf/static.ts`); addresses are relative to the page. */
interface ListedSlide {
  readonly name: string
  readonly archive: string
  readonly model: string
  readonly thumbnail: string | null
}

/**
 * Writes the folder of some archives, paths or URLs. It has its name when it is whole.
 *
 * @throws UnsupportedError ERR_ARCHIVE_UNSUPPORTED for what is no archive, ERR_MODEL_MISMATCH for one of a model that is not
 * given; ClericError ERR_FILE_EXISTS for a folder that is there, or two archives of one name
 */
export async function writeStaticFolder(
  archives: readonly string[],
  output: string,
  { models = ['s'], overwrite = false, onProgress = () => {}, signal }: StaticOptions = {},
): Promise<StaticResult> {
  refuseFolder(output, overwrite)
  refuseTwins(archives)
  const known: KnownModel[] = []
  for (const model of models) {
    const bytes = await modelBytes(model)
    const { name, hash } = await parseModel(bytes)
    known.push({ name, hash, bytes })
  }
  const partial = `${output}.partial`
  await rm(partial, { recursive: true, force: true })
  try {
    const folder = new Folder(partial)
    await folder.make()
    const opened: Archive[] = []
    try {
      // All are looked at before the first is copied.
      for (const path of archives) opened.push(await openFitting(path, known, signal))
      const slides = await copyArchives(folder, opened, onProgress, signal)
      const used = new Set(opened.map(({ model }) => model.hash))
      for (const { hash, bytes } of known) if (used.delete(hash)) await folder.write(modelAddress(hash), bytes)
      await copyPage(folder)
      await folder.write(LIST, JSON.stringify({ slides }, null, 2))
    } finally {
      for (const archive of opened) archive.close()
    }
    throwIfAborted(signal)
    await replace(partial, output)
    return {
      output,
      bytes: folder.bytes,
      slides: opened.map(({ path, bytes, model }) => ({ name: nameOf(path), bytes, model: model.name })),
    }
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  }
}

/** Writes files below a folder, and counts their bytes. */
class Folder {
  readonly #path: string
  bytes = 0

  constructor(path: string) {
    this.#path = path
  }

  async make(): Promise<void> {
    for (const part of ['archives', 'models', 'thumbnails']) await makeFolder(join(this.#path, part))
  }

  async write(name: string, content: Uint8Array | string): Promise<void> {
    await this.fill(name, async (file) => {
      await file.writeFile(content)
    })
  }

  async fill(name: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
    const file = await open(join(this.#path, name), 'wx')
    try {
      await fill(file)
      this.bytes += (await file.stat()).size
    } finally {
      await file.close()
    }
  }
}

function refuseFolder(output: string, overwrite: boolean): void {
  refuseExisting(output, overwrite)
  // What is replaced is removed: it must be nothing else than what an earlier run has written.
  if (existsSync(output) && !existsSync(join(output, LIST))) {
    throw new ClericError('ERR_FILE_EXISTS', `${output} is there, and no folder that cleric static wrote`)
  }
}

function refuseTwins(archives: readonly string[]): void {
  const seen = new Map<string, string>()
  for (const path of archives) {
    const twin = seen.get(nameOf(path))
    if (twin !== undefined) {
      throw new ClericError(
        'ERR_FILE_EXISTS',
        `${publicName(twin)} and ${publicName(path)} have one name, which a folder can have only once`,
      )
    }
    seen.set(nameOf(path), path)
  }
}

async function openFitting(
  path: string,
  models: readonly KnownModel[],
  signal: AbortSignal | undefined,
): Promise<Archive> {
  const archive = await openArchive(path, { signal })
  if (models.some(({ hash }) => hash === archive.model.hash)) return archive
  archive.close()
  throw modelMismatch(path, archive.model, models[0] as KnownModel)
}

function modelAddress(hash: string): string {
  return `models/${hash}.safetensors`
}

async function copyArchives(
  folder: Folder,
  archives: readonly Archive[],
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal | undefined,
): Promise<ListedSlide[]> {
  const total = archives.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  const slides: ListedSlide[] = []
  for (const archive of archives) {
    const name = nameOf(archive.path)
    await folder.fill(`archives/${name}`, async (file) => {
      for (let offset = 0; offset < archive.bytes; offset += COPY_BYTES) {
        const length = Math.min(COPY_BYTES, archive.bytes - offset)
        await file.writeFile(await archive.readBytes(offset, length, signal))
        done += length
        onProgress(done, total)
      }
    })
    const thumbnail = await thumbnailOf(archive, signal)
    // Names of other alphabets are no good names of files for every object store.
    const picture = thumbnail && `thumbnails/${createHash('sha256').update(name).digest('hex').slice(0, 16)}.jpeg`
    if (thumbnail && picture) await folder.write(picture, thumbnail)
    slides.push({
      name,
      archive: `archives/${encodeURIComponent(name)}`,
      model: modelAddress(archive.model.hash),
      thumbnail: picture,
    })
  }
  return slides
}

/** From the overview, in which nothing is decoded; null where an archive has none. */
async function thumbnailOf(archive: Archive, signal: AbortSignal | undefined): Promise<Uint8Array | null> {
  const pyramid = new Pyramid(archive, new TileCache(0))
  if (pyramid.overviewLevel === null) return null
  // The finest level that fits into a tile.
  const tile = await pyramid.tile(Math.min(9, pyramid.overviewLevel), 0, 0, signal)
  if (!tile) return null
  return fromImage(tile.image)
    .resize(THUMBNAIL, THUMBNAIL, { fit: 'inside', withoutEnlargement: true })
    .jpeg(JPEG.thumbnail)
    .toBuffer()
}

async function copyPage(folder: Folder): Promise<void> {
  for (const name of await readdir(PAGE)) {
    const bytes = await readFile(join(PAGE, name))
    await folder.write(name, name === 'index.html' ? withList(bytes.toString()) : bytes)
  }
}

/** The page, told where its list is. */
function withList(html: string): string {
  const told = html.replace('<html ', `<html data-slides="${LIST}" `)
  if (told === html) throw new Error('index.html has no place for the list of slides')
  return told
}

/** Gives the folder its name; one that was there before goes only then. */
async function replace(partial: string, output: string): Promise<void> {
  const old = `${output}.old`
  await rm(old, { recursive: true, force: true })
  if (existsSync(output)) await rename(output, old)
  await rename(partial, output)
  await rm(old, { recursive: true, force: true })
}
