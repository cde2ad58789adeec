/** `cleric bench borders`: what it measures, and that the borders of tiles are as good as a bound says. */
import test, { type ExecutionContext } from 'ava'
import { type Image, openCodec, openSlide } from 'cleric'
import { dataPath, testWithModel } from '../../test/data.js'
import { type BordersRow, benchBorders } from '../src/borders.js'
import { clericCodec } from '../src/cleric-codec.js'
import type { BenchCodec } from '../src/codec.js'

const SIDE = 64

/** A codec whose errors are what `error` says, of a row, column and channel of a tile. */
function fakeCodec(error: (y: number, x: number, channel: number) => number): BenchCodec {
  return {
    ...{ id: 'fake', label: 'fake', chroma: '4:4:4', setting: 'quality', settings: [1], step: 1 },
    ...{ version: '', commands: [], cacheable: false },
    encode: async (image) => image.data.slice(),
    decode: async (bytes, { width, height }) => ({
      data: bytes.map((value, i) => value + error(Math.floor(i / 3 / width), Math.floor(i / 3) % width, i % 3)),
      ...{ width, height, channels: 3 },
    }),
  }
}

/** Figures of a grey image of 3 x 2 tiles and a rest. */
async function figuresOf(error: Parameters<typeof fakeCodec>[0]): Promise<{ tiles: number; row: BordersRow }> {
  const [width, height] = [3 * SIDE + 5, 2 * SIDE + 9]
  const image: Image = { data: new Uint8Array(3 * width * height).fill(128), width, height, channels: 3 }
  const { tiles, rows } = await benchBorders({
    ...{ codecs: [fakeCodec(error)], images: [image], side: SIDE, settingsOf: () => [1] },
    ...{ onProgress: () => {}, signal: new AbortController().signal },
  })
  return { tiles, row: rows[0] as BordersRow }
}

function near(t: ExecutionContext, value: number, expected: number): void {
  t.true(Math.abs(value - expected) < 1e-9, `${value}, not ${expected}`)
}

test('a ring that is worse is worse than the pixels inside, wherever these lie', async (t) => {
  const isRing = (at: number) => at === 0 || at === SIDE - 1
  const { tiles, row } = await figuresOf((y, x) => (isRing(y) || isRing(x) ? 2 : 1))
  t.is(tiles, 6)
  // A row inside crosses the ring twice.
  const inside = (62 + 2 * 4) / 64
  for (const { all, alike } of [row.ring, row.first, row.last]) {
    near(t, all, 10 * Math.log10(4 / inside))
    near(t, alike, 10 * Math.log10(4 / inside))
  }
  near(t, row.psnr, 10 * Math.log10(255 ** 2 / ((4 * 4 * 63 + 62 ** 2) / 64 ** 2)))
  near(t, row.bpp, 24)
})

test('the top and left of a tile are told from its bottom and right', async (t) => {
  const { row } = await figuresOf((y, x) => (y === SIDE - 1 || x === SIDE - 1 ? 3 : 1))
  const inside = (63 + 9) / 64
  near(t, row.first.all, 0)
  near(t, row.last.all, 10 * Math.log10(9 / inside))
})

test('borders on the steps that a source has everywhere are no worse than these', async (t) => {
  const isStep = (at: number) => at % 8 === 0 || at % 8 === 7
  // Opposite signs on both sides of a step.
  const { row } = await figuresOf((y, x, channel) =>
    (isStep(y) || isStep(x) ? (y + x + channel) % 2 === 0 : true) ? 2 : -2,
  )
  const { row: worse } = await figuresOf((y) => (isStep(y) ? (y % 2 === 0 ? 4 : -4) : 1))
  near(t, row.ring.all, 0)
  t.true(worse.ring.all > 3 && worse.step.all > 1.5)
  near(t, worse.ring.alike, 0)
  near(t, worse.step.alike, 1)
})

test('images without a whole tile, and tiles without an inside, are refused', async (t) => {
  const image: Image = { data: new Uint8Array(3 * 100 * 60), width: 100, height: 60, channels: 3 }
  const bench = (side: number) =>
    benchBorders({
      ...{ codecs: [], images: [image], side, settingsOf: () => [] },
      ...{ onProgress: () => {}, signal: new AbortController().signal },
    })
  await t.throwsAsync(bench(64), { instanceOf: RangeError, message: /at least 64 x 64 pixels but received 100 x 60/ })
  await t.throwsAsync(bench(48), { instanceOf: RangeError, message: /at least 64 for the side of tiles/ })
})

const SLIDE = 'slides/CMU-1-Small-Region.svs'

testWithModel(
  [SLIDE],
  'the outermost ring of tiles is at most 0.4 dB worse than pixels that lie alike, steps at most 1.15 times',
  async (t) => {
    t.timeout(240_000)
    using slide = await openSlide(dataPath(SLIDE))
    const image = await slide.readRegion({ x: 512, y: 1024, level: 0, width: 1024, height: 1024 })
    using codec = await openCodec({ device: 'cpu' })
    const { rows } = await benchBorders({
      ...{ codecs: [clericCodec(codec)], images: [image], side: 256, settingsOf: () => [20, 60] },
      ...{ onProgress: () => {}, signal: new AbortController().signal },
    })
    for (const { setting, ring, step } of rows) {
      t.true(ring.alike < 0.4, `${ring.alike} dB at quality ${setting}`)
      t.true(step.alike < 1.15, `${step.alike} times at quality ${setting}`)
    }
  },
)
