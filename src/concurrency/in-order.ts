/** Work that overlaps, and whose results are used in order. */

import { throwIfAborted } from '../errors.js'
import { LinkedAbort } from './abort.js'

/**
 * Calls `make` for every item, at most `inFlight` of them at the same time, and `use` with each result, one after the other in
 * the order of the items. A slow `use` holds `make` back. After a failure no further item is begun, and the work under way is
 * aborted and waited for.
 */
export async function inOrder<Item, Made>(
  items: Iterable<Item>,
  inFlight: number,
  make: (item: Item, signal: AbortSignal) => Promise<Made>,
  use: (item: Item, made: Made) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  using stop = new LinkedAbort(signal)
  const waiting: { item: Item; made: Promise<Made> }[] = []
  const useOldest = async () => {
    const oldest = waiting.shift()
    if (oldest) await use(oldest.item, await oldest.made)
  }
  try {
    for (const item of items) {
      throwIfAborted(signal)
      const made = make(item, stop.signal)
      // Reported when its turn comes; until then a failure must not count as unhandled.
      made.catch(() => {})
      waiting.push({ item, made })
      if (waiting.length >= inFlight) await useOldest()
    }
    while (waiting.length > 0) await useOldest()
  } finally {
    stop.abort()
    await Promise.allSettled(waiting.map(({ made }) => made))
  }
}
