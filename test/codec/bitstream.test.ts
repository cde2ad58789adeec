import test from 'ava'
import { modelId, readPayload, readTile, writePayload, writeTile } from '../../src/codec/bitstream.js'
import { channelIndexes } from '../../src/codec/coding-order.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { cropImage, type Image, padImage } from '../../src/image/image.js'
import { gather, halfPositions, portElements, portPositions, scatter } from '../../src/network/ports.js'

const head = { width: 512, height: 37, quality: 62.5, modelId: '0123456789abcdef' }
const stream = Uint8Array.from([1, 2, 3, 4, 5, 6])

test('a payload and a tile survive the round trip', (t) => {
  const payload = writePayload({ kind: 'cleric', crc: 0xdeadbeef, stream })
  const tile = readTile(writeTile(head, payload))
  t.deepEqual(tile.head, head)
  t.deepEqual(readPayload(tile.payload), { kind: 'cleric', crc: 0xdeadbeef, stream })
  t.is(modelId('0123456789abcdef'.repeat(4)), head.modelId)
})

test('every truncation is refused', (t) => {
  const payload = writePayload({ kind: 'cleric', crc: 1, stream })
  for (let n = 0; n < payload.length; n++) {
    t.throws(() => readPayload(payload.subarray(0, n)), { code: 'ERR_CORRUPT_TILE' })
  }
  const tile = writeTile(head, payload)
  for (let n = 0; n < tile.length; n++) {
    t.throws(() => readPayload(readTile(tile.subarray(0, n)).payload), { code: 'ERR_CORRUPT_TILE' })
  }
})

test('a flipped bit of the head is noticed, as the symbols would make another picture of it', (t) => {
  const payload = writePayload({ kind: 'cleric', crc: 1, stream })
  const tile = writeTile(head, payload)
  for (let bit = 0; bit < 8 * (tile.length - payload.length); bit++) {
    const flipped = tile.with(bit >> 3, (tile[bit >> 3] as number) ^ (1 << (bit & 7)))
    t.throws(() => readTile(flipped), { code: 'ERR_CORRUPT_TILE' }, `bit ${bit}`)
  }
})

test('later versions are unsupported, not corrupt', (t) => {
  const payload = writePayload({ kind: 'cleric', crc: 1, stream })
  const tile = writeTile(head, payload)
  payload.set([7, 248])
  tile.set([2, 253], 4)
  t.throws(() => readPayload(payload), { code: 'ERR_ARCHIVE_UNSUPPORTED' })
  t.throws(() => readTile(tile), { code: 'ERR_ARCHIVE_UNSUPPORTED' })
})

test('a flipped bit of what no network codes is noticed by its checksum', (t) => {
  for (const kind of ['avif', 'webp', 'jpeg', 'palette'] as const) {
    const payload = writePayload({ kind, crc: crc32c(stream), stream })
    t.deepEqual(readPayload(payload), { kind, crc: crc32c(stream), stream })
    for (let bit = 0; bit < 8 * payload.length; bit++) {
      const flipped = payload.with(bit >> 3, (payload[bit >> 3] as number) ^ (1 << (bit & 7)))
      t.throws(() => readPayload(flipped), { code: 'ERR_CORRUPT_TILE' }, `${kind}, bit ${bit}`)
    }
  }
})

test('a hostile head cannot ask for a huge tile or a senseless quality', (t) => {
  const payload = writePayload({ kind: 'cleric', crc: 1, stream })
  for (const bad of [{ width: 1025 }, { height: 0 }, { width: 65535 }, { quality: Number.NaN }, { quality: 101 }]) {
    t.throws(() => readTile(writeTile({ ...head, ...bad }, payload)), { code: 'ERR_CORRUPT_TILE' }, JSON.stringify(bad))
  }
})

test('the limits themselves are allowed, and one beyond either is not', (t) => {
  const payload = writePayload({ kind: 'cleric', crc: 1, stream })
  for (const good of [{ width: 1, height: 1 }, { width: 1024, height: 1024 }, { quality: 0 }, { quality: 100 }]) {
    t.like(readTile(writeTile({ ...head, ...good }, payload)).head, good)
  }
  for (const bad of [{ width: 0 }, { height: 1025 }, { quality: -1 }]) {
    t.throws(() => readTile(writeTile({ ...head, ...bad }, payload)), { code: 'ERR_CORRUPT_TILE' }, JSON.stringify(bad))
  }
  // Nothing but heads: no data to decode, which is for the decoder to refuse.
  const empty = writePayload({ kind: 'cleric', crc: 1, stream: new Uint8Array(0) })
  t.is(readPayload(empty).stream.length, 0)
  t.is(readTile(writeTile(head, new Uint8Array(0))).payload.length, 0)
})

test('what is no tile is told by its first bytes, and version 0 is damage, though the checksums agree', (t) => {
  const payload = writePayload({ kind: 'cleric', crc: 1, stream })
  const forged = (at: number, bytes: readonly number[]) => {
    const tile = writeTile(head, payload)
    tile.set(bytes, at)
    new DataView(tile.buffer).setUint32(22, crc32c(tile.subarray(0, 22)), true)
    return tile
  }
  t.throws(() => readTile(forged(0, [0x44])), { code: 'ERR_CORRUPT_TILE', message: /does not begin with "CLRT"/ })
  t.throws(() => readTile(forged(4, [0, 255])), { code: 'ERR_CORRUPT_TILE', message: /its head makes no sense/ })
})

test('the two halves of the checkerboard cover every position once, anchors where row + column is odd', (t) => {
  const shape = { channels: 3, height: 5, width: 4 }
  const anchors = halfPositions(shape, 'anchor')
  const others = halfPositions(shape, 'nonAnchor')
  t.deepEqual(
    [...anchors, ...others].sort((a, b) => a - b),
    Array.from({ length: 60 }, (_, i) => i),
  )
  for (const position of anchors) t.is((Math.floor((position % 20) / 4) + (position % 4)) % 2, 1)
  const values = Int16Array.from({ length: 60 }, (_, i) => i - 30)
  t.deepEqual(scatter(gather(values, anchors), anchors, 60)[1], values[1])
  t.is(scatter(gather(values, anchors), anchors, 60)[0], 0)
  const tensor = { id: 0, name: 'y', shape }
  t.deepEqual(portPositions({ tensor, format: 'anchors' }), anchors)
  t.deepEqual(portPositions({ tensor, format: 'nonAnchors' }), others)
  t.deepEqual(portPositions({ tensor, format: 'halves' }), Int32Array.of(...anchors, ...others))
  t.is(portPositions({ tensor, format: 'int16' }), null)
  for (const format of ['anchors', 'nonAnchors', 'halves'] as const) {
    t.is(portPositions({ tensor, format })?.length, portElements({ tensor, format }))
  }
  t.deepEqual([...channelIndexes({ channels: 2, height: 1, width: 3 })], [0, 0, 0, 1, 1, 1])
})

test('padding replicates the edge and cropping undoes it', (t) => {
  const image: Image = { data: Uint8Array.from({ length: 5 * 3 * 3 }, (_, i) => i), width: 5, height: 3, channels: 3 }
  const padded = padImage(image, 4)
  t.deepEqual([padded.width, padded.height], [8, 4])
  t.deepEqual([...padded.data.subarray(7 * 3, 8 * 3)], [...image.data.subarray(4 * 3, 5 * 3)])
  t.deepEqual(padded.data.subarray(3 * 24, 4 * 24), padded.data.subarray(2 * 24, 3 * 24))
  t.deepEqual(cropImage(padded, 5, 3), image)
  t.is(padImage(padded, 4), padded)
})
