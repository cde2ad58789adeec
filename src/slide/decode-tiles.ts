/** Decodes an image from the top down, in bounded memory, into an uncompressed TIFF of tiles. */
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

/** Resolves to why it failed, in libvips' words; to null if it didn't. */
export async function decodeTiles(job: DecodeJob): Promise<string | null> {
  const { path, output, tileWidth, tileHeight, ignoreIcc } = job
  const input = { failOn: 'warning', limitInputPixels: 2 ** 34, ignoreIcc } as const
  const tiff = { compression: 'none', predictor: 'none', bigtiff: true, tile: true, tileWidth, tileHeight } as const
  try {
    await asRgb(sharp(path, input)).tiff(tiff).toFile(output)
    return null
  } catch (error) {
    return (error as Error).message
  }
}
