/** Calls `callback` when the program has nothing else to do; what it starts then is still done. */
export function beforeExit(callback: () => void): void {
  process.on('beforeExit', callback)
}
