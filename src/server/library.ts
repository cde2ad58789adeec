/**
 * The slides under a folder, or a single one, which may be an archive behind a URL, opened as they are asked for. Nothing
 * outside it can be reached.
 */
import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { Archive, type ArchiveOptions, openArchive } from '../archive/archive.js'
import { openAny } from '../archive/open-any.js'
import { Turns } from '../concurrency/turns.js'
import { isAddress } from '../files/byte-source.js'
import { nameOf, publicName } from '../files/name.js'
import { changed, versionOf } from '../files/version.js'
import type { TileCache } from '../image/tile-cache.js'
import { isArchiveName, isSlideName, namesBelow, sourceNamesOf } from './listing.js'
import { busy } from './refusal.js'
import { ServedSlide } from './served-slide.js'

export interface LibraryOptions extends ArchiveOptions {
  /** Room for the decoded and encoded tiles and the heads of all archives together. */
  readonly cache: TileCache
}

/** A slide that stays open until this is disposed of. */
export interface Lease extends Disposable {
  readonly slide: ServedSlide
}

interface FoundFile {
  readonly path: string
  /** The version of what lies under the path now. */
  readonly version: string
}

interface OpenedSlide {
  readonly slide: Promise<ServedSlide>
  /** Version of the file that was under the name; changes when the file does. */
  version: string
  /** Leases that aren't over. */
  users: number
  /** Nobody finds it any more: it is closed when the last lease is over. */
  isForgotten: boolean
}

const MAX_OPEN = 32
/** However small the cache is, archives whose heads take so much may be open. */
const LEAST_ROOM = 2 ** 28
/** Slides that are opened at a time: a head may take hundreds of MiB until it is known how much it keeps. */
const OPENING_AT_ONCE = 2
/** Milliseconds for which what lies under a path is taken to stay: less than anybody sees. */
const SAME_TIME = 20
/** How often a slide is opened that changes meanwhile. */
const TRIES = 3

export class Library {
  readonly #root: string
  readonly #only: string | null
  /** The URL of the only archive, if it isn't a file. */
  readonly #address: string | null
  readonly #options: LibraryOptions
  readonly #opened = new Map<string, OpenedSlide>()
  readonly #finding = new Map<string, Promise<FoundFile | null>>()
  readonly #opening = new Turns(OPENING_AT_ONCE)

  private constructor(root: string, only: string | null, address: string | null, options: LibraryOptions) {
    this.#root = root
    this.#only = only
    this.#address = address
    this.#options = options
  }

  /** @throws if there is no such path, or no slide in a single file or at an address */
  static async open(path: string, options: LibraryOptions): Promise<Library> {
    if (isAddress(path)) {
      const library = new Library('', nameOf(path), path, options)
      await library.visit(nameOf(path), async () => {})
      return library
    }
    const real = await realpath(path)
    if (!(await stat(real)).isFile()) return new Library(real, null, null, options)
    const library = new Library(dirname(real), basename(real), null, options)
    // Any file may be named; whoever names one that is no slide learns it now.
    if (!isArchiveName(basename(real))) await library.visit(basename(real), async () => {})
    return library
  }

