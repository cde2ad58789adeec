/** Slides that say whose they are wherever a slide can say something. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fill } from '../../src/image/draw.js'
import { fromImage } from '../../src/image/sharp.js'
import type { SlideSource } from '../../src/slide/source.js'
import { type Fields, pixelFields, stripFields, tileFields } from '../../src/tiff/image-fields.js'
import { COMPRESSION, PHOTOMETRIC, REDUCED, TAGS, type Tag } from '../../src/tiff/tags.js'
import { emptyIndex } from '../../src/tiff/tile-index.js'
import { ascii, encodeTiff, type Field, undefinedBytes } from '../../src/tiff/writer.js'
import { memorySlide } from '../slides.js'

/** Not to be found in what identifies nobody. */
export const MARK = 'ZXQV7'
const NAME = `M\u00fcller-${MARK}`

/**
 * Tags that programs write names, places and dates into: document, maker, model, page, artist, host, XMP, copyright,
 * EXIF ...
 */
const TALKATIVE = [269, 271, 272, 285, 306, 315, 316, 700, 33432, 33723, 34377, 42112, 50827, 65000]

/** A comment segment after a JPEG's first marker. */
function commented(jpeg: Uint8Array): Buffer {
  const text = Buffer.from(NAME)
  const length = Buffer.from([(text.length + 2) >> 8, (text.length + 2) & 255])
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xfe]), length, text, jpeg.subarray(2)])
}

export const APERIO = [
  `Aperio Image Library v11.2.1 ${NAME}\r\n256x256 [0,0 256x256] (256x256) JPEG/RGB Q=30`,
  ...[`Patient = ${NAME}`, 'AppMag = 20', 'MPP = 0.4990', `Filename = ${NAME}`, `User = ${NAME}`, `Title = ${NAME}`],
].join('|')
export const OME = `<?xml version="1.0"?><OME><!-- ${NAME} --><Experimenter LastName="${NAME}"/><Image Name="${NAME}"/></OME>`

/** A TIFF slide in a folder and under a name that identify too; returns its path. */
export async function writeMarkedTiff(folder: string, description: string): Promise<string> {
  const jpeg = async (width: number, height: number) => {
    const image = fill(width, height, { red: 200, green: 120, blue: 180 })
    for (let i = 0; i < image.data.length; i += 7) image.data[i] = Math.imul(i, 2654435761) >>> 24
    return commented(await fromImage(image).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer())
  }
  const index = emptyIndex({ width: 256, height: 256 }, 256)
  const images = [
    { name: 'label', ...(await placed(await jpeg(60, 40))), width: 60, height: 40 },
    { name: 'macro', ...(await placed(await jpeg(90, 40))), width: 90, height: 40 },
  ]
  const tile = await jpeg(256, 256)
  const head = () => {
    const talk = TALKATIVE.map((tag): [Tag, Field] => [tag as Tag, ascii(NAME)])
    const level: Fields = [
      ...pixelFields({ width: 256, height: 256 }, COMPRESSION.jpeg, PHOTOMETRIC.ycbcr, 0),
      ...tileFields(index),
      ...talk,
      [TAGS.ImageDescription, { ...ascii(''), ...utf8(description) }],
      [TAGS.Software, ascii(NAME)],
      [TAGS.IccProfile, undefinedBytes(markedProfile())],
    ]
    // The second image of an SVS file with one level is the thumbnail.
    const stripped = [{ ...(images[1] as (typeof images)[0]), name: 'thumbnail' }, ...images].map((image): Fields => {
      const about = ascii(`Aperio ${NAME}\n${image.name} ${NAME}`)
      return [...stripFields(image, REDUCED), ...talk, [TAGS.ImageDescription, about]]
    })
    return encodeTiff([level, ...stripped].map((fields) => ({ fields: new Map(fields) }))).bytes
  }
  let at = head().length
  index.offset[0] = at
  index.length[0] = tile.length
  at += tile.length
  for (const image of images) {
    image.offset = at
    at += image.length
  }
  const place = join(folder, NAME)
  mkdirSync(place, { recursive: true })
  const path = join(place, `${NAME}.svs`)
  writeFileSync(path, Buffer.concat([head(), tile, ...images.map(({ bytes }) => bytes)]))
  return path
}

async function placed(bytes: Buffer) {
  return { bytes, offset: 0, length: bytes.length }
}

function utf8(text: string): Field {
  const bytes = new TextEncoder().encode(`${text}\0`)
  return { type: 'ASCII', count: bytes.length, bytes }
}

