/** Whether tiles of classic codecs written by docs/format.md are read by the package, and those of the package by the page. */
import assert from 'node:assert/strict'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import sharp from 'sharp'
import { decodeCheck, encodeCheck } from '../../../src/archive/tile-checks.js'
import { readPayload } from '../../../src/codec/bitstream.js'
import { decodeClassic } from '../../../src/codec/classic.js'
import { encodePalette } from '../../../src/codec/palette.js'
import { isMadeOf, packSourceTiles } from '../../../src/codec/source-tiles.js'
import { paste } from '../../../src/image/draw.js'
import { cropImage, type Image } from '../../../src/image/image.js'
import { wholeJpeg } from '../../../src/image/jpeg-stream.js'
import { fromImage, toImage } from '../../../src/image/sharp.js'
import { manyScans } from '../../image/many-scans.js'
import { checkOf } from './archive.js'
import { checksum, type FormatDocument, numberOf, readMember, writeStructure } from './document.js'
import { checkedTile, type Size } from './tile.js'
import { nanoCodec } from './tile-checks.js'

const SIZE: Size = { width: 21, height: 13 }

/** The bytes of a tile of a kind. */
function tileOf(document: FormatDocument, kind: string, stream: Uint8Array): Uint8Array {
  const [v = '', complement = ''] = document.rows('kind of tile').get(kind) ?? []
  const [first = '', second = '', crc = '', length = ''] = checkedTile(document).members.keys()
  const head = writeStructure(checkedTile(document), {
    [first]: numberOf(v),
    [second]: numberOf(complement),
    [crc]: checksum(document, stream),
    [length]: stream.length,
  })
  return Uint8Array.from([...head, ...stream])
}

/** A picture of so many colours, each of which is in it. */
function coloured(count: number): Image {
  const data = new Uint8Array(SIZE.width * SIZE.height * 3)
  for (let i = 0; i < data.length / 3; i++) data.set([(i % count) & 255, 7, (i % count) >> 8], 3 * i)
  return { data, ...SIZE, channels: 3 }
}

function bitsOf(document: FormatDocument, colours: number): number | null {
  for (const [most, [bits = '']] of document.rows('colours at most'))
    if (colours <= numberOf(most)) return numberOf(bits)
  return null
}

/** The stream of a picture that {@link coloured} made. */
function paletteStream(document: FormatDocument, count: number): Uint8Array {
  const bits = bitsOf(document, count) ?? 8
  const [head = ''] = document.structure('few colours').members.keys()
  const rows = Array.from({ length: SIZE.height }, (_, y) => {
    const text = Array.from({ length: SIZE.width }, (_, x) =>
      ((y * SIZE.width + x) % count).toString(2).padStart(bits, '0'),
    ).join('')
    return (text.match(/.{1,8}/g) ?? []).map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2))
  })
  const colours = Array.from({ length: count }, (_, i) => [i & 255, 7, i >> 8])
  const first = writeStructure(document.structure('few colours'), { [head]: count - 1 })
  return Uint8Array.from([...first, ...colours.flat(), ...deflateRawSync(Uint8Array.from(rows.flat()))])
}

let made: Promise<Map<string, { stream: Uint8Array; pixels: Uint8Array }>> | undefined

/** Streams of classic codecs, by kind, with what they decode to. They don't depend on the page. */
async function makeStreams() {
  const image = fromImage(coloured(200))
  const streams = {
    avif: await image.clone().avif({ quality: 60, chromaSubsampling: '4:4:4' }).toBuffer(),
    webp: await image.clone().webp({ lossless: true }).toBuffer(),
    jpeg: await image.clone().jpeg().toBuffer(),
  }
  const all = new Map<string, { stream: Uint8Array; pixels: Uint8Array }>()
  for (const [kind, stream] of Object.entries(streams)) {
    all.set(kind, { stream, pixels: new Uint8Array((await toImage(sharp(stream))).data) })
  }
  return all
}

let jpegs: Promise<Uint8Array[]> | undefined

/** A tile of three of the smallest JPEGs in a row, the last of which isn't there, by the page. */
async function sourceTile(document: FormatDocument) {
  const side = numberOf(document.rows("slide's JPEGs").get('side')?.[0] ?? '')
  jpegs ??= Promise.all(
    [90, 200].map(async (red) => {
      const create = { width: 32, height: 32, channels: 3, background: { r: red, g: 40, b: 90 } } as const
      return wholeJpeg(await sharp({ create }).jpeg().toBuffer(), null, false) as Uint8Array
    }),
  )
  const [first, second] = (await jpegs) as [Uint8Array, Uint8Array]
  const shared = first.findIndex((byte, i) => byte !== second[i])
  const structure = document.structure("slide's JPEGs")
  const [columns = '', rows = '', common = ''] = structure.members.keys()
  const head = writeStructure(structure, { [columns]: 3, [rows]: 1, [common]: shared })
  const rests = [first.subarray(shared), second.subarray(shared), new Uint8Array(0)]
  const lengths = new Uint8Array(Uint32Array.from(rests, ({ length }) => length).buffer)
  const stream = Buffer.concat([head, first.subarray(0, shared), lengths, ...rests])
  return { stream, all: [first, second, null], size: { width: 3 * side, height: side }, side }
}

