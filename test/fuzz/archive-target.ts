import { openArchive } from '../../src/archive/archive.js'
import { type Contents, encodeHead } from '../../src/archive/head-writer.js'
import { validateArchive } from '../../src/archive/validate.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { emptyIndex, TILE } from '../../src/tiff/tile-index.js'
import { losslessCodec } from '../payload-codec.js'
import type { Target } from './fuzz.js'

const codec = losslessCodec()
const BODY = 40

/** A small archive of two levels, an overview and an image; what its parts hold is of no meaning. */
function archive(layout: Contents['layout'], isChecked: boolean): Uint8Array {
  const levels = [100, 50].map((width, i) => ({ width, height: 60 / 2 ** i, downsample: 2 ** i }))
  const indexes = levels.map((level) => emptyIndex(level, 64))
  const level = { width: 25, height: 15, downsample: 4 }
  const index = emptyIndex(level, 512)
  const make = (head: number) => {
    indexes[0]?.offset.set([head, head + 10])
    indexes[0]?.length.fill(10)
    indexes[1]?.colours.set([9, 8, 7, TILE.blank])
    index.offset.fill(head + 20)
    index.length.fill(10)
    return encodeHead({
      layout,
      description: {
        ...{ model: { name: 'm', hash: '00' }, quality: 60, tile: 64, levels, downsamples: [1, 2] },
        ...{ mpp: { x: 0.5, y: 0.25 }, objectivePower: 20, background: { red: 255, green: 255, blue: 255 } },
        ...{ properties: { a: 'b', Ü: 'ü' }, source: { format: 'test', bytes: 5 } },
      },
      iccProfile: Uint8Array.of(1, 2, 3),
      indexes,
      overview: layout === 'strict' ? [] : [{ level, index }],
      images: [{ name: 'label', width: 10, height: 10, checksum: 0, offset: head + 30, length: 10 }],
      ...{ isChecked, fileLength: head + BODY },
    })
  }
  return Uint8Array.from([...make(make(0).length), ...new Uint8Array(BODY)])
}

/** Most changed heads would fail by their checksum: those that still have a seal where it is looked for get a right one. */
function resealed(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const at = Buffer.from(bytes).indexOf(Uint8Array.of(0x4f, 0xfe, 0x10, 0, 3, 0, 0, 0))
  if (at < 0 || at + 20 > bytes.length) return bytes
  const seal = Number(view.getBigUint64(at + 12, true))
  if (seal + 24 > bytes.length) return bytes
  view.setBigUint64(seal + 8, BigInt(bytes.length), true)
  const length = Number(view.getBigUint64(seal, true))
  view.setBigUint64(seal + 16, 0n, true)
  view.setBigUint64(seal + 16, BigInt(crc32c(bytes.subarray(0, length))), true)
  return bytes
}

export const archiveTarget: Target = {
  codes: /^ERR_(ARCHIVE_CORRUPT|ARCHIVE_UNSUPPORTED|CORRUPT_TILE)$/,
  covers: ['src/archive/head-reader.ts', 'src/archive/no-sharing.ts', 'src/tiff/reader.ts', 'src/archive/parts.ts'],
  async seeds() {
    return [archive('compat', true), archive('strict', true), archive('compat', false), archive('strict', false)]
  },
  async parse(bytes) {
    const isResealed = (bytes[bytes.length - 1] as number) % 8 !== 7
    using opened = await openArchive(new Blob([isResealed ? resealed(bytes) : bytes]), { codec, cacheBytes: 0 })
    for (const name of opened.associatedImages) await opened.readAssociatedImage(name).catch(() => {})
    if (opened.levels.reduce((sum, { tiles }) => sum + tiles, 0) < 1000) await validateArchive(opened, { quick: true })
  },
}
