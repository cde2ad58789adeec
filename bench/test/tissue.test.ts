/** Stains and nuclei on images whose stains and nuclei are known. */
import test from 'ava'
import type { Image } from 'cleric'
import { EOSIN, HAEMATOXYLIN } from 'cleric/internal'
import { agreement, detectNuclei, type Nucleus } from '../src/nuclei.js'
import { separateStains } from '../src/stains.js'
import { tissue } from '../src/tissue.js'

/** An image with those densities, by Beer and Lambert's law. */
function stained(width: number, height: number, density: (x: number, y: number) => [h: number, e: number]): Image {
  const [h, e] = [Math.hypot(...HAEMATOXYLIN), Math.hypot(...EOSIN)]
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++) {
    const [haematoxylin, eosin] = density(i % width, Math.floor(i / width))
    for (let c = 0; c < 3; c++) {
      const absorbed = (haematoxylin * (HAEMATOXYLIN[c] as number)) / h + (eosin * (EOSIN[c] as number)) / e
      data[3 * i + c] = Math.round(255 * Math.exp(-absorbed))
    }
  }
  return { data, width, height, channels: 3 }
}

const discs = [
  { x: 30, y: 40, radius: 5 },
  { x: 100, y: 30, radius: 9 },
  { x: 60, y: 110, radius: 12 },
  { x: 130, y: 120, radius: 7 },
]
const inDisc = (x: number, y: number) => discs.some((d) => Math.hypot(x - d.x, y - d.y) <= d.radius)
const nuclei = () => stained(160, 150, (x, y) => (inDisc(x, y) ? [1.2, 0.2] : [0.2, 0.5 + 0.1 * Math.sin(x / 9)]))

test('stains are separated again, to what 8 bits round', (t) => {
  const image = stained(64, 64, (x, y) => [x / 64, y / 64])
  const { haematoxylin, eosin } = separateStains(image)
  for (let i = 0; i < 64 * 64; i++) {
    t.true(Math.abs((haematoxylin[i] as number) - (i % 64) / 64) < 0.02)
    t.true(Math.abs((eosin[i] as number) - Math.floor(i / 64) / 64) < 0.02)
  }
})

test('white holds no stain, and black has finite densities', (t) => {
  const { haematoxylin, eosin } = separateStains({
    ...{ data: Uint8Array.of(255, 255, 255, 0, 0, 0), width: 2, height: 1, channels: 3 },
  })
  t.deepEqual([Math.abs(haematoxylin[0] as number), Math.abs(eosin[0] as number)], [0, 0])
  t.true(Number.isFinite(haematoxylin[1]) && Number.isFinite(eosin[1]))
})

test('nuclei are found where they are, with their radius, and nothing else', (t) => {
  const { haematoxylin } = separateStains(nuclei())
  const found = detectNuclei(haematoxylin, 160, 150)
  t.is(found.length, discs.length)
  for (const disc of discs) {
    const nucleus = found.find(({ x, y }) => Math.hypot(x - disc.x, y - disc.y) <= 1.5) as Nucleus
    t.true(
      nucleus.radius / disc.radius > 0.7 && nucleus.radius / disc.radius < 1.4,
      `${nucleus.radius} for ${disc.radius}`,
    )
  }
  t.deepEqual(detectNuclei(new Float32Array(50 * 50).fill(0.4), 50, 50), [])
})

test('agreement pairs one to one, the nearest first', (t) => {
  const at = (x: number, y = 0): Nucleus => ({ x, y, radius: 5, strength: 1 })
  t.deepEqual(agreement([at(0), at(50)], [at(0), at(50)]), { f1: 1, countError: 0 })
  t.deepEqual(agreement([], []), { f1: 1, countError: 0 })
  t.deepEqual(agreement([at(0)], []), { f1: 0, countError: -1 })
  // Both found are near the first, only one may have it; 7 pixels are too far.
  t.deepEqual(agreement([at(0), at(50)], [at(1), at(3), at(57)]), { f1: 2 / 5, countError: 0.5 })
})

test('errors are none for the same image, and known for one with less stain', (t) => {
  const image = nuclei()
  const compare = tissue.against(image)
  t.deepEqual(compare(image), { f1: 1, countError: 0, haematoxylin: 0, eosin: 0 })
  const paler = stained(160, 150, (x, y) => (inDisc(x, y) ? [1.08, 0.2] : [0.18, 0.5 + 0.1 * Math.sin(x / 9)]))
  const { f1, haematoxylin, eosin } = compare(paler)
  t.is(f1, 1)
  t.true(Math.abs(haematoxylin - 0.1) < 0.01 && eosin < 0.01, `${haematoxylin} ${eosin}`)
})

test('results go through JSON; what is none is refused', (t) => {
  const errors = tissue.against(nuclei())(nuclei())
  t.deepEqual(tissue.parse(JSON.parse(JSON.stringify(errors))), errors)
  t.is(tissue.parse({ psnr: 30, msSsim: 0.9 }), null)
})
