/** The archives under a folder (or one file), opened as they are asked for. Nothing outside it can be reached. */
import type { Stats } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { type Archive, type ArchiveOptions, openArchive } from '../archive/archive.js'

interface Opened {
  readonly archive: Promise<Archive>
  /** Changes when the file does. */
  readonly version: string
  users: number
}

export interface Visit {
  readonly archive: Archive
  /** For ETags. */
  readonly version: string
}

const SUFFIXES = ['.cleric.tif', '.cleric']
const MAX_OPEN = 32
const MAX_DEPTH = 8

export class Library {
  readonly #root: string
  readonly #only: string | null
  readonly #options: ArchiveOptions
  readonly #opened = new Map<string, Opened>()

  private constructor(root: string, only: string | null, options: ArchiveOptions) {
    this.#root = root
    this.#only = only
    this.#options = options
  }

  /** @throws if there is no such path */
  static async open(path: string, options: ArchiveOptions): Promise<Library> {
    const real = await realpath(path)
    const isFile = (await stat(real)).isFile()
    return isFile ? new Library(dirname(real), basename(real), options) : new Library(real, null, options)
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

  /** Uses an archive; resolves to null if the library has none of that name. */
  async visit<T>(name: string, use: (visit: Visit) => Promise<T>): Promise<T | null> {
    const file = await this.#find(name)
    if (!file) return null
    const version = `${file.stats.size.toString(36)}-${Math.round(file.stats.mtimeMs).toString(36)}`
    let opened = this.#opened.get(name)
    if (opened && opened.version !== version) {
      this.#forget(name, opened)
      opened = undefined
    }
    opened ??= { archive: openArchive(file.path, this.#options), version, users: 0 }
    // Last in the map is the most recently used.
    this.#opened.delete(name)
    this.#opened.set(name, opened)
    opened.users++
    try {
      return await use({ archive: await opened.archive, version })
    } catch (error) {
      // A failure to open is not kept: the next visit tries again.
      const failed = opened
      failed.archive.catch(() => {
        if (this.#opened.get(name) === failed) this.#opened.delete(name)
      })
      throw error
    } finally {
      opened.users--
      this.#makeRoom()
    }
  }

  close(): void {
    for (const [name, opened] of this.#opened) this.#forget(name, opened)
  }

  async #find(name: string): Promise<{ path: string; stats: Stats } | null> {
    if (this.#only !== null ? name !== this.#only : !isArchiveName(name)) return null
    try {
      // Also follows links: what one points to must lie below the root as well.
      const path = await realpath(join(this.#root, name))
      if (!path.startsWith(this.#root.endsWith(sep) ? this.#root : this.#root + sep)) return null
      const stats = await stat(path)
      return stats.isFile() ? { path, stats } : null
    } catch {
      return null
    }
  }

  #makeRoom(): void {
    for (const [name, opened] of this.#opened) {
      if (this.#opened.size <= MAX_OPEN) return
      if (opened.users === 0) this.#forget(name, opened)
    }
  }

  #forget(name: string, opened: Opened): void {
    this.#opened.delete(name)
    opened.archive.then((archive) => archive.close()).catch(() => {})
  }
}

function isArchiveName(name: string): boolean {
  return !name.includes('\0') && SUFFIXES.some((suffix) => name.endsWith(suffix))
}
