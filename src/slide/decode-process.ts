/**
 * A program of its own, started by decoded-copy.ts: decodes an image, and tells the parent how it went. It ends at once
 * if the parent does, whatever ended that.
 */
import { type DecodeJob, decodeTiles } from './decode-tiles.js'

export interface DecodeAnswer {
  /** Why it failed; null if it didn't. */
  readonly error: string | null
}

// Decoding runs on another thread, and ends when it likes: only a signal stops it.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.once('message', async (job: DecodeJob) => {
  process.send?.({ error: await decodeTiles(job) } satisfies DecodeAnswer)
})
