/**
 * `bench fallback`: whether any tile is stored worse than it must be. Each picture is stored as a compression stores it,
 * and compared with the network alone, and with the best that AVIF, WebP and JPEG do at their best settings: by bits +
 * lambda * error, lambda being that of the quality.
 */
import type { Image } from 'cleric'
import {
  costOf,
  decodeClassic,
  encodeLossless,
  encodeLossy,
  meanSquaredError,
  PAYLOAD_HEAD_BYTES,
  type PayloadCodec,
  throwIfAborted,
} from 'cleric/internal'

export interface FallbackOptions {
  readonly codec: PayloadCodec
  readonly qualities: readonly number[]
  /** Whether the classic codecs are tried at all of their settings: what takes longest. */
  readonly isCompared: boolean
  readonly pictures: readonly { readonly name: string; readonly image: Image }[]
  readonly signal: AbortSignal
  readonly onProgress: (done: number, total: number) => void
}

export interface FallbackRow {
  readonly name: string
  readonly quality: number
  /** Bits + lambda * error a pixel. */
  readonly network: number
  readonly stored: number
  /** What it is stored by. */
  readonly codec: string
  readonly psnr: number
  /** The best of AVIF, WebP and JPEG, and which of them it is; null if they weren't tried. */
  readonly classic: number | null
  readonly best: string | null
}

export interface FallbackReport {
  readonly format: 'cleric-bench-fallback/1'
  readonly model: { readonly name: string; readonly hash: string }
  readonly rows: readonly FallbackRow[]
  /** The most that a picture is stored worse than the best of the network and the classic codecs: 0.05 is 5 %. */
  readonly worst: number
  /** By quality, how much less all pictures together cost than with the network alone. */
  readonly saved: readonly { readonly quality: number; readonly share: number }[]
}

/** One result of a classic codec. */
interface Point {
  readonly label: string
  readonly bytes: number
  readonly mse: number
}

const AVIF_QUALITIES = Array.from({ length: 33 }, (_, i) => 4 + 3 * i)
const JPEG_QUALITIES = Array.from({ length: 50 }, (_, i) => 2 + 2 * i)

export async function benchFallback(options: FallbackOptions): Promise<FallbackReport> {
  const { codec, qualities, pictures, isCompared, signal, onProgress } = options
  const rows: FallbackRow[] = []
  for (const { name, image } of pictures) {
    const classics = isCompared ? await classicPoints(image, signal) : []
    const pixels = image.width * image.height
    for (const quality of qualities) {
      const price = (bytes: number, mse: number) => costOf(bytes, mse, image, quality) / pixels
      const alone = await codec.encodePayload(image, quality, signal)
      const shown = await codec.decodePayload(alone, { ...image, quality }, signal)
      const stored = await codec.encodeCheckedPayload(image, quality, { signal })
      const decoded = await codec.decodePayload(stored.payload, { ...image, quality }, signal)
      const best = classics.toSorted((a, b) => price(a.bytes, a.mse) - price(b.bytes, b.mse))[0]
      rows.push({
        ...{ name, quality, codec: stored.codec, psnr: stored.psnr, best: best?.label ?? null },
        network: price(alone.length, meanSquaredError(image, shown, image)),
        stored: price(stored.payload.length, meanSquaredError(image, decoded, image)),
        classic: best ? price(best.bytes, best.mse) : null,
      })
      onProgress(rows.length, pictures.length * qualities.length)
    }
  }
  const excess = rows.map(({ stored, network, classic }) => stored / Math.min(network, classic ?? network) - 1)
  const sum = (quality: number, key: 'stored' | 'network') =>
    rows.filter((row) => row.quality === quality).reduce((total, row) => total + row[key], 0)
  return {
    format: 'cleric-bench-fallback/1',
    model: codec.model,
    rows,
    worst: Math.max(...excess),
    saved: qualities.map((quality) => ({ quality, share: 1 - sum(quality, 'stored') / sum(quality, 'network') })),
  }
}

/** The classic codecs at all of their settings. */
async function classicPoints(image: Image, signal: AbortSignal): Promise<Point[]> {
  const points: Point[] = []
  const add = async (kind: 'avif' | 'jpeg' | 'webp', label: string, stream: Uint8Array) => {
    throwIfAborted(signal)
    const decoded = await decodeClassic(kind, stream, image)
    points.push({ label, bytes: PAYLOAD_HEAD_BYTES + stream.length, mse: meanSquaredError(image, decoded, image) })
  }
  for (const quality of AVIF_QUALITIES) await add('avif', `avif ${quality}`, await encodeLossy('avif', image, quality))
  for (const quality of JPEG_QUALITIES) {
    await add('jpeg', `jpeg ${quality}`, await encodeLossy('jpeg', image, quality))
    await add('jpeg', `plain jpeg ${quality}`, await encodeLossy('jpeg', image, quality, { plain: true }))
  }
  await add('webp', 'webp', await encodeLossless(image))
  return points
}