async function readsSourceTiles(document: FormatDocument): Promise<void> {
  const codec = await nanoCodec()
  const { stream, all, size, side } = await sourceTile(document)
  const { data } = await codec.decodePayload(tileOf(document, 'source', stream), { ...size, quality: 50 })
  const expected = { data: new Uint8Array(data.length).fill(255), ...size, channels: 3 as const }
  for (const [i, jpeg] of all.entries()) {
    if (!jpeg) continue
    const one = packSourceTiles({ columns: 1, rows: 1, jpegs: [jpeg] })
    paste(
      cropImage(await decodeClassic('source', one, { width: side, height: side }), side, side),
      expected,
      i * side,
      0,
    )
  }
  assert.equal(Buffer.compare(data, expected.data), 0)
  const squares = (length: number) => ({ width: length, height: length })
  assert.ok(isMadeOf(squares(2 * side), squares(side)))
  assert.ok(!isMadeOf(squares(2 * (side - 1)), squares(side - 1)))
  assert.deepEqual(packSourceTiles({ columns: 3, rows: 1, jpegs: all }), new Uint8Array(stream))
}

async function readsOtherTiles(document: FormatDocument): Promise<void> {
  const codec = await nanoCodec()
  const decode = (bytes: Uint8Array) => codec.decodePayload(bytes, { ...SIZE, quality: 50 })
  made ??= makeStreams()
  for (const [kind, { stream, pixels }] of await made) {
    const { data } = await decode(tileOf(document, kind, stream))
    assert.equal(Buffer.compare(data, pixels), 0)
  }
  const [, , about = ''] = document.rows('kind of tile').get('jpeg') ?? []
  const most = Number(/(\d+) scans/.exec(about)?.[1])
  const { data } = await decode(tileOf(document, 'jpeg', manyScans(SIZE, most)))
  assert.ok(data.every((value) => value === 128))
  await assert.rejects(decode(tileOf(document, 'jpeg', manyScans(SIZE, most + 1))), { code: 'ERR_CORRUPT_TILE' })
  for (const most of document.rows('colours at most').keys()) {
    const count = Math.min(256, numberOf(most))
    const decoded = await decode(tileOf(document, 'palette', paletteStream(document, count)))
    assert.deepEqual(decoded.data, coloured(count).data)
  }
}

async function writesOtherTiles(document: FormatDocument): Promise<void> {
  const rows = document.rows('kind of tile')
  const head = checkedTile(document)
  const [first = '', second = ''] = head.members.keys()
  const [network = [] as readonly string[]] = [rows.get('network')]
  assert.deepEqual([head.members.get(first)?.value, head.members.get(second)?.value], network.slice(0, 2))
  const codec = await nanoCodec()
  const { bytes } = await codec.encodeCheckedTile(coloured(3), { lossless: true })
  const payload = bytes.subarray(document.structure('tile by itself').size)
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  const [v, complement] = rows.get(readPayload(payload).kind) ?? []
  assert.deepEqual(
    [readMember(head, view, 0, first), readMember(head, view, 0, second)],
    [Number(v), Number(complement)],
  )

  for (const most of document.rows('colours at most').keys()) {
    for (const count of [numberOf(most), numberOf(most) + 1]) {
      const stream = await encodePalette(coloured(Math.min(count, SIZE.width * SIZE.height)))
      const bits = bitsOf(document, count)
      assert.equal(stream === null, bits === null)
      if (!stream || bits === null) continue
      const { size } = document.structure('few colours')
      const packed = inflateRawSync(stream.subarray(size + 3 * count))
      assert.equal(packed.length, SIZE.height * Math.ceil((SIZE.width * bits) / 8))
      assert.equal(stream[0], count - 1)
    }
  }
}

/** The two bytes that say how near a tile comes, from the page and from the package. */
async function statesErrors(document: FormatDocument): Promise<void> {
  const kinds = {
    network: 'cleric',
    avif: 'avif',
    webp: 'webp',
    jpeg: 'jpeg',
    palette: 'palette',
    source: 'source',
  } as const
  for (const [kind, codec] of Object.entries(kinds)) {
    for (const psnr of [0.01, 0.3, 0.5, 31.24, 31.25, 63.5, 63.74, 64, 99, Number.POSITIVE_INFINITY]) {
      const stated = checkOf(document, psnr, kind)
      assert.deepEqual(encodeCheck({ psnr, codec }), stated)
      const shown = psnr > 1000 ? psnr : Math.min(63.5, Math.max(0.25, Math.floor(4 * psnr) / 4))
      assert.deepEqual(decodeCheck(stated, 0), { psnr: shown, codec })
    }
  }
  assert.equal(decodeCheck(checkOf(document, null, ''), 0), null)
  assert.equal(checkOf(document, null, '').length, document.structure('tile check').size)
}

export const otherTileChecks: Readonly<Record<string, (document: FormatDocument) => Promise<void>>> = {
  'tiles of classic codecs by the page are read': readsOtherTiles,
  "tiles of a slide's own JPEGs by the page are read, and written": readsSourceTiles,
  'the error of a tile is stated as the page says': statesErrors,
  'tiles of classic codecs that are written are as the page says': writesOtherTiles,
}
