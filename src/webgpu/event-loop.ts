/** What the backend wants of Node's event loop, which Dawn's binding drives; browsers have another. */
import { setImmediate } from 'node:timers/promises'

/** Lets everything else that waits run first. */
export function nextTurn(): Promise<void> {
  return setImmediate()
}

const cell = new Int32Array(new SharedArrayBuffer(4))

/**
 * Stops the thread for a moment: Dawn's binding spins a core while anything is awaited, which a software adapter's
 * workers need. Null where nothing spins.
 */
export const pause: ((milliseconds: number) => void) | null = (milliseconds) => {
  Atomics.wait(cell, 0, 0, milliseconds)
}
