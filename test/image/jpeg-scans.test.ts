/** The scans of JPEGs are counted, wherever something else looks like one. */
import test from 'ava'
import sharp from 'sharp'
import { hasManyScans, ScanCounter } from '../../src/image/jpeg-scans.js'
import { decodeJpeg } from '../../src/image/stored-jpeg.js'
import { decodeJpeg as decodeInBrowser } from '../../src/web/stored-jpeg.js'
import { MOST_SCANS, manyScans, repeatedScans } from './many-scans.js'

const size = { width: 64, height: 48 }

function count(stream: Uint8Array, pieces = stream.length): number {
  const counter = new ScanCounter()
  for (let at = 0; at < stream.length; at += pieces) counter.push(stream.subarray(at, at + pieces))
  return counter.scans
}

test('scans are counted, in one piece and in many', async (t) => {
  for (const [make, scans] of [
    [manyScans, 1],
    [manyScans, 64],
    [manyScans, MOST_SCANS],
    [repeatedScans, 3],
    [repeatedScans, 500],
  ] as const) {
    const stream = make(size, scans)
    await sharp(stream, { failOn: 'warning' }).raw().toBuffer()
    for (const pieces of [stream.length, 1, 2, 7, 100]) t.is(count(stream, pieces), scans)
    t.true(hasManyScans(stream, scans - 1))
    t.false(hasManyScans(stream, scans))
  }
  const drawn = sharp({ create: { ...size, channels: 3, background: '#a0b0c0' } })
  t.is(count(await drawn.clone().jpeg().toBuffer()), 1)
  const progressive = count(await drawn.clone().jpeg({ progressive: true }).toBuffer())
  t.true(progressive > 4 && progressive < 20, `${progressive}`)
})

test("a thumbnail's scans, restarts and bytes of nothing are none, nor is what follows the end", (t) => {
  const stream = Buffer.from(manyScans(size, 5))
  const second = stream.indexOf(Buffer.of(0xff, 0xda), stream.indexOf(Buffer.of(0xff, 0xda)) + 1)
  const before = (at: number, ...bytes: number[]) =>
    Buffer.concat([stream.subarray(0, at), Buffer.from(bytes), stream.subarray(at)])
  const thumbnail = [0xff, 0xe1, 0, 12, 0xff, 0xda, 0, 8, 0xff, 0xda, 0, 8, 0, 0]
  for (const changed of [
    before(2, ...thumbnail),
    before(second, 0xff, 0xd0, 0, 5, 0xff, 0, 0xda, 0xff, 0xff),
    before(second, 0xff, 0xd7, 0xff),
    before(second, 0xff, 0x01, 0xff, 0xd8),
    before(stream.length, 0xff, 0xda, 0, 2),
  ]) {
    for (const pieces of [changed.length, 1, 3]) t.is(count(changed, pieces), 5)
  }
  for (const nothing of ['', 'ff', 'ffd8', 'ffd8ff', 'ffd8ffe1', 'ffd8ffe1ffff', 'ffd8ffe10000']) {
    t.is(count(Buffer.from(nothing, 'hex')), 0)
  }
})

test('JPEGs that archives store have one scan, in Node.js and in browsers', async (t) => {
  for (const stream of [manyScans(size, 2), manyScans(size, MOST_SCANS), repeatedScans(size, 3)]) {
    for (const decode of [decodeJpeg, decodeInBrowser]) {
      await t.throwsAsync(decode(stream, size), { message: /progressive JPEG, expected a baseline/ })
    }
  }
})
