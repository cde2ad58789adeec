/**
 * Loops whose steps may all be done at once, such as those over tiles of one colour: what they await is settled already,
 * so that nothing else would run until they end, neither a signal's handler nor another request.
 */
/** Time after which everything else that waits gets its turn: little beside the second within which a signal counts. */
const SLICE_MS = 25

/**
 * Lets the event loop turn once a time slice is used up.
 *
 * @example
 * const slice = new TimeSlice()
 * for (const tile of tiles) {
 *   if (slice.isOver) await slice.giveWay()
 *   count(tile)
 * }
 */
export class TimeSlice {
  #began = performance.now()

  get isOver(): boolean {
    return performance.now() - this.#began > SLICE_MS
  }

  /** Everything else that waits runs first. */
  async giveWay(): Promise<void> {
    // A timer, as browsers have it too; its least delay of some milliseconds is spent once a slice.
    await new Promise((resolve) => setTimeout(resolve))
    this.#began = performance.now()
  }
}
