/** Whether tiles written by docs/format.md are read by the package, and those of the package by the page. */
import assert from 'node:assert/strict'
import { type Codec, openCodec } from '../../../src/codec/codec.js'
import { RansDecoder, RansEncoder, RansTables } from '../../../src/entropy/rans.js'
import type { Image } from '../../../src/image/image.js'
import type { Model } from '../../../src/model/model.js'
import { fixtureModel, nanoModelFile } from '../../network/golden.js'
import { checksum, type FormatDocument, writeStructure } from './document.js'
import { encodeStream, type Slots, StreamReader, stepsOf } from './rans.js'
import { checkedTile, decodeTile, encodeTile, makeSymbols, Network, type Size, type Symbols } from './tile.js'

export const QUALITY = 62.5
/** Not square, and no multiple of 64: z is 2 x 1. */
export const TILE: Size = { width: 80, height: 48 }
const PADDED: Size = { width: 128, height: 64 }

export const model: Model = await fixtureModel('nano')

let opened: Promise<Codec> | undefined
export function nanoCodec(): Promise<Codec> {
  opened ??= openCodec({ model: nanoModelFile.pathname, device: 'cpu' })
  return opened
}

/** Keeps what the network gives for the symbols of one tile, as it takes longest. */
async function keptTables(symbols: Symbols): Promise<{ network: Network; tables: readonly Int16Array[] }> {
  const network = await Network.open(model, PADDED)
  const tables: Int16Array[] = []
  for (const half of symbols.halves.keys()) tables.push(await network.tablesOfHalf(half, symbols))
  return { network, tables }
}

/** Symbols without meaning, mostly small, and some far outside every table. */
function anySymbols(document: FormatDocument): Symbols {
  let state = 1
  const value = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const random = state >>> 8
    return random % 97 === 0 ? (random % 4001) - 2000 : (random % 5) - 2
  }
  return makeSymbols(document, model, TILE, value)
}

let sample: Promise<{ symbols: Symbols; tables: readonly Int16Array[]; pixels: Uint8Array }> | undefined

/** A tile of {@link anySymbols} by the page, and its pixels as the network makes them. */
export async function sampleTile(document: FormatDocument): Promise<{ bytes: Uint8Array; pixels: Uint8Array }> {
  const symbols = anySymbols(document)
  sample ??= keptTables(symbols).then(async ({ network, tables }) => {
    const padded = (await network.pixels(symbols, QUALITY)) as Uint8Array
    const rows = Array.from({ length: TILE.height }, (_, y) => {
      const start = y * PADDED.width * 3
      return [...padded.subarray(start, start + TILE.width * 3)]
    })
    return { symbols, tables, pixels: Uint8Array.from(rows.flat()) }
  })
  const { symbols: expected, tables, pixels } = await sample
  assert.deepEqual(symbols, expected, 'sizes of the latents')
  const bytes = await encodeTile(document, model, TILE, symbols, async (half) => tables[half] as Int16Array)
  return { bytes, pixels }
}

/** The page's tile, alone and with a head of its own, is read by the package. */
async function readsTiles(document: FormatDocument): Promise<void> {
  const { bytes, pixels } = await sampleTile(document)
  const codec = await nanoCodec()
  const decoded = await codec.decodePayload(bytes, { ...TILE, quality: QUALITY })
  assert.deepEqual(decoded.data, pixels)

  const alone = await codec.decodeTile(Uint8Array.from([...headOf(document, codec, TILE), ...bytes]))
  assert.deepEqual([alone.width, alone.height], [TILE.width, TILE.height])
  assert.deepEqual(alone.data, pixels)
}

const HEAD_CRC = 'CRC-32C of the bytes before'
const MODEL = "the first bytes of the model's hash"

