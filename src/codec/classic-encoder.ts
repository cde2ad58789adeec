/** Encoders of the classic codecs (`classic.ts`), by sharp and the libraries that it brings. */
import sharp, { type Sharp } from 'sharp'
import type { Image } from '../image/image.js'
import { fromImage } from '../image/sharp.js'

/**
 * The bytes of an AVIF depend on how many threads make it, and the same tile must give the same bytes on every machine.
 * sharp knows no number but that of the whole process. Tiles are encoded side by side, so that the processor's cores are
 * busy all the same.
 */
const THREADS = 1

function pipelineOf(image: Image): Sharp {
  if (sharp.concurrency() !== THREADS) sharp.concurrency(THREADS)
  return fromImage(image)
}

/** Those that lose something, by a quality of 1 to 100. */
export type LossyKind = 'avif' | 'jpeg'

/** What makes the bytes: other versions of the libraries may make others. */
export function classicVersions(): Readonly<Record<string, string | number | undefined>> {
  const { sharp: version, heif, aom, webp, mozjpeg } = sharp.versions
  return { sharp: version, heif, aom, webp, mozjpeg, zlib: process.versions.zlib, threads: THREADS }
}

export interface LossyOptions {
  /** AVIF's effort, 0 to 9; default 4. */
  readonly effort?: number
  /** JPEG as the standard's annexes have it, with the tables that scanners use, in place of mozjpeg's. */
  readonly plain?: boolean
}

/**
 * The stream of an image. All keep the chroma of every pixel: stains differ more in colour than in brightness.
 *
 * @param quality 1 to 100
 */
export function encodeLossy(
  kind: LossyKind,
  image: Image,
  quality: number,
  { effort = 4, plain = false }: LossyOptions = {},
): Promise<Uint8Array> {
  const pixels = pipelineOf(image)
  const chromaSubsampling = '4:4:4'
  if (kind === 'jpeg') return pixels.jpeg({ quality, chromaSubsampling, mozjpeg: !plain }).toBuffer()
  // 8 bits, as sharp cuts deeper ones off instead of rounding them, which makes all darker.
  return pixels.avif({ quality, chromaSubsampling, bitdepth: 8, effort, tune: 'psnr' }).toBuffer()
}

/** A WebP stream without loss. */
export function encodeLossless(image: Image): Promise<Uint8Array> {
  return pipelineOf(image).webp({ lossless: true, effort: 4 }).toBuffer()
}
