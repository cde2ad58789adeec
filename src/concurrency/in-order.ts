/** Work that overlaps, and whose results are used in order. */

import { throwIfAborted } from '../errors.js'
import { LinkedAbort } from './abort.js'
import { TimeSlice } from './give-way.js'

/**
 * Calls `work` for every item, at most `inFlight` calls at the same time, and `use` with each result, one after the
 * other in the order of the items. A slow `use` holds `work` back. After a failure no further item is begun, and the
 * work under way is aborted and waited for. The event loop turns meanwhile, even if all work is done at once.
 */
export async function inOrder<Item, Result>(
  items: Iterable<Item>,
  inFlight: number,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
  use: (item: Item, result: Result) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  using stop = new LinkedAbort(signal)
  const waiting: { item: Item; result: Promise<Result> }[] = []
  const slice = new TimeSlice()
  const useOldest = async () => {
    const oldest = waiting.shift()
    if (oldest) await use(oldest.item, await oldest.result)
  }
  try {
    for (const item of items) {
      if (slice.isOver) await slice.giveWay()
      throwIfAborted(signal)
      const result = work(item, stop.signal)
      // A failure is reported when the item's turn comes; until then it must not count as unhandled.
      result.catch(() => {})
      waiting.push({ item, result })
      if (waiting.length >= inFlight) await useOldest()
    }
    while (waiting.length > 0) await useOldest()
  } finally {
    stop.abort()
    await Promise.allSettled(waiting.map(({ result }) => result))
  }
}
