/** Which tiles are left out, at the limits that `BackgroundMode` states. */
import test from 'ava'
import { BACKGROUND_MODES, blankColour } from '../../src/compress/blank.js'
import { fill, paste, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'

test('grain is glass; a dark pixel, a pale patch, or a colour of its own keep a tile from being blank', (t) => {
  const glass = (change: (image: Image) => void) => {
    const image = fill(64, 48, { red: 240, green: 240, blue: 240 })
    for (let i = 0; i < image.data.length; i++) image.data[i] = 230 + ((i * 7919) % 21)
    change(image)
    return blankColour(image, 'auto')
  }
  t.true(Math.abs((glass(() => {})?.green ?? 0) - 240) <= 1)
  t.is(
    glass(({ data }) => data.fill(200, 3000, 3003)),
    null,
  )
  const patch = fill(5, 5, { red: 240, green: 228, blue: 240 })
  t.is(
    glass((image) => paste(patch, image, 31, 20)),
    null,
  )
  const pink = fill(64, 64, { red: 240, green: 210, blue: 230 })
  pink.data[0] = 239
  t.is(blankColour(pink, 'auto'), null)
})

test('a tile of one colour that is no glass is blank in every mode, and keeps its colour', (t) => {
  for (const colour of [
    { red: 0, green: 0, blue: 0 },
    { red: 240, green: 210, blue: 230 },
  ]) {
    for (const mode of BACKGROUND_MODES) t.deepEqual(blankColour(fill(64, 48, colour), mode), colour, mode)
    const speck = fill(64, 48, colour)
    speck.data[100] = 7
    for (const mode of BACKGROUND_MODES) t.is(blankColour(speck, mode), null, mode)
  }
})

const grey = (value: number) => ({ red: value, green: value, blue: value })

/** A grey of 240, with one pixel for each of the given values. */
function specked(...values: readonly number[]): Image {
  const image = fill(64, 48, grey(240))
  // In blocks of their own, so that no block's mean is far off.
  for (const [i, value] of values.entries()) image.data[(i * 8 * 64 + i * 8) * 3] = value
  return image
}

test('noise is within 32 of the mean of its channel, above and below', (t) => {
  const mean = (image: Image) => image.data.filter((_, i) => i % 3 === 0).reduce((sum, value) => sum + value) / 3072
  // The mean is a little below 240, so 208 is within 32 of it and 207 isn't.
  t.true(mean(specked(208)) < 240 && mean(specked(207)) > 239)
  t.deepEqual(blankColour(specked(208), 'auto'), grey(240))
  t.is(blankColour(specked(207), 'auto'), null)
  const dim = fill(64, 48, grey(210))
  dim.data[0] = 242
  t.deepEqual(blankColour(dim, 'auto'), grey(210))
  dim.data[0] = 243
  t.is(blankColour(dim, 'auto'), null)
})

test('glass is at least 200 in each channel, which are within 20 of each other', (t) => {
  /** Noise, so that the tile is not of one colour. */
  const isGlass = (red: number, green: number, blue: number) => {
    const image = fill(8, 8, { red, green, blue })
    // One up and one down in each channel: the mean stays.
    for (let channel = 0; channel < 3; channel++) {
      image.data[channel] = (image.data[channel] as number) + 1
      image.data[3 + channel] = (image.data[3 + channel] as number) - 1
    }
    return blankColour(image, 'white') !== null
  }
  t.true(isGlass(200, 200, 200) && isGlass(220, 200, 210) && isGlass(200, 210, 220))
  t.false(isGlass(199, 200, 200) || isGlass(200, 199, 200) || isGlass(200, 200, 199))
  t.false(isGlass(221, 200, 210) || isGlass(200, 210, 221))
  t.deepEqual(blankColour(specked(239), 'white'), WHITE)
  t.is(blankColour(specked(239), 'keep'), null)
})

test('structure is a block of 4 x 4 whose mean is further than 8 from that of the tile, wherever it lies', (t) => {
  // Wide and high enough that the block hardly moves the mean; 66 x 50 leaves blocks of 2 pixels at the right and
  // below.
  for (const [width, height] of [
    [64, 48],
    [66, 50],
  ] as const) {
    for (const [x, y] of [
      [0, 0],
      [width - (width % 4 || 4), 20],
      [32, height - (height % 4 || 4)],
    ] as const) {
      for (let channel = 0; channel < 3; channel++) {
        for (const sign of [-1, 1]) {
          const shifted = (by: number) => {
            const image = fill(width, height, grey(230))
            const patch = fill(Math.min(4, width - x), Math.min(4, height - y), grey(230))
            for (let i = channel; i < patch.data.length; i += 3) patch.data[i] = 230 + sign * by
            paste(patch, image, x, y)
            return blankColour(image, 'auto')
          }
          t.deepEqual(shifted(8), grey(230), `8 at ${x}, ${y} of ${width} x ${height}`)
          t.is(shifted(9), null, `9 at ${x}, ${y} of ${width} x ${height}`)
        }
      }
    }
  }
})
