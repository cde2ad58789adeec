/** How long JavaScript's thread is at work for a backend: while it is, nothing else of the program runs. */
export class HostClock {
  #seconds = 0

  /** Seconds so far. */
  get seconds(): number {
    return this.#seconds
  }

  /** Calls `work`, which doesn't wait for anything, and adds the time that it takes. */
  while<T>(work: () => T): T {
    const began = performance.now()
    try {
      return work()
    } finally {
      this.#seconds += (performance.now() - began) / 1000
    }
  }
}
