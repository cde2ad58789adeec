/**
 * What an image file (PNG, JPEG, WebP, GIF, AVIF) says beside its size, and whether it can be taken for a slide: frames
 * that would be dropped and values of more than 8 bits are refused unless the caller chooses.
 */
import { open } from 'node:fs/promises'
import type { Metadata } from 'sharp'
import { SlideError } from '../errors.js'
import type { SlideChoice } from './choice.js'
import { sensible } from './resolution.js'
import type { HeldImage, Resolution } from './source.js'

export interface ImageFacts {
  readonly mpp: Resolution | null
  /** The frame that is taken; undefined where there is one only. */
  readonly page: number | undefined
  /** Whether values have more than 8 bits. */
  readonly isDeep: boolean
  readonly contents: readonly HeldImage[]
  readonly warnings: readonly string[]
}

/** Bytes at the start of a file in which its resolution is looked for, and whether it moves. */
const START_BYTES = 2 ** 16
const DEEP: readonly string[] = ['ushort', 'short', 'uint', 'int', 'float', 'double']

/** @throws SlideError ERR_UNSUPPORTED_SLIDE */
export async function imageFacts(path: string, metadata: Metadata, choice: SlideChoice): Promise<ImageFacts> {
  const refuse = (why: string) => new SlideError('ERR_UNSUPPORTED_SLIDE', `${path}: ${why}`)
  const start = await startOf(path)
  const chunks = metadata.format === 'png' ? pngChunks(start) : new Map<string, DataView>()
  if (choice.series !== undefined) throw refuse('it has no series')
  const moves = chunks.get('acTL')?.getUint32(0) ?? 1
  if (moves > 1)
    throw refuse(`it is an animation of ${moves} frames (APNG), of which only the first can be read; take it out first`)
  const frames = metadata.pages ?? 1
  const { page } = choice
  if (page !== undefined && page >= frames) throw refuse(`--page ${page}: it has pages 0 to ${frames - 1}`)
  if (frames > 1 && page === undefined) {
    throw refuse(`it holds ${frames} images or frames, and only one can be taken: give --page N`)
  }
  const isDeep = DEEP.includes(metadata.depth ?? 'uchar')
  if (isDeep && choice.range === undefined) {
    const bits = metadata.bitsPerSample ?? 16
    const remedy = 'say which of its values are to become 0 and 255: --range MIN,MAX, or --range auto'
    throw refuse(`its samples have ${bits} bits, and 8 are kept; ${remedy}`)
  }
  if (choice.range !== undefined && !isDeep) throw refuse('a range is for values of more than 8 bits, which it has not')
  const { width, height } = metadata.autoOrient
  const contents = Array.from({ length: Math.min(frames, MOST_LISTED) }, (_, i) => ({
    page: i,
    subIfd: null,
    width,
    height: metadata.pageHeight ?? height,
    role: i === (page ?? 0) ? 'level 0' : null,
  }))
  const warnings = frames > 1 ? [`${frames - 1} of the ${frames} images that it holds aren't taken`] : []
  const found = metadata.format === 'png' ? pngResolution(chunks) : (jfifResolution(start) ?? exifResolution(metadata))
  const isTurned = (metadata.orientation ?? 1) >= 5
  const mpp = found && isTurned ? { x: found.y, y: found.x } : found
  return { mpp, page, isDeep, contents, warnings }
}

const MOST_LISTED = 10_000

async function startOf(path: string): Promise<Uint8Array> {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(START_BYTES), 0, START_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** The chunks before a PNG's pixels, as far as they are in the bytes. Source: PNG (Third Edition), section 5.3. */
function pngChunks(start: Uint8Array): Map<string, DataView> {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength)
  const chunks = new Map<string, DataView>()
  for (let at = 8; at + 8 <= start.length; ) {
    const length = view.getUint32(at)
    const name = String.fromCharCode(...start.subarray(at + 4, at + 8))
    if (name === 'IDAT' || at + 12 + length > start.length) break
    // Each of those that are looked for may be there once; libpng, too, takes the first.
    if (!chunks.has(name)) chunks.set(name, new DataView(start.buffer, start.byteOffset + at + 8, length))
    at += 12 + length
  }
  return chunks
}

/** What a PNG's pHYs chunk says, in pixels a metre. */
function pngResolution(chunks: ReadonlyMap<string, DataView>): Resolution | null {
  const physical = chunks.get('pHYs')
  if (physical?.byteLength !== 9 || physical.getUint8(8) !== 1) return null
  return sensible({ x: 1e6 / physical.getUint32(0), y: 1e6 / physical.getUint32(4) })
}

/** What Exif says, in dots an inch, the same both ways. */
function exifResolution({ density }: Metadata): Resolution | null {
  return density === undefined ? null : sensible({ x: 25_400 / density, y: 25_400 / density })
}

/** What a JPEG's JFIF segment, the first, says; null for other files. Source: JFIF 1.02. */
function jfifResolution(start: Uint8Array): Resolution | null {
  const isJfif = start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff && start[3] === 0xe0
  if (!isJfif || start.length < 18 || String.fromCharCode(...start.subarray(6, 10)) !== 'JFIF') return null
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength)
  const unit = { 1: 25_400, 2: 10_000 }[view.getUint8(13)]
  return unit === undefined ? null : sensible({ x: unit / view.getUint16(14), y: unit / view.getUint16(16) })
}
