/**
 * An H&E slide that is drawn, not scanned: glands with lumen and a ring of nuclei, fibrous stroma with
 * spindle-shaped nuclei, white background. Any region of any size comes from the seed alone, so a slide
 * can be as large as wanted, costs no disk, and is the same on every machine.
 *
 * Stains are optical densities (Beer-Lambert): a pixel is 255 exp(-(haematoxylin + eosin)), with
 * the directions of Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution" (2001).
 */
import { SlideError, throwIfAborted } from '../errors.js'
import { type Colour, fill } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { fractal, hash, random, smooth, step } from '../image/noise.js'
import { EOSIN, HAEMATOXYLIN } from '../image/stains.js'
import { checkImageRead, checkRead, type Level, levelPosition, type Region, type SlideSource } from './source.js'

const BACKGROUND: Colour = { red: 244, green: 243, blue: 245 }
/** Samples a pixel and axis on the coarser levels. */
const SAMPLES = 2
const NUCLEUS_GRID = 15
const GLAND_GRID = 190
const MAX_SIDE = 400_000

/** Stain densities on a grid of samples, `step` level-0 pixels apart. */
interface Field {
  readonly left: number
  readonly top: number
  readonly step: number
  readonly width: number
  readonly height: number
  readonly haematoxylin: Float32Array
  readonly eosin: Float32Array
}

/** "synthetic:4096x3072" or "synthetic:4096x3072:7", the last number being the seed (default 1). */
export function parseSynthetic(description: string): { width: number; height: number; seed: number } {
  const match = /^synthetic:(\d{1,6})x(\d{1,6})(?::(\d{1,9}))?$/.exec(description)
  const [width, height, seed] = [Number(match?.[1]), Number(match?.[2]), Number(match?.[3] ?? 1)]
  if (!match || width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) {
    throw new SlideError(
      'ERR_UNSUPPORTED_SLIDE',
      `${description}: expected synthetic:WIDTHxHEIGHT[:SEED], sides from 1 to ${MAX_SIDE}`,
    )
  }
  return { width, height, seed }
}

export class SyntheticSlide implements SlideSource, Disposable {
  readonly format = 'synthetic'
  readonly path: string
  readonly bytes = 0
  readonly levels: readonly Level[]
  readonly mpp = { x: 0.5, y: 0.5 }
  readonly objectivePower = 20
  readonly background = BACKGROUND
  readonly properties: Readonly<Record<string, string>>
  readonly associatedImages = ['label', 'macro']
  readonly #seed: number

