/**
 * The archives under a folder, or a single one, which may be behind a URL, opened as they are asked for. Nothing outside
 * it can be reached.
 */
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { type Archive, type ArchiveOptions, openArchive } from '../archive/archive.js'
import { Pyramid } from '../archive/pyramid.js'
import { isAddress } from '../files/byte-source.js'
import { nameOf } from '../files/name.js'
import { versionOf } from '../files/version.js'
import type { TileCache } from '../image/tile-cache.js'
import { TileEncoder } from './tile-encoder.js'

export interface LibraryOptions extends ArchiveOptions {
  /** Room for the decoded tiles of all archives together. */
  readonly cache: TileCache
}

export interface Visit {
  readonly archive: Archive
  readonly pyramid: Pyramid
  readonly encoder: TileEncoder
}

interface OpenedArchive {
  readonly slide: Promise<Visit>
  /** Version of the file that was under the name; changes when the file does. */
  readonly version: string
  /** Visits that aren't over. */
  users: number
  /** No further visit finds it: it is closed when the last one is over. */
  isForgotten: boolean
}

const SUFFIXES = ['.cleric.tif', '.cleric']
const MAX_OPEN = 32
const MAX_DEPTH = 8

export class Library {
  readonly #root: string
  readonly #only: string | null
  /** The URL of the only archive, if it isn't a file. */
  readonly #address: string | null
  readonly #options: LibraryOptions
  readonly #opened = new Map<string, OpenedArchive>()

  private constructor(root: string, only: string | null, address: string | null, options: LibraryOptions) {
    this.#root = root
    this.#only = only
    this.#address = address
    this.#options = options
  }

  /** @throws if there is no such path, or no archive at that address */
  static async open(path: string, options: LibraryOptions): Promise<Library> {
    if (isAddress(path)) {
      const library = new Library('', nameOf(path), path, options)
      await library.visit(nameOf(path), async () => {})
      return library
    }
    const real = await realpath(path)
    const isFile = (await stat(real)).isFile()
    return isFile ? new Library(dirname(real), basename(real), null, options) : new Library(real, null, null, options)
  }

  /** Names of the archives, relative to the root, with "/" between folders. */
  async list(): Promise<string[]> {
    if (this.#only !== null) return [this.#only]
    const names: string[] = []
    const walk = async (folder: string, depth: number): Promise<void> => {
      // A folder that may not be read, or is gone by now, hides no others.
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        const path = join(folder, entry.name)
        if (entry.isDirectory() && depth < MAX_DEPTH) await walk(path, depth + 1)
        else if (entry.isFile() && isArchiveName(entry.name))
          names.push(relative(this.#root, path).split(sep).join('/'))
      }
    }
    await walk(this.#root, 0)
    return names.sort()
  }

  /** Calls `use` with an archive; resolves to null if the library has none of that name. */
  async visit<T>(name: string, use: (visit: Visit) => Promise<T>): Promise<T | null> {
    const file = await this.#find(name)
    if (!file) return null
    const opened = this.#open(name, file.path, file.version)
    opened.users++
    try {
      return await use(await opened.slide)
    } catch (error) {
      // Whether a file on a server is another one by now shows only when it is read.
      if ((error as { code?: unknown }).code === 'ERR_FILE_CHANGED') this.#forget(name, opened)
      throw error
    } finally {
      opened.users--
      if (opened.isForgotten) closeUnused(opened)
      this.#makeRoom()
    }
  }

  close(): void {
    for (const [name, opened] of this.#opened) this.#forget(name, opened)
  }

  async #find(name: string): Promise<{ path: string; version: string } | null> {
    if (this.#only !== null ? name !== this.#only : !isArchiveName(name)) return null
    if (this.#address !== null) return { path: this.#address, version: '' }
    try {
      // Also follows links: what one points to must lie below the root as well.
      const path = await realpath(join(this.#root, name))
      if (!path.startsWith(this.#root.endsWith(sep) ? this.#root : this.#root + sep)) return null
      const stats = await stat(path, { bigint: true })
      return stats.isFile() ? { path, version: versionOf(stats) } : null
    } catch {
      return null
    }
  }

  /** The archive of that name, opened anew if its file has changed. */
  #open(name: string, path: string, version: string): OpenedArchive {
    const held = this.#opened.get(name)
    if (held) this.#opened.delete(name)
    if (held?.version === version) {
      // Last in the map is the most recently used.
      this.#opened.set(name, held)
      return held
    }
    // Visits that still use the archive that was replaced go on reading from it.
    if (held) this.#forget(name, held)
    const opened: OpenedArchive = { slide: this.#read(path), version, users: 0, isForgotten: false }
    this.#opened.set(name, opened)
    // A failure to open is not kept: the next visit tries again.
    opened.slide.catch(() => this.#forget(name, opened))
    return opened
  }

  async #read(path: string): Promise<Visit> {
    const archive = await openArchive(path, this.#options)
    return { archive, pyramid: new Pyramid(archive, this.#options.cache), encoder: new TileEncoder(archive) }
  }

  #makeRoom(): void {
    for (const [name, opened] of this.#opened) {
      if (this.#opened.size <= MAX_OPEN) return
      if (opened.users === 0) this.#forget(name, opened)
    }
  }

  #forget(name: string, opened: OpenedArchive): void {
    if (this.#opened.get(name) === opened) this.#opened.delete(name)
    opened.isForgotten = true
    closeUnused(opened)
  }
}

function closeUnused({ slide, users }: OpenedArchive): void {
  if (users > 0) return
  const close = ({ archive, pyramid }: Visit) => {
    pyramid.close()
    archive.close()
  }
  // If it couldn't be opened there is nothing to close.
  slide.then(close, () => {})
}

function isArchiveName(name: string): boolean {
  return !name.includes('\0') && SUFFIXES.some((suffix) => name.endsWith(suffix))
}
