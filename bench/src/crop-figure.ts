/**
 * A crop of one image by several codecs at the same rate, each above a map of its errors, as in the paper's Figure 7.
 * An SVG that holds its images as PNG.
 */

import { type Image, psnr } from 'cleric'
import { fromImage } from 'cleric/internal'
import type { BenchCodec } from './codec.js'
import { centre, type TestImage } from './image-set.js'
import { type Quality, quality } from './quality.js'
import type { ResultCache } from './result-cache.js'
import { runner } from './sweep.js'

const CROP = 160
const SCALE = 1.75
const GAP = 12
/** What an error of one grey level becomes in the map. */
const GAIN = 6
/** Settings tried to meet the rate, after the sweep's. */
const STEPS = 5

interface Panel {
  readonly title: string
  readonly subtitle: string
  readonly image: Image
  readonly errors: Image | null
}

export interface CropOptions {
  readonly cache: ResultCache<Quality> | null
  readonly signal?: AbortSignal | undefined
}

/**
 * @param codecs the first one, at the middle of its sweep, sets the rate; the others are brought as near to it as
 *   their settings allow
 */
export async function drawCrops(test: TestImage, codecs: readonly BenchCodec[], options: CropOptions): Promise<string> {
  const crop = centre(test.image, CROP)
  const panels: Panel[] = [{ title: 'original', subtitle: test.name, image: crop, errors: null }]
  let target: number | null = null
  for (const codec of codecs) {
    const setting: number = target === null ? middle(codec) : await matchRate(codec, target, test, options)
    const bytes = await codec.encode(test.image, setting, options.signal)
    const decoded = await codec.decode(bytes, test.image, options.signal)
    target ??= bytes.length
    const bpp = (8 * bytes.length) / (test.image.width * test.image.height)
    const db = psnr(test.image, decoded)
    const subtitle = `${bpp.toFixed(3)} bpp, ${Number.isFinite(db) ? `${db.toFixed(2)} dB` : 'equal'}`
    const image = centre(decoded, CROP)
    panels.push({ title: codec.label, subtitle, image, errors: errorMap(crop, image) })
  }
  return layOut(panels, crop)
}

function middle({ settings }: BenchCodec): number {
  return settings[Math.floor((settings.length - 1) / 2)] as number
}

/** The setting whose size comes nearest to `target` bytes, by bisection from the sweep's settings on. */
async function matchRate(codec: BenchCodec, target: number, test: TestImage, options: CropOptions): Promise<number> {
  const run = runner(test, { measure: quality, ...options })
  const sizes = new Map<number, number>()
  const size = async (setting: number) => {
    const known = sizes.get(setting) ?? (await run(codec, setting)).bytes
    sizes.set(setting, known)
    return known
  }
  let low = codec.settings[0] as number
  let high = codec.settings.at(-1) as number
  for (const setting of codec.settings) {
    if ((await size(setting)) <= target) low = setting
    else {
      high = setting
      break
    }
  }
  for (let i = 0; i < STEPS; i++) {
    const setting = Math.round((low + high) / 2 / codec.step) * codec.step
    const tried = Number(setting.toPrecision(6))
    if (sizes.has(tried)) break
    if ((await size(tried)) <= target) low = tried
    else high = tried
  }
  const distance = (bytes: number) => Math.abs(Math.log(bytes / target))
  return [...sizes].reduce((best, entry) => (distance(entry[1]) < distance(best[1]) ? entry : best))[0]
}

/** Mean absolute error of the three channels, times {@link GAIN}: black is none. */
function errorMap(a: Image, b: Image): Image {
  const data = new Uint8Array(a.data.length)
  for (let i = 0; i < data.length; i += 3) {
    let sum = 0
    for (let c = i; c < i + 3; c++) sum += Math.abs((a.data[c] as number) - (b.data[c] as number))
    data.fill(Math.min(255, Math.round((GAIN * sum) / 3)), i, i + 3)
  }
  return { data, width: a.width, height: a.height, channels: 3 }
}

async function layOut(panels: readonly Panel[], { width, height }: Image): Promise<string> {
  const [w, h] = [width * SCALE, height * SCALE]
  const head = 44
  const parts: string[] = []
  for (const [i, { title, subtitle, image, errors }] of panels.entries()) {
    const x = GAP + i * (w + GAP)
    parts.push(`<text x="${x}" y="18" font-weight="bold">${escapeXml(title)}</text>`)
    parts.push(`<text x="${x}" y="36">${escapeXml(subtitle)}</text>`)
    parts.push(await picture(image, x, head, w, h))
    if (errors) parts.push(await picture(errors, x, head + h + GAP, w, h))
    else parts.push(`<text x="${x}" y="${head + h + GAP + 18}">mean absolute error x ${GAIN}</text>`)
  }
  const size = [GAP + panels.length * (w + GAP), head + 2 * (h + GAP)] as const
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size[0]}" height="${size[1]}" font-family="sans-serif" font-size="13">`,
    '<rect width="100%" height="100%" fill="white"/>',
    ...parts,
    '</svg>\n',
  ].join('\n')
}

async function picture(image: Image, x: number, y: number, w: number, h: number): Promise<string> {
  const png = await fromImage(image).png().toBuffer()
  const style = 'style="image-rendering:pixelated"'
  return `<image x="${x}" y="${y}" width="${w}" height="${h}" ${style} href="data:image/png;base64,${png.toString('base64')}"/>`
}

function escapeXml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}
