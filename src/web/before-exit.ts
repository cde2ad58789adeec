/** In browsers, in place of `src/concurrency/before-exit.ts`: a page that goes takes its devices with it. */
export function beforeExit(_callback: () => void): void {}
