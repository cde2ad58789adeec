/** Whether tiles of classic codecs written by docs/format.md are read by the package, and those of the package by the page. */
import assert from 'node:assert/strict'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import sharp from 'sharp'
import { decodeCheck, encodeCheck } from '../../../src/archive/tile-checks.js'
import { readPayload } from '../../../src/codec/bitstream.js'
import { encodePalette } from '../../../src/codec/palette.js'
import type { Image } from '../../../src/image/image.js'
import { fromImage, toImage } from '../../../src/image/sharp.js'
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

async function readsOtherTiles(document: FormatDocument): Promise<void> {
  const codec = await nanoCodec()
  const decode = (bytes: Uint8Array) => codec.decodePayload(bytes, { ...SIZE, quality: 50 })
  made ??= makeStreams()
  for (const [kind, { stream, pixels }] of await made) {
    const { data } = await decode(tileOf(document, kind, stream))
    assert.equal(Buffer.compare(data, pixels), 0)
  }
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
  const kinds = { network: 'cleric', avif: 'avif', webp: 'webp', jpeg: 'jpeg', palette: 'palette' } as const
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
  'the error of a tile is stated as the page says': statesErrors,
  'tiles of classic codecs that are written are as the page says': writesOtherTiles,
}