  constructor(description: string) {
    const { width, height, seed } = parseSynthetic(description)
    this.path = description
    this.#seed = seed
    const levels: Level[] = []
    for (let downsample = 1; levels.length === 0 || Math.max(width, height) / downsample >= 128; downsample *= 4) {
      levels.push({ width: Math.ceil(width / downsample), height: Math.ceil(height / downsample), downsample })
    }
    this.levels = levels
    this.properties = { 'cleric.synthetic.seed': String(seed), 'openslide.vendor': 'synthetic' }
  }

  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    checkRead(region, this.levels.length, signal)
    const level = this.levels[region.level] as Level
    const samples = level.downsample === 1 ? 1 : SAMPLES
    const column = levelPosition(region.x, level.downsample)
    const row = levelPosition(region.y, level.downsample)
    const image = fill(region.width, region.height, BACKGROUND)
    // In bands, so that the sample grid of a large region stays small.
    const band = 256
    for (let y = 0; y < region.height; y += band) {
      throwIfAborted(signal)
      const height = Math.min(band, region.height - y)
      const field = this.#field(
        column * level.downsample,
        (row + y) * level.downsample,
        level.downsample / samples,
        region.width * samples,
        height * samples,
      )
      this.#develop(field, samples, image, y, {
        left: -column,
        top: -row,
        right: level.width - column,
        bottom: level.height - row,
      })
    }
    return image
  }

  async readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    checkImageRead(name, signal)
    if (name === 'macro') {
      const last = this.levels.length - 1
      const { width, height } = this.levels[last] as Level
      return this.readRegion({ x: 0, y: 0, level: last, width, height }, signal)
    }
    if (name === 'label') return this.#label()
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.path} has no associated image ${name}`)
  }

  close(): void {}

  [Symbol.dispose](): void {
    this.close()
  }

  /** A sticker with bars. */
  #label(): Image {
    const image = fill(240, 200, { red: 250, green: 250, blue: 247 })
    for (let x = 20; x < 220; x++) {
      if (random(x >> 2, 0, this.#seed) < 0.5) continue
      for (let y = 60; y < 140; y++) image.data.fill(25, (y * 240 + x) * 3, (y * 240 + x) * 3 + 3)
    }
    return image
  }

  #field(left: number, top: number, step: number, width: number, height: number): Field {
    const size = width * height
    const field: Field = {
      left,
      top,
      step,
      width,
      height,
      haematoxylin: new Float32Array(size),
      eosin: new Float32Array(size),
    }
    this.#stroma(field)
    forCells(field, NUCLEUS_GRID, (column, row) => this.#strayNucleus(field, column, row))
    // After the stray nuclei: a gland covers what it grows over.
    forCells(field, GLAND_GRID, (column, row) => this.#gland(field, column, row))
    return field
  }

  /** How much tissue there is at a place, 0 to 1. */
  #tissue(x: number, y: number): number {
    const { width, height } = this.levels[0] as Level
    const u = (2 * x) / width - 1
    const v = (2 * y) / height - 1
    // Noise alters the distance from the middle by 0.275 and 0.01 at most, which changes nothing far from the outline.
    const squared = u * u + v * v
    if (squared < 0.65 ** 2) return 1
    if (squared > 1.26 ** 2) return 0
    const shape = 1.15 - Math.hypot(u, v) + 0.55 * (fractal(3 * u + 5, 3 * v + 5, this.#seed) - 0.5)
    if (shape > 0.221) return 1
    if (shape < 0.169) return 0
    const edge = 0.02 * (smooth(x / 9, y / 9, this.#seed + 3) - 0.5)
    return step(0.18, 0.21, shape + edge)
  }

  /** Wavy fibres of varying density, with gaps between bundles. */
  #stroma(field: Field): void {
    const seed = this.#seed + 10
    for (let row = 0, i = 0; row < field.height; row++) {
      const y = field.top + (row + 0.5) * field.step
      for (let column = 0; column < field.width; column++, i++) {
        const x = field.left + (column + 0.5) * field.step
        const tissue = this.#tissue(x, y)
        if (tissue === 0) continue
        const bend = 60 * fractal(x / 170, y / 170, seed)
        const fibre = smooth((x + y) / 46 + 7, (x - y + bend * 3) / 5.5, seed + 4)
        const bundle = smooth(x / 31, (y + bend) / 19, seed + 5)
        const gap = step(0.72, 0.86, smooth((x + bend) / 40, (y - bend) / 15, seed + 6))
        const grain = 0.1 * (smooth(x / 1.9, y / 1.9, seed + 7) - 0.5)
        const density = (0.22 + 0.3 * fibre + 0.22 * bundle + grain) * (1 - 0.85 * gap)
        field.eosin[i] = density * tissue
        field.haematoxylin[i] = 0.06 * density * tissue
      }
    }
  }

  /** A ring of epithelium around an empty lumen; its nuclei stand along the outer wall. */
  #gland(field: Field, column: number, row: number): void {
    const seed = this.#seed + 40
    if (random(column, row, seed) < 0.25) return
    const x = (column + 0.3 + 0.4 * random(column, row, seed + 1)) * GLAND_GRID
    const y = (row + 0.3 + 0.4 * random(column, row, seed + 2)) * GLAND_GRID
    if (this.#tissue(x, y) < 1) return
    const radius = 42 + 30 * random(column, row, seed + 3)
    const wall = 19 + 7 * random(column, row, seed + 4)
    const squash = 0.65 + 0.35 * random(column, row, seed + 5)
    const turn = Math.PI * random(column, row, seed + 6)
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)]
    const wobble = (angle: number) =>
      1 + 0.1 * Math.sin(2 * angle + 6 * random(column, row, seed + 7)) + 0.06 * Math.sin(5 * angle + turn)
    around(field, x, y, 1.2 * radius, (i, dx, dy) => {
      const u = cos * dx + sin * dy
      const v = (cos * dy - sin * dx) / squash
      const rim = radius * wobble(Math.atan2(v, u))
      const depth = rim - Math.hypot(u, v)
      if (depth <= 0) return
      const inside = step(0, 2.5, depth)
      const lumen = step(wall, wall + 3, depth)
      const cloud = smooth((x + dx) / 4, (y + dy) / 4, seed + 8)
      const cytoplasm = (0.3 + 0.16 * cloud) * (1 - lumen) + 0.03 * lumen
      field.eosin[i] = (field.eosin[i] as number) * (1 - inside) + cytoplasm * inside
      field.haematoxylin[i] = (field.haematoxylin[i] as number) * (1 - inside) + 0.5 * cytoplasm * inside
    })
    const count = Math.floor((2 * Math.PI * radius) / 10)
    for (let k = 0; k < count; k++) {
      const place = hash(column, row, seed + 9) + k
      const angle = ((k + 0.6 * random(place, 1, seed)) * 2 * Math.PI) / count
      const reach = radius * wobble(angle) - 7 - 4 * random(place, 2, seed)
      const u = reach * Math.cos(angle)
      const v = reach * Math.sin(angle) * squash
      this.#nucleus(field, x + cos * u - sin * v, y + sin * u + cos * v, 4.9, 3.5, turn + angle, place)
    }
  }

  /** Fibroblasts (long, dark) and lymphocytes (round, darker) between the glands. */
  #strayNucleus(field: Field, column: number, row: number): void {
    const seed = this.#seed + 70
    const x = (column + random(column, row, seed + 1)) * NUCLEUS_GRID
    const y = (row + random(column, row, seed + 2)) * NUCLEUS_GRID
    const crowd = smooth(x / 260, y / 260, seed + 3)
    if (random(column, row, seed) > 0.06 + 0.75 * crowd ** 4) return
    if (this.#tissue(x, y) < 1) return
    const round = crowd > 0.62
    const turn = round ? 0 : Math.PI * (0.25 + 0.3 * (smooth(x / 170, y / 170, seed + 4) - 0.5))
    const long = round ? 3.9 : 6 + 3 * random(column, row, seed + 5)
    this.#nucleus(field, x, y, long, round ? 3.6 : 2.1, turn, hash(column, row, seed + 6))
  }

  #nucleus(field: Field, x: number, y: number, long: number, short: number, turn: number, place: number): void {
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)]
    const depth = 0.75 + 0.55 * random(place, 3, this.#seed)
    const soft = Math.max(0.25, field.step / long)
    around(field, x, y, long * 1.3, (i, dx, dy) => {
      const radius = Math.hypot((cos * dx + sin * dy) / long, (cos * dy - sin * dx) / short)
      const cover = 1 - step(1 - soft, 1 + soft, radius)
      if (cover === 0) return
      const rim = 0.25 * step(0.55, 0.95, radius)
      const chromatin = 0.45 * smooth((x + dx) / 1.5, (y + dy) / 1.5, place)
      const density = (0.62 + rim + chromatin) * depth
      field.haematoxylin[i] = Math.max(field.haematoxylin[i] as number, density * cover)
      field.eosin[i] = (field.eosin[i] as number) * (1 - 0.5 * cover)
    })
  }

  /** Densities to pixels; `inside` bounds the level in pixels of the image, the rest stays background. */
  #develop(
    field: Field,
    samples: number,
    image: Image,
    top: number,
    inside: { left: number; top: number; right: number; bottom: number },
  ): void {
    const rows = field.height / samples
    const weight = 1 / (samples * samples)
    const light = [BACKGROUND.red, BACKGROUND.green, BACKGROUND.blue]
    for (let row = Math.max(0, inside.top - top); row < Math.min(rows, inside.bottom - top); row++) {
      for (let column = Math.max(0, inside.left); column < Math.min(image.width, inside.right); column++) {
        let [red, green, blue] = [0, 0, 0]
        for (let dy = 0; dy < samples; dy++) {
          let i = (row * samples + dy) * field.width + column * samples
          for (let dx = 0; dx < samples; dx++, i++) {
            const h = field.haematoxylin[i] as number
            const e = field.eosin[i] as number
            red += Math.exp(-HAEMATOXYLIN[0] * h - EOSIN[0] * e)
            green += Math.exp(-HAEMATOXYLIN[1] * h - EOSIN[1] * e)
            blue += Math.exp(-HAEMATOXYLIN[2] * h - EOSIN[2] * e)
          }
        }
        const at = ((row + top) * image.width + column) * 3
        // Camera noise, by place so that it is the same in every region; averaging samples reduces it.
        const noise = hash(
          field.left / field.step + column * samples,
          field.top / field.step + row * samples,
          this.#seed + 99,
        )
        const amplitude = 3 / samples / 1024
        image.data[at] = (light[0] as number) * red * weight + ((noise & 1023) - 512) * amplitude + 0.5
        image.data[at + 1] = (light[1] as number) * green * weight + (((noise >> 10) & 1023) - 512) * amplitude + 0.5
        image.data[at + 2] = (light[2] as number) * blue * weight + (((noise >> 20) & 1023) - 512) * amplitude + 0.5
      }
    }
  }
}

/** Calls `draw` for every cell of a grid whose drawings (up to a cell away) may reach the field. */
function forCells(field: Field, grid: number, draw: (column: number, row: number) => void): void {
  const right = Math.floor((field.left + field.width * field.step) / grid) + 1
  const bottom = Math.floor((field.top + field.height * field.step) / grid) + 1
  for (let row = Math.floor(field.top / grid) - 1; row <= bottom; row++) {
    for (let column = Math.floor(field.left / grid) - 1; column <= right; column++) draw(column, row)
  }
}

/** Calls `paint` for every sample at most `reach` from (x, y) along each axis, with its offset from there. */
function around(
  field: Field,
  x: number,
  y: number,
  reach: number,
  paint: (index: number, dx: number, dy: number) => void,
): void {
  const first = (at: number, start: number) => Math.max(0, Math.ceil((at - reach - start) / field.step - 0.5))
  const last = (at: number, start: number, size: number) =>
    Math.min(size - 1, Math.floor((at + reach - start) / field.step - 0.5))
  const right = last(x, field.left, field.width)
  const bottom = last(y, field.top, field.height)
  const left = first(x, field.left)
  for (let row = first(y, field.top); row <= bottom; row++) {
    const dy = field.top + (row + 0.5) * field.step - y
    for (let column = left; column <= right; column++) {
      paint(row * field.width + column, field.left + (column + 0.5) * field.step - x, dy)
    }
  }
}
