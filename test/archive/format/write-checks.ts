/** Whether archives that the package writes are as docs/format.md says, field by field. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Layout } from '../../../src/archive/head-writer.js'
import { compressSlide } from '../../../src/compress/compress.js'
import { SlideError } from '../../../src/errors.js'
import { fill } from '../../../src/image/draw.js'
import type { SlideSource } from '../../../src/slide/source.js'
import { SyntheticSlide } from '../../../src/slide/synthetic.js'
import { losslessCodec } from '../../payload-codec.js'
import { memorySlide } from '../../slides.js'
import { checkOf, colourOf, type Facts, fieldsOf, type Kind, SEAL_CRC } from './archive.js'
import { checksum, exampleOf, type FormatDocument, get, readMember } from './document.js'
import { type Check, overviewSizes, tileSide } from './limit-checks.js'
import { checkOrder, readChain, readDirectory, type StoredDirectory, type StoredField, valuesOf } from './structure.js'
import type { Size } from './tile.js'
import { QUALITY } from './tile-checks.js'

const LAYOUTS: readonly Layout[] = ['compat', 'strict']
/** With its NUL the longest value that is not long. */
const LONG_NAME = 'n'.repeat(1022)

/** A slide with a value of each length that the order of the head turns on, glass, and a place that can't be read. */
function sampleSlide(): SlideSource {
  const drawn = new SyntheticSlide('synthetic:1100x600:3')
  const full = fill(1100, 600, { red: 255, green: 255, blue: 255 })
  const small = fill(275, 150, { red: 9, green: 8, blue: 7 })
  for (let y = 0; y < 600; y++) full.data.fill(y & 255, 3300 * y, 3300 * y + 900)
  const slide = memorySlide([full, small], {
    mpp: { x: 0.25, y: 0.5 },
    objectivePower: 40,
    properties: { 'tiff.ImageDescription': 'd'.repeat(2000) },
    associatedImages: [LONG_NAME],
    readAssociatedImage: () => drawn.readAssociatedImage('label'),
    iccProfile: () => new Uint8Array(1024).fill(7),
  })
  const readRegion: SlideSource['readRegion'] = async (region, signal) => {
    const { x, y, level, width, height } = region
    // All of the third column of tiles, and some pixels of the first tile of the second row.
    const isGone = x >= 1024 || (x <= 20 && x + width > 20 && y <= 520 && y + height > 520)
    if (level === 0 && isGone) throw new SlideError('ERR_OPENSLIDE_READ', 'gone')
    return slide.readRegion(region, signal)
  }
  return { ...slide, readRegion }
}

interface Written {
  readonly layout: Layout
  readonly bytes: Uint8Array
  /** What the codec gave, in the order of the calls. */
  readonly payloads: readonly Uint8Array[]
}

let written: Promise<readonly Written[]> | undefined

