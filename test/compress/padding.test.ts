/** What an edge tile holds beyond the edge. */
import test from 'ava'
import { padTile } from '../../src/compress/padding.js'
import type { Image } from '../../src/image/image.js'

const pixel = ({ data, width }: Image, x: number, y: number) => [...data.subarray((y * width + x) * 3).subarray(0, 3)]

/** 20 x 10: left half of one colour, right half of another, the last row of a third. */
function tile(): Image {
  const [width, height] = [20, 10]
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data.set(y === height - 1 ? [0, 128, 255] : x < width / 2 ? [10, 20, 30] : [210, 220, 230], (y * width + x) * 3)
    }
  }
  return { data, width, height, channels: 3 }
}

// Nine rows of either half, and one of its own.
const mean = [
  [10, 210, 0],
  [20, 220, 128],
  [30, 230, 255],
].map(([left = 0, right = 0, last = 0]) => Math.round((9 * left + 9 * right + 2 * last) / 20))

test('the picture itself stays as it is', (t) => {
  const image = tile()
  const padded = padTile(image, 128, 96)
  t.deepEqual([padded.width, padded.height, padded.data.length], [128, 96, 128 * 96 * 3])
  for (let y = 0; y < 10; y++) for (let x = 0; x < 20; x++) t.deepEqual(pixel(padded, x, y), pixel(image, x, y))
  t.is(padTile(image, 20, 10), image)
})

test('its last column and row go on, and fade to the mean colour within 64 pixels', (t) => {
  const padded = padTile(tile(), 128, 96)
  const faded = (edge: readonly number[], beyond: number) => {
    const share = Math.min(64, beyond) / 64
    return edge.map((value, i) => Math.floor(value * (1 - share) + (mean[i] as number) * share + 0.5))
  }
  for (const beyond of [1, 2, 17, 32, 63, 64, 65, 86]) {
    t.deepEqual(pixel(padded, 19 + beyond, 3), faded([210, 220, 230], beyond), `${beyond} to the right`)
    t.deepEqual(pixel(padded, 4, 9 + beyond), faded([0, 128, 255], beyond), `${beyond} below`)
    // Beyond the corner by the farther of the two.
    t.deepEqual(pixel(padded, 21, 9 + beyond), faded([0, 128, 255], Math.max(2, beyond)), `${beyond} below the corner`)
  }
  t.notDeepEqual(faded([210, 220, 230], 32), [210, 220, 230])
})

test('a tile at one edge only is grown beyond that edge only', (t) => {
  const image = tile()
  const both = padTile(image, 128, 96)
  const wide = padTile(image, 128, 10)
  t.deepEqual([wide.width, wide.height], [128, 10])
  for (const x of [0, 19, 20, 50, 127]) t.deepEqual(pixel(wide, x, 3), pixel(both, x, 3), `column ${x}`)
  const high = padTile(image, 20, 96)
  t.deepEqual([high.width, high.height], [20, 96])
  for (const y of [0, 9, 10, 50, 95]) t.deepEqual(pixel(high, 4, y), pixel(both, 4, y), `row ${y}`)
})
