import { openBytes } from '../../src/files/byte-source.js'
import { fill } from '../../src/image/draw.js'
import { absurdInstance } from '../../src/slide/dicom.js'
import { primariesOf, withoutText } from '../../src/slide/icc-profile.js'
import { select } from '../../src/slide/tiff/contents.js'
import { isOme, readOme } from '../../src/slide/tiff/ome.js'
import { isTiff, TiffFile } from '../../src/tiff/file.js'
import { absurdSize } from '../../src/tiff/segment-sizes.js'
import { TAGS } from '../../src/tiff/tags.js'
import { type BareDirectory, bareTiff, FORMS } from '../slide/bare-tiff.js'
import { dicomFile } from '../slide/dicom.js'
import { displayP3 } from '../slide/display-p3.js'
import type { Target } from './fuzz.js'

const OME = `<?xml version="1.0"?><OME UUID="urn:uuid:1"><Image Name="a"><Pixels SizeC="2" SizeZ="1" SizeT="1"
 PhysicalSizeX="0.5" PhysicalSizeY="500" PhysicalSizeYUnit="nm"><Channel SamplesPerPixel="1"/><Channel/>
 <TiffData IFD="0" PlaneCount="2"/><TiffData><UUID>urn:uuid:2</UUID></TiffData></Pixels></Image>
 <Image><Pixels SizeC="1"><TiffData/></Pixels></Image></OME>`

/** A picture of some tiles and one of strips, with a reduced one below, in every form of TIFF. */
function tiffs(): Uint8Array[] {
  const picture = { 258: [8, 8, 8], 259: [1], 262: [2], 277: [3], 282: [20_000], 283: [20_000], 296: [3] }
  const tiles: BareDirectory = {
    tags: { ...picture, 256: [32], 257: [32], 322: [16], 323: [16], 324: [0, 0, 0, 0], 270: OME },
    segments: Array.from({ length: 4 }, () => new Uint8Array(768)),
    children: [
      { tags: { ...picture, 254: [1], 256: [16], 257: [16], 322: [16], 323: [16] }, segments: [new Uint8Array(768)] },
    ],
  }
  const strips: BareDirectory = {
    tags: { ...picture, 256: [8], 257: [8], 278: [8], 254: [1], 285: 'label', 338: [0], 339: [1, 1, 1] },
    segments: [new Uint8Array(192)],
  }
  return FORMS.map((form) => bareTiff([tiles, strips], form))
}

export const tiffTarget: Target = {
  codes: /^ERR_UNSUPPORTED_SLIDE$/,
  covers: ['src/tiff/file.ts', 'src/tiff/segment-sizes.ts', 'src/tiff/stored-image.ts'],
  async seeds() {
    return tiffs()
  },
  async parse(bytes) {
    if (!isTiff(bytes)) return
    const file = await TiffFile.open(await openBytes(new Blob([bytes])))
    await absurdSize(file)
    for (const { directory } of file.pages.slice(0, 4)) {
      await file.integers(directory, TAGS.TileOffsets, 1000)
      await file.bytes(directory, TAGS.ImageDescription, 1000)
      directory.text(TAGS.ImageDescription)
    }
    const description = file.pages[0]?.directory.text(TAGS.ImageDescription) ?? ''
    select(file.pages, isOme(description) ? await readOme(description) : null, {})
  },
}

export const omeTarget: Target = {
  codes: /^never$/,
  covers: ['src/slide/tiff/ome.ts'],
  async seeds() {
    return [new TextEncoder().encode(OME), new TextEncoder().encode('<OME/>')]
  },
  async parse(bytes) {
    const images = (await readOme(new TextDecoder().decode(bytes))) ?? []
    const pages = images.reduce((sum, image) => sum + image.pages.length, 0)
    if (pages > 100_000) throw new Error(`${pages} pages`)
  },
}

export const iccTarget: Target = {
  codes: /^never$/,
  covers: ['src/slide/icc-profile.ts'],
  async seeds() {
    return [displayP3()]
  },
  parse(bytes) {
    primariesOf(bytes)
    withoutText(bytes)
  },
}

export const dicomTarget: Target = {
  codes: /^never$/,
  covers: ['src/slide/dicom.ts'],
  async seeds() {
    const image = fill(20, 12, { red: 1, green: 2, blue: 3 })
    const facts = {
      image,
      flavour: 'VOLUME',
      tile: 8,
      spacing: [0.001, 0.001],
      objectivePower: 20,
      instance: 1,
    } as const
    const native = dicomFile({ ...facts, iccProfile: displayP3() })
    // Two frames of four bytes with their table in place of the pixels, and an extended table before them.
    const item = (...bytes: number[]) => [0xfe, 0xff, 0, 0xe0, bytes.length, 0, 0, 0, ...bytes]
    const extended = [
      0xe0,
      0x7f,
      1,
      0,
      0x4f,
      0x56,
      0,
      0,
      16,
      0,
      0,
      0,
      ...new Array(8).fill(0),
      12,
      ...new Array(7).fill(0),
    ]
    const pixels = [0xe0, 0x7f, 0x10, 0, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff, ...item(0, 0, 0, 0, 12, 0, 0, 0)]
    const frames = [...item(1, 2, 3, 4), ...item(5, 6, 7, 8), 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]
    const head = native.subarray(0, native.indexOf(Buffer.from([0xe0, 0x7f, 0x10, 0])))
    return [native, Buffer.concat([head, Buffer.from([...extended, ...pixels, ...frames])])]
  },
  async parse(bytes) {
    await absurdInstance(await openBytes(new Blob([bytes])))
  },
}
