/**
 * Decoded tiles, the least recently used dropped first, bounded in bytes. A tile asked for twice at once is decoded once,
 * and no longer when all who asked have given up.
 */
import { untilAborted } from '../concurrency/abort.js'
import type { Image } from '../image/image.js'

interface Entry {
  readonly image: Promise<Image>
  readonly bytes: number
  readonly stop: AbortController
  /** Callers that haven't given up. */
  waiting: number
}

export class TileCache {
  readonly #limit: number
  readonly #tiles = new Map<string, Entry>()
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The tile of that key; `decode` is called if it isn't held. A failure is not kept. `signal` has not fired yet. */
  get(
    key: string,
    bytes: number,
    decode: (stop: AbortSignal) => Promise<Image>,
    signal?: AbortSignal | undefined,
  ): Promise<Image> {
    const held = this.#tiles.get(key)
    if (held) {
      // Last in the map is the most recently used.
      this.#tiles.delete(key)
      this.#tiles.set(key, held)
    }
    const entry = held ?? this.#start(key, bytes, decode)
    entry.waiting++
    return untilAborted(entry.image, signal, () => {
      if (--entry.waiting > 0) return
      // First out of the cache, so that nobody comes to wait for what is being stopped.
      this.#drop(key, entry)
      entry.stop.abort()
    })
  }

  /** Whether it is held, or being decoded. */
  has(key: string): boolean {
    return this.#tiles.has(key)
  }

  clear(): void {
    this.#tiles.clear()
    this.#bytes = 0
  }

  #start(key: string, bytes: number, decode: (stop: AbortSignal) => Promise<Image>): Entry {
    const stop = new AbortController()
    const entry = { image: decode(stop.signal), bytes, stop, waiting: 0 }
    this.#tiles.set(key, entry)
    this.#bytes += bytes
    entry.image.catch(() => this.#drop(key, entry))
    for (const [oldest, tile] of this.#tiles) {
      if (this.#bytes <= this.#limit || tile === entry) break
      this.#drop(oldest, tile)
    }
    return entry
  }

  #drop(key: string, entry: Entry): void {
    if (this.#tiles.get(key) !== entry) return
    this.#tiles.delete(key)
    this.#bytes -= entry.bytes
  }
}
