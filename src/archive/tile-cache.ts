/** Decoded tiles, the least recently used dropped first, bounded in bytes. A tile asked for twice at once is decoded once. */
import type { Image } from '../codec/image.js'

export class TileCache {
  readonly #limit: number
  readonly #tiles = new Map<string, { image: Promise<Image>; bytes: number }>()
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The tile of that key; `decode` is called if it isn't held. A failure is not kept. */
  get(key: string, bytes: number, decode: () => Promise<Image>): Promise<Image> {
    const held = this.#tiles.get(key)
    if (held) {
      // Last in the map is the most recently used.
      this.#tiles.delete(key)
      this.#tiles.set(key, held)
      return held.image
    }
    const entry = { image: decode(), bytes }
    this.#tiles.set(key, entry)
    this.#bytes += bytes
    entry.image.catch(() => this.#drop(key, entry))
    for (const [oldest, tile] of this.#tiles) {
      if (this.#bytes <= this.#limit || tile === entry) break
      this.#drop(oldest, tile)
    }
    return entry.image
  }

  clear(): void {
    this.#tiles.clear()
    this.#bytes = 0
  }

  #drop(key: string, entry: { bytes: number }): void {
    if (this.#tiles.get(key) !== entry) return
    this.#tiles.delete(key)
    this.#bytes -= entry.bytes
  }
}
