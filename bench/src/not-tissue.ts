/**
 * Pictures that scans of slides hold and that are no tissue in H&E: text, pen, dust, borders, fluorescence, other stains,
 * gradients, noise, grids. All are drawn, from seeds alone, so they are the same on every machine.
 */
import type { Image } from 'cleric'
import { fractal, random, SyntheticSlide, smooth } from 'cleric/internal'

export interface Drawn {
  readonly name: string
  readonly image: Image
}

type Colour = readonly [red: number, green: number, blue: number]
/** The colour of a pixel; numbers are rounded and clamped to 0..255. */
type Paint = (x: number, y: number) => Colour

const GLASS: Colour = [243, 242, 245]

/** The set, pictures of `side` x `side` pixels. */
export async function drawNotTissue(side = 256): Promise<Drawn[]> {
  using slide = new SyntheticSlide('synthetic:4096x4096:5')
  const tissue = await slide.readRegion({ x: 900, y: 700, level: 0, width: side, height: side })
  const stained = (x: number, y: number) => colourAt(tissue, x, y)
  const paints: Readonly<Record<string, Paint>> = {
    text: (x, y) => grey(isInk(x, y) ? 0 : 255),
    'scanned text': (x, y) => plus(mix([238, 236, 225], [40, 38, 52], inkShare(x, y)), 5 * (random(x, y, 11) - 0.5)),
    pen: (x, y) => mix(stained(x, y), [28, 44, 150], 0.85 * penShare(x, y, side)),
    dust: (x, y) => mix(plus(GLASS, 4 * (random(x, y, 3) - 0.5)), [70, 64, 60], specks(x, y)),
    borders: (x, y) => (x < side * 0.31 ? [0, 0, 0] : y > side * 0.73 ? [255, 255, 255] : stained(x, y)),
    fluorescence: (x, y) => fluorescence(x, y),
    'other stain': (x, y) => otherStain(stained(x, y)),
    gradient: (x, y) => [40 + (170 * x) / side, 200 - (120 * y) / side, 90 + (80 * (x + y)) / (2 * side)],
    'banded sky': (x, y) => plus(grey(120 + 90 * smooth(x / 150, y / 150, 17)), 0),
    noise: (x, y) => [255 * random(x, y, 21), 255 * random(x, y, 22), 255 * random(x, y, 23)],
    'faint noise': (x, y) => plus([150, 120, 160], 24 * (random(x, y, 31) + random(x, y, 32) - 1)),
    grid: (x, y) => (x % 16 === 0 || y % 16 === 0 ? [60, 60, 200] : [255, 255, 255]),
    'grid on tissue': (x, y) => (x % 40 < 2 || y % 40 < 2 ? [0, 0, 0] : stained(x, y)),
  }
  return Object.entries(paints).map(([name, paint]) => ({ name, image: painted(side, paint) }))
}

function painted(side: number, paint: Paint): Image {
  const data = new Uint8ClampedArray(side * side * 3)
  for (let y = 0, i = 0; y < side; y++) for (let x = 0; x < side; x++, i += 3) data.set(paint(x, y), i)
  return { data: new Uint8Array(data.buffer), width: side, height: side, channels: 3 }
}

function colourAt({ data, width }: Image, x: number, y: number): Colour {
  const at = (y * width + x) * 3
  return [data[at] as number, data[at + 1] as number, data[at + 2] as number]
}

function grey(value: number): Colour {
  return [value, value, value]
}

function mix(a: Colour, b: Colour, share: number): Colour {
  return [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])]
}

function plus(a: Colour, value: number): Colour {
  return [a[0] + value, a[1] + value, a[2] + value]
}

/** Letters of 5 x 7 dots, three pixels each, none of which means anything. */
function isInk(x: number, y: number): boolean {
  const [column, row] = [Math.floor(x / 3), Math.floor(y / 3)]
  const [dotX, dotY] = [column % 6, row % 10]
  if (dotX === 5 || dotY > 6) return false
  const letter = Math.floor(random(Math.floor(column / 6), Math.floor(row / 10), 41) * 26)
  return random(letter * 8 + dotX, dotY, 42) < 0.45
}

/** The share of ink of a pixel that a lens sees a little out of focus. */
function inkShare(x: number, y: number): number {
  let share = 0
  for (let dy = -1; dy <= 1; dy++) {
    for (let dx = -1; dx <= 1; dx++)
      share += Number(isInk(x + dx + 3, y + dy + 3)) * (dx === 0 ? 2 : 1) * (dy === 0 ? 2 : 1)
  }
  return share / 16
}

/** Two strokes with soft edges. */
function penShare(x: number, y: number, side: number): number {
  const edge = (distance: number) => Math.min(1, Math.max(0, (side * 0.06 - distance) / 3))
  const first = Math.abs(y - side * (0.4 + 0.2 * Math.sin((5 * x) / side)))
  const second = Math.abs(x - side * (0.6 + 0.1 * Math.sin((7 * y) / side)))
  return Math.max(edge(first), edge(second))
}

/** How much of a speck of dust is there: irregular and sharp. */
function specks(x: number, y: number): number {
  let most = 0
  for (let i = 0; i < 24; i++) {
    const [cx, cy] = [256 * random(i, 0, 51), 256 * random(i, 1, 51)]
    const radius = 2 + 9 * random(i, 2, 51) ** 2
    const distance = Math.hypot(x - cx, y - cy) / (radius * (0.6 + 0.8 * smooth(x / 4, y / 4, 52 + i)))
    most = Math.max(most, Math.min(1, Math.max(0, 3 * (1 - distance))))
  }
  return most
}

/** Nuclei in blue and membranes in green on black, with the noise of a few photons. */
function fluorescence(x: number, y: number): Colour {
  let nucleus = 0
  for (let i = 0; i < 30; i++) {
    const distance = Math.hypot(x - 256 * random(i, 0, 61), y - 256 * random(i, 1, 61))
    nucleus += Math.exp(-((distance / (7 + 5 * random(i, 2, 61))) ** 4))
  }
  const membrane = Math.exp(-(((fractal(x / 30, y / 30, 62) - 0.5) / 0.03) ** 2))
  const photons = (value: number, seed: number) =>
    value + Math.sqrt(value + 1) * 2 * (random(x, y, seed) + random(x, y, seed + 1) - 1)
  return [photons(3, 63), photons(4 + 130 * membrane, 65), photons(5 + 200 * Math.min(1, nucleus), 67)]
}

/** Eosin turns brown and haematoxylin pale blue, as in immunohistochemistry. */
function otherStain([red, green, blue]: Colour): Colour {
  return [0.3 * blue + 0.7 * red, 0.6 * blue + 0.4 * red, 0.9 * green + 10]
}
