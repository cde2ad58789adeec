/** Two slides, level by level, in blocks: exact whatever the size, in bounded memory. */
import { checkCallback, checkOptions, checkSignal, type OptionChecks } from '../arguments.js'
import { TimeSlice } from '../concurrency/give-way.js'
import { throwIfAborted } from '../errors.js'
import { checkSlide, type Level, levelRegion, type SlideSource } from '../slide/source.js'
import { MS_SSIM_OVERLAP, MsSsimTotals } from './ms-ssim.js'
import { ErrorTotals } from './psnr.js'

export interface LevelComparison {
  /** Level of the first slide. */
  readonly level: number
  readonly width: number
  readonly height: number
  /** dB over the three channels; Infinity if equal. */
  readonly psnr: number
  /** 0 to 1; null if a side is shorter than 176 pixels. */
  readonly msSsim: number | null
  /** Largest difference of a channel value. */
  readonly maxError: number
}

export interface CompareOptions {
  readonly signal?: AbortSignal | undefined
  /** Called with the pixels compared so far, and all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

const COMPARE_CHECKS: OptionChecks<CompareOptions> = { signal: checkSignal, onProgress: checkCallback }

/** A multiple of 16, as MS-SSIM over blocks needs; 1024 and its overlap touch few tiles of 512 twice. */
const BLOCK = 1024

/** Pairs of levels that have the same size. */
export function matchingLevels(a: Pick<SlideSource, 'levels'>, b: Pick<SlideSource, 'levels'>): [number, number][] {
  const same = (p: Level, q: Level) => p.width === q.width && p.height === q.height
  return a.levels.flatMap((level, i) => {
    const j = b.levels.findIndex((other) => same(level, other))
    return j < 0 ? [] : [[i, j] as [number, number]]
  })
}

/**
 * Compares the levels that two slides have in common (same width and height).
 *
 * @throws AbortedError if the signal fires
 */
export async function compareSlides(
  a: SlideSource,
  b: SlideSource,
  options: CompareOptions = {},
): Promise<LevelComparison[]> {
  checkSlide(a, 'the first slide')
  checkSlide(b, 'the second slide')
  const { signal, onProgress } = checkOptions(options, COMPARE_CHECKS)
  const pairs = matchingLevels(a, b)
  const pixels = pairs.reduce((sum, [level]) => sum + size(a.levels[level] as Level), 0)
  const slice = new TimeSlice()
  let done = 0
  const results: LevelComparison[] = []
  for (const [level, other] of pairs) {
    const { width, height } = a.levels[level] as Level
    const errors = new ErrorTotals()
    const similarity = new MsSsimTotals()
    for (let y = 0; y < height; y += BLOCK) {
      for (let x = 0; x < width; x += BLOCK) {
        if (slice.isOver) await slice.giveWay()
        throwIfAborted(signal)
        const [w, h] = [Math.min(BLOCK, width - x), Math.min(BLOCK, height - y)]
        const [reachX, reachY] = [
          Math.min(BLOCK + MS_SSIM_OVERLAP, width - x),
          Math.min(BLOCK + MS_SSIM_OVERLAP, height - y),
        ]
        const [first, second] = await Promise.all([
          a.readRegion(levelRegion(a, level, x, y, reachX, reachY), signal),
          b.readRegion(levelRegion(b, other, x, y, reachX, reachY), signal),
        ])
        errors.add(first, second, w, h)
        similarity.add(first, second, w, h)
        done += w * h
        onProgress?.(done, pixels)
      }
    }
    results.push({ level, width, height, psnr: errors.psnr, msSsim: similarity.value, maxError: errors.maxError })
  }
  return results
}

function size(level: Level): number {
  return level.width * level.height
}
