/** The event loop of browsers, in place of `src/webgpu/event-loop.ts`. */

/** Lets everything else that waits run first. Messages have no least delay, which timers have. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}

/** A browser's event loop sleeps while it waits. */
export const pause: ((milliseconds: number) => void) | null = null
