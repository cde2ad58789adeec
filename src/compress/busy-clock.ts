/** Measures the share of the time during which at least one of some overlapping pieces of work is under way. */
export class BusyClock {
  readonly #started = performance.now()
  #busy = 0
  #working = 0
  #since = 0

  /** Counts the time that the work takes, from the call on. */
  async while<T>(work: () => Promise<T>): Promise<T> {
    if (this.#working++ === 0) this.#since = performance.now()
    try {
      return await work()
    } finally {
      if (--this.#working === 0) this.#busy += performance.now() - this.#since
    }
  }

  /** Time during which work was under way, up to now. */
  get seconds(): number {
    return (this.#busy + (this.#working > 0 ? performance.now() - this.#since : 0)) / 1000
  }

  /** 0 to 1, since the clock was made. */
  get share(): number {
    return (1000 * this.seconds) / (performance.now() - this.#started)
  }
}
