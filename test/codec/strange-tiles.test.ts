/**
 * The model that ships, on tiles unlike those it was trained on: glass, pen marks, borders. They come back as they
 * were.
 */
import { openCodec } from '../../src/codec/codec.js'
import { psnr } from '../../src/metrics/psnr.js'
import { testWithModel } from '../data.js'

type Colour = readonly [number, number, number]

const side = 192
const white: Colour = [255, 255, 255]
const black: Colour = [0, 0, 0]
const red: Colour = [255, 0, 0]
const blue: Colour = [0, 0, 255]

/** Least PSNR in dB at quality 0: a lone colour is easy, hard edges are not. */
const tiles: readonly [string, number, (x: number, y: number) => Colour][] = [
  ['white', 30, () => white],
  ['black', 30, () => black],
  ['red', 20, () => red],
  ['blue', 20, () => blue],
  ['a black border', 25, (x) => (x < 100 ? black : white)],
  ['a slanting edge', 25, (x, y) => (x + y < side ? white : black)],
  ['a blue mark', 20, (x, y) => (Math.abs(x - y) < 12 ? blue : white)],
]

testWithModel([], 'tiles of lone colours and hard edges come back, at every quality', async (t) => {
  const codec = await openCodec({ device: 'cpu' })
  try {
    for (const [name, least, colour] of tiles) {
      const data = new Uint8Array(side * side * 3)
      for (let i = 0; i < side * side; i++) data.set(colour(i % side, Math.floor(i / side)), 3 * i)
      const image = { data, width: side, height: side, channels: 3 } as const
      for (const quality of [0, 30, 60, 100]) {
        const bytes = await codec.encodeTile(image, { quality })
        const found = psnr(image, await codec.decodeTile(bytes))
        const bpp = (8 * bytes.length) / side ** 2
        t.true(found > least, `${name}, quality ${quality}: ${found.toFixed(1)} dB`)
        t.true(bpp < 4, `${name}, quality ${quality}: ${bpp.toFixed(2)} bits a pixel`)
      }
    }
  } finally {
    codec.close()
  }
})