  /** What of this machine may stand in messages but not in answers: each with what stands in its place. */
  get hiddenPaths(): readonly (readonly [path: string, shown: string])[] {
    if (this.#address !== null) return [[publicName(this.#address), nameOf(this.#address)]]
    return [[this.#root.endsWith(sep) ? this.#root : this.#root + sep, '']]
  }

  /** Names of the slides, relative to the root, with "/" between folders. */
  list(): Promise<string[]> {
    return this.#only === null ? namesBelow(this.#root) : Promise.resolve([this.#only])
  }

  /** Name of the slide that lies beside an archive and has its name but for the suffix; null if there is none. */
  async sourceOf(archive: string): Promise<string | null> {
    for (const name of sourceNamesOf(archive)) if (name !== archive && (await this.#find(name))) return name
    return null
  }

  /** A slide, opened if it isn't; null if the library has none of that name. */
  async lease(name: string): Promise<Lease | null> {
    const file = await this.#findOnce(name)
    if (!file) return null
    const opened = this.#open(name, file)
    opened.users++
    let isOver = false
    const end = () => {
      if (isOver) return
      isOver = true
      opened.users--
      if (opened.isForgotten) closeUnused(opened)
      this.#makeRoom()
    }
    try {
      const slide = await opened.slide
      this.#makeRoom()
      if (this.#options.cache.reserved > Math.max(this.#options.cache.limit, LEAST_ROOM)) throw busy()
      return { slide, [Symbol.dispose]: end }
    } catch (error) {
      end()
      throw error
    }
  }

  /**
   * Calls `use` with a slide; resolves to null if the library has none of that name. If the file turns out to be
   * another one by now, it is opened anew, and `use` called again.
   */
  async visit<T>(name: string, use: (slide: ServedSlide) => Promise<T>): Promise<T | null> {
    try {
      return await this.#visitOnce(name, use)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_FILE_CHANGED') throw error
      return this.#visitOnce(name, use)
    }
  }

  async #visitOnce<T>(name: string, use: (slide: ServedSlide) => Promise<T>): Promise<T | null> {
    using lease = await this.lease(name)
    if (!lease) return null
    try {
      return await use(lease.slide)
    } catch (error) {
      // Whether a file on a server, or one that is rewritten in place, is another one shows only when it is read.
      if ((error as { code?: unknown }).code === 'ERR_FILE_CHANGED') this.forget(name, lease.slide)
      throw error
    }
  }

  /** The next who asks for the name has the file opened anew, if this is what was opened last. */
  forget(name: string, slide: ServedSlide): void {
    const opened = this.#opened.get(name)
    opened?.slide.then(
      (current) => current === slide && this.#forget(name, opened),
      () => {},
    )
  }

  close(): void {
    for (const [name, opened] of this.#opened) this.#forget(name, opened)
  }

  /** {@link #find}, once for all who ask at about the same time: looking at a path takes longer than a kept tile. */
  #findOnce(name: string): Promise<FoundFile | null> {
    const known = this.#finding.get(name)
    if (known) return known
    const finding = this.#find(name).finally(() => {
      setTimeout(() => this.#finding.delete(name), SAME_TIME).unref()
    })
    this.#finding.set(name, finding)
    return finding
  }

  async #find(name: string): Promise<FoundFile | null> {
    if (this.#only !== null ? name !== this.#only : !isSlideName(name)) return null
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

  /** The slide of that name, opened anew if its file has changed. */
  #open(name: string, file: FoundFile): OpenedSlide {
    const held = this.#opened.get(name)
    if (held) this.#opened.delete(name)
    if (held?.version === file.version) {
      // Last in the map is the most recently used.
      this.#opened.set(name, held)
      return held
    }
    // Whoever still uses the slide that was replaced goes on reading from it.
    if (held) this.#forget(name, held)
    const slide = this.#opening.run(() => this.#read(name, file))
    const opened: OpenedSlide = { slide, version: file.version, users: 0, isForgotten: false }
    this.#opened.set(name, opened)
    slide.then(
      (served) => {
        // The file may have been replaced between the look at its path and its opening: the open handle knows.
        if (this.#address === null) opened.version = served.version
      },
      // A failure to open is not kept: the next visit tries again.
      () => this.#forget(name, opened),
    )
    return opened
  }

  async #read(name: string, file: FoundFile): Promise<ServedSlide> {
    const { cache, ...options } = this.#options
    let { path, version } = file
    for (let tries = 1; ; tries++) {
      // What is named like an archive is opened as one, so that a damaged one passes for nothing else.
      const isArchive = isArchiveName(name) || this.#address !== null
      const slide = await (isArchive ? openArchive : openAny)(path, { ...options, cache })
      if (slide instanceof Archive) return new ServedSlide(name, slide, slide.version, cache, null)
      // Slides are read by their path, again and again: nothing but the path tells whether the file is the same.
      const isSame = async () => (await this.#find(name))?.version === version
      if (await isSame()) return new ServedSlide(name, slide, version, cache, isSame)
      slide.close()
      const again = tries < TRIES ? await this.#find(name) : null
      if (!again) throw changed(name)
      ;({ path, version } = again)
    }
  }

  #makeRoom(): void {
    const { cache } = this.#options
    const isTooMuch = () => this.#opened.size > MAX_OPEN || cache.reserved > Math.max(cache.limit / 2, LEAST_ROOM / 2)
    for (const [name, opened] of this.#opened) {
      if (!isTooMuch()) return
      if (opened.users === 0) this.#forget(name, opened)
    }
  }

  #forget(name: string, opened: OpenedSlide): void {
    if (this.#opened.get(name) === opened) this.#opened.delete(name)
    if (opened.isForgotten) return
    opened.isForgotten = true
    closeUnused(opened)
  }
}

function closeUnused({ slide, users }: OpenedSlide): void {
  if (users > 0) return
  // If it couldn't be opened there is nothing to close.
  slide.then(
    (served) => served.close(),
    () => {},
  )
}
