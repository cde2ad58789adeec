/** A few values by key, made when first asked for; the least recently used goes first. */
export class Recent<V> {
  readonly #limit: number
  readonly #values = new Map<string, V>()

  constructor(limit: number) {
    this.#limit = limit
  }

  get(key: string, make: () => V): V {
    const value = this.#values.get(key) ?? make()
    // Last in the map is the most recently used.
    this.#values.delete(key)
    this.#values.set(key, value)
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.#limit) break
      this.#values.delete(oldest)
    }
    return value
  }
}