/** The head of a tile by itself. */
function headOf(document: FormatDocument, codec: Codec, { width, height }: Size): Uint8Array {
  const structure = checkedTile(document, 'tile by itself')
  const members = { 'width in pixels': width, 'height in pixels': height, quality: 0, [MODEL]: 0, [HEAD_CRC]: 0 }
  const bytes = writeStructure(structure, members)
  const view = new DataView(bytes.buffer)
  const at = (name: string) => structure.members.get(name)?.offset as number
  view.setFloat32(at('quality'), QUALITY, true)
  const length = structure.members.get(MODEL)?.size as number
  bytes.set(Buffer.from(codec.model.hash, 'hex').subarray(0, length), at(MODEL))
  view.setUint32(at(HEAD_CRC), checksum(document, bytes.subarray(0, at(HEAD_CRC))), true)
  return bytes
}

let written: Promise<{ bytes: Uint8Array; decoded: Image; network: Network }> | undefined

/** The package's tile is read by the page, and its symbols give the pixels that the package decodes. */
async function writesTiles(document: FormatDocument): Promise<void> {
  const codec = await nanoCodec()
  written ??= (async () => {
    const data = Uint8Array.from({ length: TILE.width * TILE.height * 3 }, (_, i) => (i * i * 7 + (i >> 5)) & 255)
    const bytes = await codec.encodeTile({ ...TILE, data }, { quality: QUALITY })
    return { bytes, decoded: await codec.decodeTile(bytes), network: await Network.open(model, PADDED) }
  })()
  const { bytes, decoded, network } = await written
  const head = headOf(document, codec, TILE)
  assert.deepEqual(bytes.subarray(0, head.length), head)
  const payload = bytes.subarray(head.length)
  const symbols = await decodeTile(document, model, TILE, payload, network.tablesOfHalf)
  const pixels = (await network.pixels(symbols, QUALITY)) as Uint8Array
  const first = (image: Uint8Array) => image.subarray(0, TILE.width * 3)
  assert.deepEqual(first(pixels), first(decoded.data))
}

/** Streams of escapes, the longest among them: to the package and back. */
async function codesEscapes(document: FormatDocument): Promise<void> {
  const tables = {
    values: Int32Array.of(0, 60_000, 65_535, 65_536, 0, 65_536),
    offset: Int32Array.of(0, 4),
    size: Int32Array.of(3, 1),
    min: Int32Array.of(-1, -32_768),
  }
  const native = new RansTables(tables)
  const [values, indexes] = [
    Int16Array.of(-1, 0, 1, -2, 2, -32_768, 32_767, 32_767),
    Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1),
  ]
  const steps = [...values].flatMap((value, i) => stepsOf(document, tables, indexes[i] as number, value))
  const bytes = encodeStream(document, steps)
  const encoder = new RansEncoder()
  encoder.push(values, indexes, native)
  assert.deepEqual(await encoder.finish(), bytes)
  const reader = new StreamReader(document, bytes)
  assert.deepEqual(
    Int16Array.from(indexes, (table) => reader.read(tables, table)),
    values,
  )
  reader.finish()

  // One zero more than the page allows, and as many.
  const most = document.number('rANS', 'most zeros of an escaped value')
  const decode = (zeros: number) => {
    const value = 2 ** zeros - 1 - 32_768
    const decoder = new RansDecoder(encodeStream(document, stepsOf(document, tables, 1, value)))
    return decoder.decode(Uint8Array.of(1), native)
  }
  await assert.rejects(decode(most + 1), /too long/)
  const error = await decode(most).then(
    () => null,
    (failure: Error) => failure,
  )
  assert.doesNotMatch(error?.message ?? '', /too long/)
  assert.throws(() => {
    const long: Slots[] = stepsOf(document, tables, 1, 2 ** (most + 1) - 1 - 32_768)
    new StreamReader(document, encodeStream(document, long)).read(tables, 1)
  }, /too many zeros/)
}

async function sumsRight(document: FormatDocument): Promise<void> {
  for (const [label, [value]] of document.rows('CRC-32C')) {
    const text = /"(.*)"/.exec(label)?.[1]
    if (text !== undefined) assert.equal(checksum(document, new TextEncoder().encode(text)), Number(value))
  }
}

export const tileChecks: Readonly<Record<string, (document: FormatDocument) => Promise<void>>> = {
  'the checksum is as stated': sumsRight,
  'streams with escapes are the same bytes': codesEscapes,
  'tiles by the page are read': readsTiles,
  'tiles that are written are as the page says': writesTiles,
}
