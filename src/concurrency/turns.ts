/** Lets a few pieces of work run at a time, in the order in which they came; the others wait for their turn. */
export class Turns {
  readonly #limit: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    // Who is woken runs in the place of the one that has ended.
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
