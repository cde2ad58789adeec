/**
 * Tiles, decoded or encoded, within one bound of bytes, whosever they are: the least recently used are dropped first. A
 * tile asked for twice at once is made once, and no longer when all who asked have given up.
 */
import { checkInteger } from '../arguments.js'
import { untilAborted } from '../concurrency/abort.js'
import type { Image } from './image.js'

/** What the cache sees of a tile. */
interface Kept {
  /** Known when it is made, at the latest. */
  readonly bytes: number
  /** Takes it out of its space. */
  drop(): void
}

interface Entry<T> extends Kept {
  readonly value: Promise<T>
  readonly stop: AbortController
  bytes: number
  /** Callers that haven't given up. */
  waiting: number
}

/**
 * Room for tiles, which several archives may share.
 *
 * @example
 * const cache = new TileCache(2 ** 30)
 * const archives = await Promise.all(paths.map((path) => openArchive(path, { cache })))
 */
export class TileCache {
  /** Most bytes of tiles to keep. Tiles that are being made don't count. */
  readonly limit: number
  /** Tiles that are made; the first is the least recently used. */
  readonly #kept = new Set<Kept>()
  #bytes = 0
  #reserved = 0

  /** @param limit bytes; 0 keeps no tile once those who asked for it have it */
  constructor(limit: number) {
    this.limit = checkInteger(limit, 'limit', 0, Number.MAX_SAFE_INTEGER)
  }

  /** Bytes of the tiles that are kept now. */
  get bytes(): number {
    return this.#bytes
  }

  /** @internal Bytes that are taken by what can't be dropped; see {@link reserve}. */
  get reserved(): number {
    return this.#reserved
  }

  /**
   * @internal Takes room from the tiles for something else that lives as long as the returned function isn't called. It
   * is given even where there is less.
   */
  reserve(bytes: number): () => void {
    this.#reserved += bytes
    this.#makeRoom()
    let isOver = false
    return () => {
      if (!isOver) this.#reserved -= bytes
      isOver = true
    }
  }

  /** @internal A part of its own, for the tiles of one archive, say. */
  space<T = Image>(): TileSpace<T> {
    return new TileSpace(
      (tile) => this.#keep(tile),
      (tile) => this.#release(tile),
    )
  }

  #keep(tile: Kept): void {
    if (!this.#kept.delete(tile)) this.#bytes += tile.bytes
    this.#kept.add(tile)
    this.#makeRoom()
  }

  #makeRoom(): void {
    for (const oldest of this.#kept) {
      if (this.#bytes + this.#reserved <= this.limit) break
      oldest.drop()
    }
  }

  #release(tile: Kept): void {
    if (this.#kept.delete(tile)) this.#bytes -= tile.bytes
  }
}

/** @internal The tiles of one owner, by their keys. */
export class TileSpace<T = Image> {
  readonly #tiles = new Map<string, Entry<T>>()
  readonly #keep: (tile: Kept) => void
  readonly #release: (tile: Kept) => void

  /**
   * @param keep counts a tile that is made as the one used last
   * @param release counts it no more
   */
  constructor(keep: (tile: Kept) => void, release: (tile: Kept) => void) {
    this.#keep = keep
    this.#release = release
  }

  /**
   * The tile of that key; `make` is called if it isn't held. A failure is not kept. `signal` has not fired yet.
   *
   * @param bytes that it takes, or what tells when it is made
   */
  get(
    key: string,
    bytes: number | ((tile: T) => number),
    make: (stop: AbortSignal) => Promise<T>,
    signal?: AbortSignal | undefined,
  ): Promise<T> {
    const entry = this.#tiles.get(key) ?? this.#start(key, bytes, make)
    entry.waiting++
    const tile = entry.value.then((made) => {
      if (this.#tiles.get(key) === entry) this.#keep(entry)
      return made
    })
    return untilAborted(tile, signal, () => {
      if (--entry.waiting > 0) return
      // First out of the cache, so that nobody comes to wait for what is being stopped.
      entry.drop()
      entry.stop.abort()
    })
  }

  /** Whether it is held, or being made. */
  has(key: string): boolean {
    return this.#tiles.has(key)
  }

  clear(): void {
    for (const entry of this.#tiles.values()) entry.drop()
  }

  #start(key: string, bytes: number | ((tile: T) => number), make: (stop: AbortSignal) => Promise<T>): Entry<T> {
    const stop = new AbortController()
    const entry: Entry<T> = {
      value: make(stop.signal).then((made) => {
        if (typeof bytes === 'function') entry.bytes = bytes(made)
        return made
      }),
      bytes: typeof bytes === 'number' ? bytes : 0,
      stop,
      waiting: 0,
      drop: () => {
        if (this.#tiles.get(key) === entry) this.#tiles.delete(key)
        this.#release(entry)
      },
    }
    this.#tiles.set(key, entry)
    entry.value.catch(() => entry.drop())
    return entry
  }
}
