/** Tiles that are the slide's own JPEGs: what is packed comes back, and whatever is damaged is said to be. */
import test from 'ava'
import sharp from 'sharp'
import { decodeClassic } from '../../src/codec/classic.js'
import { isMadeOf, packSourceTiles, unpackSourceTiles } from '../../src/codec/source-tiles.js'
import { fill, paste } from '../../src/image/draw.js'
import { wholeJpeg } from '../../src/image/jpeg-stream.js'
import { random } from '../../src/image/noise.js'

const SIDE = 48
const WHITE = { red: 255, green: 255, blue: 255 }
async function jpegOf(seed: number): Promise<Uint8Array> {
  const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => 255 * random(i >> 5, 0, seed))
  const jpeg = await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .jpeg()
    .toBuffer()
  return wholeJpeg(jpeg, null, false) as Uint8Array
}
const jpegs = await Promise.all([1, 2, 3, 4, 5].map(jpegOf))
const [width, height] = [3 * SIDE, 2 * SIDE]
const set = { columns: 3, rows: 2, jpegs: [...jpegs.slice(0, 4), null, jpegs[4] as Uint8Array] }
const stream = packSourceTiles(set)

test('the JPEGs come back to the bit, and what they have in common is stored once', (t) => {
  const { part, ...back } = unpackSourceTiles(stream, { width, height })
  t.deepEqual(back, set)
  t.deepEqual(part, { width: SIDE, height: SIDE })
  const sum = jpegs.reduce((bytes, { length }) => bytes + length, 0)
  // The tables of quantisation alone have 138 bytes.
  t.true(stream.length < sum - 4 * 138 + 4 + 4 * 6, `${stream.length} of ${sum}`)
  const alone = packSourceTiles({ columns: 1, rows: 1, jpegs: jpegs.slice(0, 1) })
  t.deepEqual(unpackSourceTiles(alone, { width: SIDE, height: SIDE }).jpegs, jpegs.slice(0, 1))
})

test('each is decoded to its place; where there is none it is white', async (t) => {
  const image = await decodeClassic('source', stream, { width, height })
  const expected = fill(width, height, WHITE)
  for (const [i, jpeg] of set.jpegs.entries()) {
    if (!jpeg) continue
    const one = await decodeClassic('source', packSourceTiles({ columns: 1, rows: 1, jpegs: [jpeg] }), {
      width: SIDE,
      height: SIDE,
    })
    paste(one, expected, (i % 3) * SIDE, Math.floor(i / 3) * SIDE)
  }
  t.is(Buffer.compare(image.data, expected.data), 0)
})

test('tiles are made of whole ones that are not too many', (t) => {
  t.true(isMadeOf({ width: 512, height: 512 }, { width: 256, height: 128 }))
  t.true(isMadeOf({ width: 480, height: 480 }, { width: 240, height: 240 }))
  t.false(isMadeOf({ width: 512, height: 512 }, { width: 240, height: 240 }))
  t.false(isMadeOf({ width: 512, height: 512 }, { width: 1024, height: 1024 }))
  t.false(isMadeOf({ width: 512, height: 512 }, { width: 16, height: 16 }))
})

test('a stream that is damaged, cut off or of another size is refused', async (t) => {
  const refused = async (bytes: Uint8Array, size = { width, height }) => {
    await t.throwsAsync(decodeClassic('source', bytes, size), { code: 'ERR_CORRUPT_TILE' })
  }
  for (const size of [
    { width: width + 1, height },
    { width, height: 3 * SIDE },
    { width: 2 * SIDE, height },
    { width: 3 * 16, height: 2 * 16 },
  ]) {
    await refused(stream, size)
  }
  for (let length = 0; length < stream.length; length += 5) await refused(stream.subarray(0, length))
  await refused(Buffer.concat([stream, Buffer.of(0)]))
  await refused(stream.with(0, 0))
  await refused(stream.with(1, 0))
  const progressive = await sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: '#123456' } })
    .jpeg({ progressive: true })
    .toBuffer()
  await t.throwsAsync(
    decodeClassic('source', packSourceTiles({ columns: 1, rows: 1, jpegs: [progressive] }), {
      width: SIDE,
      height: SIDE,
    }),
    { code: 'ERR_CORRUPT_TILE', message: /more than 1 scan/ },
  )
})

test('flipped bits give other pixels or an error of the tile, never another one', async (t) => {
  for (let i = 0; i < 150; i++) {
    const at = Math.floor(stream.length * random(i, 1, 9))
    const flipped = stream.with(at, (stream[at] as number) ^ (1 << Math.floor(8 * random(i, 2, 9))))
    const outcome = await decodeClassic('source', flipped, { width, height }).then(
      ({ data }) => data.length,
      ({ code }) => code,
    )
    t.true(outcome === width * height * 3 || outcome === 'ERR_CORRUPT_TILE', String(outcome))
  }
})
