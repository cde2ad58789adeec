/**
 * Decoded tiles within one bound of bytes, whosever they are: the least recently used are dropped first. A tile asked
 * for twice at once is decoded once, and no longer when all who asked have given up.
 */
import { checkInteger } from '../arguments.js'
import { untilAborted } from '../concurrency/abort.js'
import type { Image } from './image.js'

interface Entry {
  readonly space: TileSpace
  readonly key: string
  readonly image: Promise<Image>
  readonly bytes: number
  readonly stop: AbortController
  /** Callers that haven't given up. */
  waiting: number
}

/**
 * Room for decoded tiles, which several archives may share.
 *
 * @example
 * const cache = new TileCache(2 ** 30)
 * const archives = await Promise.all(paths.map((path) => openArchive(path, { cache })))
 */
export class TileCache {
  /** Most bytes of pixels to keep. Tiles that are being decoded don't count. */
  readonly limit: number
  /** Tiles that are decoded; the first is the least recently used. */
  readonly #kept = new Set<Entry>()
  #bytes = 0

  /** @param limit bytes; 0 keeps no tile once those who asked for it have it */
  constructor(limit: number) {
    this.limit = checkInteger(limit, 'limit', 0, Number.MAX_SAFE_INTEGER)
  }

  /** Bytes of the pixels that are kept now. */
  get bytes(): number {
    return this.#bytes
  }

  /** @internal A part of its own, for the tiles of one archive, say. */
  space(): TileSpace {
    return new TileSpace(
      (entry) => this.#keep(entry),
      (entry) => this.#drop(entry),
    )
  }

  #keep(entry: Entry): void {
    if (!this.#kept.delete(entry)) this.#bytes += entry.bytes
    this.#kept.add(entry)
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.limit) break
      oldest.space.drop(oldest)
    }
  }

  #drop(entry: Entry): void {
    if (this.#kept.delete(entry)) this.#bytes -= entry.bytes
  }
}

/** @internal The tiles of one owner, by their keys. */
export class TileSpace {
  readonly #tiles = new Map<string, Entry>()
  readonly #keep: (entry: Entry) => void
  readonly #release: (entry: Entry) => void

  /**
   * @param keep counts a tile that is decoded as the one used last
   * @param release counts it no more
   */
  constructor(keep: (entry: Entry) => void, release: (entry: Entry) => void) {
    this.#keep = keep
    this.#release = release
  }

  /** The tile of that key; `decode` is called if it isn't held. A failure is not kept. `signal` has not fired yet. */
  get(
    key: string,
    bytes: number,
    decode: (stop: AbortSignal) => Promise<Image>,
    signal?: AbortSignal | undefined,
  ): Promise<Image> {
    const entry = this.#tiles.get(key) ?? this.#start(key, bytes, decode)
    entry.waiting++
    const image = entry.image.then((decoded) => {
      if (this.#tiles.get(key) === entry) this.#keep(entry)
      return decoded
    })
    return untilAborted(image, signal, () => {
      if (--entry.waiting > 0) return
      // First out of the cache, so that nobody comes to wait for what is being stopped.
      this.drop(entry)
      entry.stop.abort()
    })
  }

  /** Whether it is held, or being decoded. */
  has(key: string): boolean {
    return this.#tiles.has(key)
  }

  clear(): void {
    for (const entry of this.#tiles.values()) this.drop(entry)
  }

  drop(entry: Entry): void {
    if (this.#tiles.get(entry.key) === entry) this.#tiles.delete(entry.key)
    this.#release(entry)
  }

  #start(key: string, bytes: number, decode: (stop: AbortSignal) => Promise<Image>): Entry {
    const stop = new AbortController()
    const entry: Entry = { space: this, key, image: decode(stop.signal), bytes, stop, waiting: 0 }
    this.#tiles.set(key, entry)
    entry.image.catch(() => this.drop(entry))
    return entry
  }
}
