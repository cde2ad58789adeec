/** DICOM that lies about sizes and places is refused before OpenSlide 4 sees it, which would end the process. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'ava'
import { exportSlide } from '../../src/export/export.js'
import { fill } from '../../src/image/draw.js'
import { absurdDicom } from '../../src/slide/dicom.js'
import { openSlide } from '../../src/slide/open.js'
import { memorySlide } from '../slides.js'
import { dicomFile } from './dicom.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-dicom-sizes-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const image = fill(40, 30, { red: 200, green: 100, blue: 150 })
const native = dicomFile({
  image,
  flavour: 'VOLUME',
  tile: 16,
  spacing: [0.001, 0.001],
  objectivePower: 20,
  instance: 1,
})
let encapsulated = Buffer.alloc(0)
test.before(async () => {
  const output = join(folder, 'export')
  await exportSlide(memorySlide([image], { mpp: { x: 1, y: 1 } }), output, { format: 'dicom' })
  encapsulated = readFileSync(join(output, 'level-0.dcm'))
})

let files = 0
/** A folder of its own with a file, and the path of it. */
function written(bytes: Uint8Array): string {
  const path = join(folder, `${files++}`, 'x.dcm')
  mkdirSync(dirname(path))
  writeFileSync(path, bytes)
  return path
}

/** The bytes with a number of 16 or 32 bits put where `after` is found, some bytes on. */
function changed(bytes: Buffer, after: readonly number[], skip: number, value: number, size: 2 | 4 = 2): Buffer {
  const copy = Buffer.from(bytes)
  const at = copy.indexOf(Buffer.from(after)) + skip
  if (size === 2) copy.writeUInt16LE(value, at)
  else copy.writeUInt32LE(value, at)
  return copy
}

const ROWS = [0x28, 0, 0x10, 0]
const COLUMNS = [0x28, 0, 0x11, 0]
const PROFILE = [0x28, 0, 0, 0x20, 0x4f, 0x42]
const PIXELS = [0xe0, 0x7f, 0x10, 0]

test('what is sound is left to OpenSlide, as is what is no DICOM', async (t) => {
  t.is(await absurdDicom(written(native)), null)
  t.is(await absurdDicom(written(encapsulated)), null)
  t.is(await absurdDicom(written(Buffer.from('text'))), null)
  t.is(await absurdDicom(join(folder, 'absent')), null)
})

test('frames that can not be held, in any file of the folder', async (t) => {
  for (const bytes of [native, encapsulated]) {
    const huge = changed(changed(bytes, ROWS, 8, 60_000), COLUMNS, 8, 60_000)
    const path = written(huge)
    t.is(await absurdDicom(path), 'x.dcm has frames of 60000 x 60000 pixels, expected at most 2^26')
    const beside = join(dirname(path), 'sound.dcm')
    writeFileSync(beside, bytes)
    const error = { code: 'ERR_UNSUPPORTED_SLIDE', message: /sound\.dcm.*x\.dcm has frames of 60000/ } as const
    await t.throwsAsync(openSlide(beside), error)
  }
})

test('values that are longer than the file, within sequences too', async (t) => {
  const profile = changed(encapsulated, PROFILE, 8, 0x7ffffff0, 4)
  t.regex((await absurdDicom(written(profile))) ?? '', /states 2147483632 bytes for its element \(0028,2000\)/)
  const pixels = changed(native, PIXELS, 8, 0x7ffffff0, 4)
  t.regex((await absurdDicom(written(pixels))) ?? '', /states 2147483632 bytes for its element \(7fe0,0010\)/)
})

test('tables of frames that lead out of the file', async (t) => {
  const table = changed(encapsulated, PIXELS, 20, 0x10000000, 4)
  t.regex((await absurdDicom(written(table))) ?? '', /has a frame beyond its end, at byte 2684\d+/)
  const long = changed(encapsulated, PIXELS, 16, 0x10000000, 4)
  t.regex((await absurdDicom(written(long))) ?? '', /states 268435456 bytes for its offset table/)
})

test('sequences within sequences without end', async (t) => {
  const sequence = Buffer.from([0x40, 0, 0x55, 0x05, 0x53, 0x51, 0, 0, 0xff, 0xff, 0xff, 0xff])
  const item = Buffer.from([0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff])
  const nested = Array.from({ length: 1000 }, () => Buffer.concat([sequence, item]))
  const bytes = Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), ...nested])
  t.is(await absurdDicom(written(bytes)), 'x.dcm has more than 64 sequences within each other')
})
