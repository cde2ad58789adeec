/** What cleric makes of a TIFF, compared with what another reader made of it. */
import { readFileSync } from 'node:fs'
import { openAny } from '../../../src/archive/open-any.js'
import { ClericError } from '../../../src/errors.js'
import { fill, paste } from '../../../src/image/draw.js'
import type { Image } from '../../../src/image/image.js'
import type { Level, SlideSource } from '../../../src/slide/source.js'
import { displayP3 } from '../display-p3.js'
import type { DrawnTiff } from './draw.js'
import type { PageOptions } from './page.js'
import { Chance } from './random.js'

/** What the other reader (oracle.py) says: the images of the file, or why it reads none. */
export type Oracle =
  | { readonly reader: string; readonly images: readonly { width: number; height: number; file: string }[] }
  | { readonly error: string }

export interface Outcome {
  /**
   * `equal`, or `refused` with a coded error: right. `different` pixels, an image that was `dropped` without a word, an
   * error without a code (`failed`): wrong. `unknown`: read, but no other reader reads it.
   */
  readonly kind: 'equal' | 'refused' | 'different' | 'dropped' | 'failed' | 'unknown'
  readonly detail: string
}

/** Reads the file as `compress` does and compares it. */
export async function outcomeOf(
  path: string,
  { seed, about }: Omit<DrawnTiff, 'bytes' | 'sound'>,
  oracle: Oracle,
): Promise<Outcome> {
  let slide: SlideSource | undefined
  try {
    slide = await openAny(path, {})
    return await compare(slide, about, oracle, new Chance(~seed))
  } catch (error) {
    if (!(error instanceof ClericError)) return { kind: 'failed', detail: (error as Error).stack ?? String(error) }
    return { kind: 'refused', detail: `${error.code}: ${error.message.replaceAll(path, 'FILE')}` }
  } finally {
    slide?.close()
  }
}

async function compare(
  slide: SlideSource,
  about: DrawnTiff['about'],
  oracle: Oracle,
  chance: Chance,
): Promise<Outcome> {
  const { page, hasProfile, damage } = about
  const [full] = slide.levels as readonly [Level, ...Level[]]
  const whole = (level: number, { width, height }: Level) => slide.readRegion({ x: 0, y: 0, level, width, height })
  const first = await whole(0, full)
  const deep = page.bits > 8 || page.format !== 'unsigned'
  if (deep) return { kind: 'different', detail: `${page.bits} bits, ${page.format}, shown as 8 bits` }
  if ('error' in oracle) return { kind: 'unknown', detail: oracle.error }

  const images = oracle.images.map(
    ({ width, height, file }): Image => ({ width, height, data: readFileSync(file), channels: 3 }),
  )
  const expected = images.reduce((best, image) =>
    image.width * image.height > best.width * best.height ? image : best,
  )
  if (full.width !== expected.width || full.height !== expected.height) {
    return { kind: 'different', detail: `${full.width} x ${full.height}, not ${expected.width} x ${expected.height}` }
  }
  // What isn't stored is background. Other damage is to be refused, unless it lies beyond the picture.
  if (damage?.kind === 'absent')
    paste(fill(damage.width, damage.height, slide.background), expected, damage.left, damage.top)
  const profile = slide.iccProfile?.() ?? null
  if ((profile !== null && Buffer.from(profile).equals(displayP3())) !== hasProfile) {
    return { kind: 'different', detail: `it has ${profile ? 'a' : 'no'} profile` }
  }
  const regions = [{ x: 0, y: 0, width: full.width, height: full.height }]
  for (let i = 0; i < 3; i++) {
    const [x, y] = [chance.integer(-20, full.width - 1), chance.integer(-20, full.height - 1)]
    regions.push({ x, y, width: chance.integer(1, full.width + 20), height: chance.integer(1, full.height + 20) })
  }
  for (const [i, region] of regions.entries()) {
    const got = i === 0 ? first : await slide.readRegion({ ...region, level: 0 })
    const wanted = fill(region.width, region.height, slide.background)
    paste(expected, wanted, -region.x, -region.y)
    const fault = difference(got, wanted, page)
    if (fault) return { kind: 'different', detail: `level 0, ${JSON.stringify(region)}: ${fault}` }
  }
  for (const [number, level] of slide.levels.entries()) {
    if (number === 0) continue
    const same = images.find(({ width, height }) => width === level.width && height === level.height)
    if (!same) return { kind: 'different', detail: `level ${number} of ${level.width} x ${level.height} is no image` }
    const fault = difference(await whole(number, level), same, page)
    if (fault) return { kind: 'different', detail: `level ${number}: ${fault}` }
  }
  const shown = slide.levels.length + slide.associatedImages.length
  // A later reader may say that there is more in the file.
  const { warnings = [] } = slide as { readonly warnings?: readonly string[] }
  if (shown < images.length && warnings.length === 0)
    return { kind: 'dropped', detail: `${images.length} images, of which ${shown} are shown` }
  return { kind: 'equal', detail: oracle.reader }
}

/** How two images differ, or null: by no more than decoders do. */
function difference(got: Image, wanted: Image, { compression, photometric, extras }: PageOptions): string | null {
  // Decoders of JPEG round differently, and interpolate chroma differently; other computations round, some more than once.
  const isRounded = photometric === 'ycbcr' || photometric === 'cmyk' || extras.some((kind) => kind > 0)
  const [most, mostMean] = compression === 'jpeg' ? [12, 0.7] : isRounded ? [4, 1] : [0, 0]
  let [largest, sum, at] = [0, 0, 0]
  for (let i = 0; i < wanted.data.length; i++) {
    const error = Math.abs((got.data[i] as number) - (wanted.data[i] as number))
    sum += error
    if (error > largest) [largest, at] = [error, i]
  }
  const mean = sum / wanted.data.length
  if (got.data.length === wanted.data.length && largest <= most && mean <= mostMean) return null
  const pixel = Math.floor(at / 3)
  const [x, y] = [pixel % wanted.width, Math.floor(pixel / wanted.width)]
  const colour = ({ data }: Image) => `(${[...data.subarray(3 * pixel, 3 * pixel + 3)].join(', ')})`
  return `at ${x}, ${y} it has ${colour(got)}, not ${colour(wanted)}; mean difference ${mean.toFixed(2)}`
}
