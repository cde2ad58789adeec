/**
 * A program of its own, started by decoded-copy.ts: decodes an image from the top down into an uncompressed TIFF of
 * tiles, and tells the parent how it went. It ends at once if the parent does, whatever ended that.
 */
import sharp from 'sharp'
import { asRgb } from '../image/sharp.js'

export interface DecodeJob {
  readonly path: string
  readonly output: string
  readonly tileWidth: number
  readonly tileHeight: number
  /** Leaves values as they are stored, whatever the profile says. */
  readonly ignoreIcc: boolean
}

export interface DecodeAnswer {
  /** Why it failed; null if it didn't. */
  readonly error: string | null
}

// Decoding runs on another thread, and ends when it likes: only a signal stops it.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.once('message', async ({ path, output, tileWidth, tileHeight, ignoreIcc }: DecodeJob) => {
  const answer = (error: string | null) => process.send?.({ error } satisfies DecodeAnswer)
  const input = { failOn: 'error', limitInputPixels: 2 ** 34, ignoreIcc } as const
  const tiff = { compression: 'none', predictor: 'none', bigtiff: true, tile: true, tileWidth, tileHeight } as const
  await asRgb(sharp(path, input))
    .tiff(tiff)
    .toFile(output)
    .then(
      () => answer(null),
      (error: Error) => answer(error.message),
    )
})
