/** Memory for the pixels of what is under way, given out in the order in which it is asked for. */
export class Room {
  readonly #limit: number
  readonly #waiting: { readonly bytes: number; readonly enter: () => void }[] = []
  #taken = 0

  /** @param limit bytes that may be taken at a time */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Does `work` once there are `bytes` free; what needs more than there is waits until all is free. */
  async with<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const share = Math.min(bytes, this.#limit)
    if (this.#waiting.length > 0 || this.#taken + share > this.#limit) {
      await new Promise<void>((enter) => this.#waiting.push({ bytes: share, enter }))
    } else this.#taken += share
    try {
      return await work()
    } finally {
      this.#taken -= share
      this.#admit()
    }
  }

  /** Those who wait enter one after the other, so that a large one has its turn. */
  #admit(): void {
    for (let next = this.#waiting[0]; next && this.#taken + next.bytes <= this.#limit; next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#taken += next.bytes
      next.enter()
    }
  }
}