async function writeSamples(): Promise<Written[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-format-'))
  try {
    const all: Written[] = []
    for (const layout of LAYOUTS) {
      const lossless = losslessCodec(0, 'm')
      const payloads: Uint8Array[] = []
      const codec: typeof lossless = {
        ...lossless,
        encodePayload: async (...given) => {
          const payload = await lossless.encodePayload(...given)
          payloads.push(payload)
          return payload
        },
      }
      const path = join(folder, `${layout}.cleric.tif`)
      await compressSlide(sampleSlide(), path, { codec, layout, quality: QUALITY, onBadTile: 'background' })
      all.push({ layout, bytes: new Uint8Array(readFileSync(path)), payloads })
    }
    return all
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function writesArchives(document: FormatDocument): Promise<void> {
  written ??= writeSamples()
  for (const file of await written) new WrittenFile(document, file).check()
}

/** A file of the package, read by the page. */
class WrittenFile {
  readonly #document: FormatDocument
  readonly #bytes: Uint8Array
  readonly #payloads: readonly Uint8Array[]
  readonly #slide = sampleSlide()
  readonly #first: StoredDirectory
  readonly #levels: readonly StoredDirectory[]
  readonly #overview: readonly StoredDirectory[]
  readonly #associated: StoredDirectory
  /** Where the next tile must be. */
  #end = 0

  constructor(document: FormatDocument, { layout, bytes, payloads }: Written) {
    this.#document = document
    this.#bytes = bytes
    this.#payloads = payloads
    const chain = readChain(document, bytes)
    this.#first = chain[0] as StoredDirectory
    this.#associated = chain.at(-1) as StoredDirectory
    const main = chain.slice(0, -1)
    const children = layout === 'compat' ? this.#numbers(this.#first, 'SubIFDs') : []
    const below = children.map((offset) => readDirectory(document, bytes, offset))
    this.#levels = layout === 'compat' ? below : main
    this.#overview = layout === 'compat' ? main : []
    assert.equal(this.#levels.length, this.#slide.levels.length)
  }

  check(): void {
    this.#end = this.#checkHead()
    this.#checkLevels()
    this.#checkOverview()
    this.#checkAssociated()
    assert.equal(this.#end, this.#bytes.length)
    this.#checkJson()
  }

  /** The seal, and where everything is in the head; returns its length. */
  #checkHead(): number {
    const start = this.#field(this.#first, 'ClericSeal').offset as number
    const structure = this.#document.structure('seal')
    const view = new DataView(this.#bytes.buffer)
    const member = (name: string) => readMember(structure, view, start, name)
    const length = member('length of the head')
    assert.equal(member('length of the file'), this.#bytes.length)
    const head = this.#bytes.slice(0, length)
    head.fill(0, start + (structure.members.get(SEAL_CRC)?.offset as number), start + structure.size)
    assert.equal(member(SEAL_CRC), checksum(this.#document, head))
    const directories = new Set([this.#first, ...this.#levels, ...this.#overview, this.#associated])
    checkOrder(this.#document, [...directories], length)
    return length
  }

  #checkLevels(): void {
    const payloads = [...this.#payloads]
    for (const [i, directory] of this.#levels.entries()) {
      const { width, height } = this.#slide.levels[i] as Size
      const [tileWidth, tileHeight] = [tileSide(this.#document, width), tileSide(this.#document, height)]
      const tiles = this.#tiles(directory)
      assert.equal(tiles.length, Math.ceil(width / tileWidth) * Math.ceil(height / tileHeight))
      for (const tile of tiles)
        if (tile.length > 0) assert.equal(Buffer.compare(tile, payloads.shift() ?? tile.slice(1)), 0)
      this.#checkFields('level', i, directory, {
        ...this.#placeFacts(directory),
        ...this.#resolutionFacts(directory, 4 ** i),
        width: [width],
        height: [height],
        TileWidth: [tileWidth],
        TileLength: [tileHeight],
        ImageDescription: i === 0 ? this.#slide.properties['tiff.ImageDescription'] : undefined,
        'tile head': this.#text(directory, 'ClericTileHead'),
        colours: expectedColours(this.#document, i),
        checksums: this.#checksums(tiles),
        checks: Uint8Array.from(
          tiles.flatMap(({ length }) => [
            ...checkOf(this.#document, length > 0 ? Number.POSITIVE_INFINITY : null, 'network'),
          ]),
        ),
      })
    }
    assert.deepEqual(payloads, [])
  }

  #checkOverview(): void {
    const sizes = this.#overview.length > 0 ? overviewSizes(this.#document, this.#slide.levels[0] as Size) : []
    assert.equal(this.#overview.length, sizes.length)
    for (const [i, directory] of this.#overview.entries()) {
      const { width, height, downsample } = sizes[i] as (typeof sizes)[0]
      const [tileWidth, tileHeight] = [tileSide(this.#document, width), tileSide(this.#document, height)]
      const tiles = this.#tiles(directory)
      for (const tile of tiles) checkJpeg(tile, tileWidth, tileHeight)
      this.#checkFields('overview', i, directory, {
        ...this.#placeFacts(directory),
        ...this.#resolutionFacts(directory, downsample),
        width: [width],
        height: [height],
        TileWidth: [tileWidth],
        TileLength: [tileHeight],
        finest: undefined,
        checksums: this.#checksums(tiles),
        ...(i === 0 && { ImageDescription: this.#text(directory, 'ImageDescription') }),
      })
    }
  }

  #checkAssociated(): void {
    const number = (name: string) => this.#numbers(this.#associated, name)[0] as number
    const [width, height] = [number('ImageWidth'), number('ImageLength')]
    const [place, length] = [number('StripOffsets'), number('StripByteCounts')]
    const strip = this.#next(place, length)
    checkJpeg(strip, width, height)
    const sizes = { width: [width], height: [height], place: [place], length: [length] }
    const checksums = this.#checksums([strip])
    this.#checkFields('associated', 0, this.#associated, { name: LONG_NAME, ...sizes, checksums })
  }

  #checkJson(): void {
    const example = exampleOf(this.#document.text, 'downsamples')
    const slide = JSON.parse(this.#text(this.#first, 'ClericSlide'))
    assert.deepEqual(Object.keys(slide).toSorted(), Object.keys(example).toSorted())
    const { mpp, objectivePower, background, properties, format, bytes } = this.#slide
    const tile = tileSide(this.#document, 10_000)
    const stated = { tile, downsamples: [1, 4], mpp, objectivePower, background, properties }
    assert.deepEqual(slide, { ...stated, source: { format, bytes } })
    const version = (name: string) => Number(this.#document.rows('tile head').get(name)?.[2])
    assert.deepEqual(JSON.parse(this.#text(this.#levels[0] as StoredDirectory, 'ClericTileHead')), {
      format: version('format'),
      stream: version('stream'),
      quality: QUALITY,
      model: losslessCodec(0, 'm').model,
    })
  }

  /** Exactly the fields that the page gives to the directory, with their types and values. */
  #checkFields(kind: Kind, index: number, directory: StoredDirectory, facts: Facts): void {
    const firstOnly = ['ClericSlide', 'ClericSeal', 'SubIFDs'].map((name) => [name, this.#stored(directory, name)])
    const expected = fieldsOf(this.#document, kind, index, {
      IccProfile: new Uint8Array(1024).fill(7),
      optional: undefined,
      first: undefined,
      ...(directory === this.#first && Object.fromEntries(firstOnly)),
      ...facts,
    })
    const ascending = (tags: Iterable<number>) => [...tags].sort((a, b) => a - b)
    assert.deepEqual(ascending(directory.fields.keys()), ascending(expected.map(({ tag }) => tag)))
    for (const { tag, type, count, bytes } of expected) {
      const stored = directory.fields.get(tag) as StoredField
      assert.deepEqual([stored.type, stored.count], [type, count], `tag ${tag}`)
      assert.deepEqual(Buffer.from(stored.bytes), Buffer.from(bytes), `tag ${tag}`)
    }
  }

  /** The bytes of a tile or image, which must follow on those before. */
  #next(offset: number, length: number): Uint8Array {
    assert.equal(offset, length === 0 ? 0 : this.#end)
    this.#end += length
    return this.#bytes.subarray(offset, offset + length)
  }

  #tiles(directory: StoredDirectory): Uint8Array[] {
    const lengths = this.#numbers(directory, 'TileByteCounts')
    return this.#numbers(directory, 'TileOffsets').map((offset, i) => this.#next(offset, lengths[i] as number))
  }

  /** Zero for no bytes. */
  #checksums(parts: readonly Uint8Array[]): number[] {
    return parts.map((bytes) => (bytes.length === 0 ? 0 : checksum(this.#document, bytes)))
  }

  /** What {@link #tiles} has checked. */
  #placeFacts(directory: StoredDirectory): Facts {
    return {
      places: this.#numbers(directory, 'TileOffsets'),
      lengths: this.#numbers(directory, 'TileByteCounts'),
    }
  }

  /** The resolutions as they are stored, which must be right but for rounding. */
  #resolutionFacts(directory: StoredDirectory, downsample: number): Facts {
    const { x, y } = this.#slide.mpp as { x: number; y: number }
    const expected = { XResolution: 10_000 / (x * downsample), YResolution: 10_000 / (y * downsample) }
    for (const [name, value] of Object.entries(expected)) {
      checkQuotient(this.#document, this.#field(directory, name), value)
    }
    return Object.fromEntries(Object.keys(expected).map((name) => [name, this.#stored(directory, name)]))
  }

  #field(directory: StoredDirectory, name: string): StoredField {
    const { tag } = this.#document.fields().find((row) => row.name === name) ?? {}
    const field = directory.fields.get(tag ?? -1)
    assert.ok(field, `no field ${name}`)
    return field
  }

  #stored(directory: StoredDirectory, name: string): string | number[] | undefined {
    const { tag, type } = this.#document.fields().find((row) => row.name === name) ?? {}
    if (!directory.fields.has(tag ?? -1)) return undefined
    return type === 'ASCII' ? this.#text(directory, name) : this.#numbers(directory, name)
  }

  #numbers(directory: StoredDirectory, name: string): number[] {
    return valuesOf(this.#document, this.#field(directory, name))
  }

  #text(directory: StoredDirectory, name: string): string {
    return new TextDecoder().decode(this.#field(directory, name).bytes.slice(0, -1))
  }
}

/**
 * What the first level's tiles are: one stored, in the second row with a place that is unreadable, one blank, one
 * unreadable; and those of the second, which is of one colour.
 */
function expectedColours(document: FormatDocument, level: number): Uint8Array {
  const kinds =
    level === 0
      ? [
          colourOf(document, 'stored'),
          colourOf(document, 'blank', [255, 255, 255]),
          colourOf(document, 'unreadable', [255, 255, 255]),
          colourOf(document, 'partly unreadable'),
          colourOf(document, 'blank', [255, 255, 255]),
          colourOf(document, 'unreadable', [255, 255, 255]),
        ]
      : [colourOf(document, 'blank', [9, 8, 7])]
  return Uint8Array.from(kinds.flatMap((colour) => [...colour]))
}

function checkQuotient(document: FormatDocument, { type, bytes }: StoredField, expected: number): void {
  assert.equal(type, 'RATIONAL')
  const size = Number(document.rows('type').get('LONG')?.[1])
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  assert.equal(bytes.length, 2 * size)
  const quotient = get(view, 0, size) / get(view, size, size)
  assert.ok(Math.abs(quotient / expected - 1) < 1e-6, `${quotient}, not ${expected}`)
}

/** A whole baseline JPEG of three components, none of them subsampled. */
function checkJpeg(bytes: Uint8Array, width: number, height: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  assert.deepEqual([view.getUint16(0), view.getUint16(bytes.length - 2)], [0xffd8, 0xffd9])
  const markers = new Map<number, number>()
  for (let at = 2; !markers.has(0xffda); at += 2 + view.getUint16(at + 2)) markers.set(view.getUint16(at), at)
  assert.ok(markers.has(0xffdb) && markers.has(0xffc4), 'tables')
  const frame = markers.get(0xffc0) as number
  assert.deepEqual([view.getUint16(frame + 5), view.getUint16(frame + 7), bytes[frame + 9]], [height, width, 3])
  for (let i = 0; i < 3; i++) assert.equal(bytes[frame + 11 + 3 * i], 0x11)
}

export const writeChecks: Readonly<Record<string, Check>> = {
  'archives that are written are as the page says': writesArchives,
}
