/** Metrics against values from PyTorch (test/fixtures/ms_ssim.py), and block-wise against whole. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { fill } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { compareSlides } from '../../src/metrics/compare.js'
import { MS_SSIM_OVERLAP, MsSsimTotals, msSsim } from '../../src/metrics/ms-ssim.js'
import { ErrorTotals, meanSquaredError, psnr } from '../../src/metrics/psnr.js'
import { crop, memorySlide } from '../slides.js'

interface Case {
  readonly width: number
  readonly height: number
  readonly strength: number
  readonly psnr: number
  readonly msSsim: number
  readonly maxError: number
}
const cases: Case[] = JSON.parse(readFileSync(new URL('../fixtures/ms-ssim.json', import.meta.url), 'utf8'))

/** As images() of test/fixtures/ms_ssim.py. */
function images(width: number, height: number, strength: number): [Image, Image] {
  const a = fill(width, height, { red: 0, green: 0, blue: 0 })
  const b = fill(width, height, { red: 0, green: 0, blue: 0 })
  let state = 1
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++, i++) {
        const value = Math.abs(((x * (c + 3) + y * 5) % 256) - 128) + Math.abs((Math.floor((x * y) / 64) % 128) - 64)
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        const shift = Math.floor(((state >>> 24) * strength) / 256) - Math.floor(strength / 2)
        a.data[i] = value
        b.data[i] = Math.min(255, Math.max(0, value + shift))
      }
    }
  }
  return [a, b]
}

for (const { width, height, strength, ...expected } of cases) {
  test(`PSNR, MS-SSIM and largest error of ${width} x ${height} agree with PyTorch`, (t) => {
    const [a, b] = images(width, height, strength)
    t.true(Math.abs(psnr(a, b) - expected.psnr) < 1e-9)
    t.true(Math.abs((msSsim(a, b) as number) - expected.msSsim) < 1e-6, `${msSsim(a, b)} for ${expected.msSsim}`)
    const totals = new ErrorTotals()
    totals.add(a, b)
    t.is(totals.maxError, expected.maxError)
  })
}

test('equal images: infinite PSNR, MS-SSIM 1', (t) => {
  const [a] = images(200, 180, 1)
  t.is(psnr(a, a), Number.POSITIVE_INFINITY)
  t.true(Math.abs((msSsim(a, a) as number) - 1) < 1e-12)
})

test('MS-SSIM has no value below 176 pixels', (t) => {
  const [a, b] = images(175, 300, 9)
  t.is(msSsim(a, b), null)
})

test('MS-SSIM over blocks is that of the whole image', (t) => {
  const [a, b] = images(523, 391, 60)
  const totals = new MsSsimTotals()
  const block = 128
  for (let y = 0; y < a.height; y += block) {
    for (let x = 0; x < a.width; x += block) {
      const reach = block + MS_SSIM_OVERLAP
      totals.add(crop(a, x, y, reach, reach), crop(b, x, y, reach, reach), block, block)
    }
  }
  t.true(Math.abs((totals.value as number) - (msSsim(a, b) as number)) < 1e-12)
})

test('slides are compared level by level where their sizes agree', async (t) => {
  const [a, b] = images(1500, 1100, 30)
  const [small] = images(100, 80, 30)
  const levels = await compareSlides(memorySlide([a, small]), memorySlide([b]))
  t.is(levels.length, 1)
  t.like(levels[0], { level: 0, width: 1500, height: 1100 })
  t.true(Math.abs((levels[0]?.psnr as number) - psnr(a, b)) < 1e-9)
  t.true(Math.abs((levels[0]?.msSsim as number) - (msSsim(a, b) as number)) < 1e-12)
})

test('images of different size are refused with the house sentence', (t) => {
  t.throws(() => psnr(fill(2, 2, { red: 0, green: 0, blue: 0 }), fill(2, 3, { red: 0, green: 0, blue: 0 })), {
    instanceOf: RangeError,
    message: 'Expected 2 x 2 pixels for the second image but received "2 x 3" of type string',
  })
})

test('what is no image, or has no whole pixels, is refused with the house sentence', (t) => {
  const image = fill(3, 2, { red: 0, green: 0, blue: 0 })
  for (const metric of [psnr, msSsim]) {
    for (const bad of [
      null,
      undefined,
      5,
      { ...image, data: [0] },
      { ...image, width: 1.5, height: 4 },
      { ...image, width: 6n },
    ]) {
      for (const pair of [
        [bad, image],
        [image, bad],
      ]) {
        const error = t.throws(() => metric(...(pair as [Image, Image])), { code: 'ERR_INVALID_ARGUMENT' })
        t.regex(error?.message ?? '', /^Expected .* for the (first|second) image/)
      }
    }
  }
})

test('a mean squared error is exact, wherever the bytes lie and whichever part counts', (t) => {
  const [width, height] = [211, 53]
  const noise = (seed: number, offset: number) => {
    const data = new Uint8Array(3 * width * height + offset).subarray(offset)
    for (let i = 0; i < data.length; i++) data[i] = (Math.imul(i + seed, 2654435761) >>> 13) & 255
    return { data, width, height, channels: 3 as const }
  }
  for (const [first, second] of [
    [0, 0],
    [1, 0],
    [3, 3],
  ] as const) {
    const [a, b] = [noise(1, first), noise(7, second)]
    for (const size of [a, { width: 210, height: 52 }, { width: 1, height: 1 }]) {
      const totals = new ErrorTotals()
      totals.add(a, b, size.width, size.height)
      t.is(meanSquaredError(a, b, size), totals.mse)
    }
  }
  const [black, white] = [0, 255].map((value) => fill(512, 512, { red: value, green: value, blue: value }))
  t.is(meanSquaredError(black as Image, white as Image, { width: 512, height: 512 }), 255 ** 2)
})