/** A slide in memory: also in values that should be numbers, names of images, and the texts of the profile. */
export function markedSlide(): SlideSource {
  const image = fill(300, 200, { red: 220, green: 160, blue: 200 })
  for (let i = 0; i < image.data.length; i += 5) image.data[i] = Math.imul(i, 2654435761) >>> 24
  const properties = {
    'aperio.Patient': NAME,
    [`aperio.${NAME}`]: '1',
    'aperio.AppMag': `20 ${NAME}`,
    'aperio.MPP': NAME,
    'openslide.comment': OME,
    'openslide.vendor': NAME,
    'openslide.mpp-x': `0.5\n${NAME}`,
    'openslide.background-color': NAME,
    'openslide.level[0].width': NAME,
    'openslide.level[0].height': '200',
    'tiff.ResolutionUnit': NAME,
    'tiff.Artist': NAME,
    'tiff.DateTime': NAME,
    'hamamatsu.SourceLens': NAME,
  }
  return memorySlide([image], {
    path: `/archive/${NAME}.svs`,
    mpp: { x: 0.5, y: 0.5 },
    properties,
    associatedImages: ['label', 'macro', 'thumbnail', NAME, 'barcode'],
    readAssociatedImage: async () => fill(40, 30, { red: 1, green: 2, blue: 3 }),
    iccProfile: () => markedProfile(),
  })
}

/** A version 2 profile of the primaries of sRGB, gamma 2.2, that talks. */
export function markedProfile(): Uint8Array {
  const word = Buffer.alloc(4)
  const text = (type: string) => Buffer.concat([Buffer.from(`${type}\0\0\0\0`), Buffer.from(`${NAME}\0`)])
  const xyz = (...values: number[]) => {
    const bytes = Buffer.alloc(20)
    bytes.write('XYZ ')
    for (const [i, value] of values.entries()) bytes.writeInt32BE(Math.round(value * 65536), 8 + 4 * i)
    return bytes
  }
  const curve = Buffer.from([0x63, 0x75, 0x72, 0x76, 0, 0, 0, 0, 0, 0, 0, 1, 0x02, 0x33, 0, 0])
  const count = Buffer.alloc(4)
  count.writeUInt32BE(NAME.length + 1)
  const desc = Buffer.concat([Buffer.from('desc\0\0\0\0'), count, Buffer.from(`${NAME}\0`), Buffer.alloc(78)])
  const elements: [string, Buffer][] = [
    ['desc', desc],
    ['cprt', text('text')],
    ['dmnd', desc],
    ['dmdd', desc],
    ['vued', desc],
    ['meta', text('dict')],
    ['ZXQV', text('text')],
    ['wtpt', xyz(0.9642, 1, 0.8249)],
    ['rXYZ', xyz(0.4361, 0.2225, 0.0139)],
    ['gXYZ', xyz(0.3851, 0.7169, 0.0971)],
    ['bXYZ', xyz(0.1431, 0.0606, 0.7141)],
    ['rTRC', curve],
    ['gTRC', curve],
    ['bTRC', curve],
  ]
  const header = Buffer.alloc(128)
  header.write(MARK.slice(0, 4), 4)
  header.writeUInt32BE(0x02400000, 8)
  header.write('mntrRGB XYZ ', 12)
  header.write('acsp', 36)
  header.write(MARK.slice(0, 4), 48)
  header.write(MARK.slice(0, 4), 80)
  header.write(NAME, 100)
  for (const [i, value] of [0.9642, 1, 0.8249].entries()) header.writeInt32BE(Math.round(value * 65536), 68 + 4 * i)
  const table = Buffer.alloc(4 + 12 * elements.length)
  table.writeUInt32BE(elements.length)
  const body: Buffer[] = [Buffer.from(NAME.padEnd(16))] // between the table and the elements
  let at = 128 + table.length + (body[0] as Buffer).length
  for (const [i, [tag, bytes]] of elements.entries()) {
    table.write(tag, 4 + 12 * i)
    table.writeUInt32BE(at, 8 + 12 * i)
    table.writeUInt32BE(bytes.length, 12 + 12 * i)
    const padded = Buffer.concat([bytes, word.subarray(0, (4 - (bytes.length % 4)) % 4)])
    body.push(padded)
    at += padded.length
  }
  header.writeUInt32BE(at)
  return Uint8Array.from(Buffer.concat([header, table, ...body]))
}
