/** What the parts of a speed bench are given, and what several of them need. */

import { ClericError, type Image } from 'cleric'
import { type Model, SyntheticSlide } from 'cleric/internal'
import type { SpeedDevice } from './devices.js'

export const SPEED_PARTS = ['tiles', 'stages', 'peers', 'scaling', 'table3'] as const
export type SpeedPart = (typeof SPEED_PARTS)[number]

export interface SpeedContext {
  readonly model: Model
  /** File of the model. */
  readonly modelFile: string
  readonly devices: readonly SpeedDevice[]
  /** Sides of tiles, ascending. */
  readonly tiles: readonly number[]
  /** Least length of a measurement. */
  readonly seconds: number
  readonly quality: number
  readonly signal?: AbortSignal | undefined
  /** Called before each measurement. */
  note(what: string): void
  /** What a device refused, added to by {@link attempt}. */
  readonly failures: Failure[]
}

/** What a device couldn't do. */
export interface Failure {
  readonly device: string
  /** E.g. "tiles of 1024". */
  readonly what: string
  readonly reason: string
}

const REFUSALS: readonly string[] = ['ERR_DEVICE_FAILED', 'ERR_DEVICE_LIMIT', 'ERR_NO_DEVICE', 'ERR_SHADER']

/** Gives null where a device refuses, as one whose memory is too small does, and notes it: the others go on. */
export async function attempt<T>(
  { failures }: Pick<SpeedContext, 'failures'>,
  device: string,
  what: string,
  run: () => Promise<T>,
): Promise<T | null> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof ClericError && REFUSALS.includes(error.code))) throw error
    failures.push({ device, what, reason: error.message })
    return null
  }
}

/** Millions of pixels in `count` squares of this side. */
export function megapixels(side: number, count = 1): number {
  return (count * side * side) / 1e6
}

/** A square of drawn tissue: what the codec is for, so that its symbols are as many as usual. */
export function tissue(side: number): Promise<Image> {
  const slide = new SyntheticSlide('synthetic:4096x4096')
  return slide.readRegion({ x: 1200, y: 1100, level: 0, width: side, height: side })
}
