/** Lets a few pieces of work run at a time, in the order in which they came; the others wait for their turn. */
export class Turns {
  readonly #limit: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    // When one ends, the next takes its place at once, so that the number running stays the same.
    if (this.#running === this.#limit) await new Promise<void>((wake) => this.#waiting.push(wake))
    else this.#running++
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }
}
