/**
 * Exports to DICOM: what is in the files, what dciodvfy (Debian's dicom3tools) says of them, and what OpenSlide 4 shows.
 * wsidicom and openslide-python read them too where PYTHON has them (`read_dicom.py`).
 */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import { compressSlide } from '../../src/compress/compress.js'
import { DicomFolder } from '../../src/export/dicom-folder.js'
import { type ExportOptions, exportSlide } from '../../src/export/export.js'
import { exportLevels } from '../../src/export/pyramid.js'
import { growImage, type Image } from '../../src/image/image.js'
import { fromImage, srgbProfile, toImage } from '../../src/image/sharp.js'
import { openSlide } from '../../src/slide/open.js'
import type { Level, SlideSource } from '../../src/slide/source.js'
import { losslessCodec } from '../payload-codec.js'
import { markedProfile } from '../slide/marked-slide.js'
import { crop, DrawnSlide, memorySlide } from '../slides.js'
import { type ReadInstance, readInstance } from './dicom-file.js'

const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'cleric-dicom-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const codec = losslessCodec()
const slide = new DrawnSlide('synthetic:700x500:3')
const facts = { mpp: slide.mpp, objectivePower: slide.objectivePower, path: 'drawn', bytes: 0 }
const archivePath = at('slide.cleric.tif')
const jpegFolder = at('jpeg')
test.before(async () => {
  await compressSlide(slide, archivePath, { codec, tile: 256 })
  await exportSlide(archivePath, jpegFolder, { codec, format: 'dicom' })
})

function whole(source: SlideSource, level: number): Promise<Image> {
  const { width, height } = source.levels[level] as Level
  return source.readRegion({ x: 0, y: 0, level, width, height })
}

/** Whether OpenSlide opens DICOM here, which 3.4 doesn't. */
async function openIfKnown(path: string) {
  try {
    return await openSlide(path)
  } catch (error) {
    if (/ DICOM needs OpenSlide 4\.0|OpenSlide is not installed/.test((error as Error).message)) return null
    throw error
  }
}

const instances = (path: string) => readdirSync(path).map((name) => join(path, name))

test('a level is a file: sizes, spacing, tiles row by row, and the same words in all', async (t) => {
  t.deepEqual(readdirSync(jpegFolder).sort(), ['label.dcm', 'level-0.dcm', 'level-1.dcm', 'overview.dcm'])
  const [finest, coarser] = ['level-0.dcm', 'level-1.dcm'].map((name) => readInstance(join(jpegFolder, name)))
  const { text, values, frames } = finest as ReadInstance
  t.is(text('00080008'), 'ORIGINAL\\PRIMARY\\VOLUME\\NONE')
  t.is((coarser as ReadInstance).text('00080008'), 'DERIVED\\PRIMARY\\VOLUME\\RESAMPLED')
  t.is(text('00080016'), '1.2.840.10008.5.1.4.1.1.77.1.6')
  t.is(text('00020010'), '1.2.840.10008.1.2.4.50')
  t.is(text('00080018'), text('00020003'))
  t.is(text('00209311'), 'TILED_FULL')
  t.is(values.get('00480006')?.readUInt32LE(), 700)
  t.is(values.get('00480007')?.readUInt32LE(), 500)
  t.is(values.get('00480001')?.readFloatLE(), Math.fround(0.35), 'millimetres')
  t.is(frames.length, 6)
  t.is(text('00282110'), '01')
  t.is((await sharp(frames[0]).metadata()).chromaSubsampling, '4:4:4')
  for (const tag of ['0020000d', '0020000e', '00200052', '00080019']) {
    t.regex(text(tag), /^2\.25\.\d{39}$/)
    t.is((coarser as ReadInstance).text(tag), text(tag))
  }
  const own = instances(jpegFolder).map((path) => readInstance(path).text('00080018'))
  t.is(new Set(own).size, own.length)
})

test('frames are the pixels: by JPEG nearly, by none exactly, beyond the edge the last ones again', async (t) => {
  const exact = at('none')
  const result = await exportSlide(archivePath, exact, { codec, format: 'dicom', compression: 'none' })
  t.like(result, { compression: 'none', quality: null, format: 'dicom', associatedImages: ['label', 'macro'] })
  t.is(
    result.bytes,
    instances(exact).reduce((sum, path) => sum + readFileSync(path).length, 0),
  )
  using archive = await openArchive(archivePath, { codec })
  for (const level of archive.levels.keys()) {
    const pixels = await whole(archive, level)
    const [lossy, raw] = [jpegFolder, exact].map((path) => readInstance(join(path, `level-${level}.dcm`)))
    t.is(raw?.text('00280004'), 'RGB')
    t.is(lossy?.text('00280004'), 'YBR_FULL_422')
    const columns = Math.ceil(pixels.width / 256)
    for (const [i, frame] of (raw?.frames ?? []).entries()) {
      const [x, y] = [(i % columns) * 256, Math.floor(i / columns) * 256]
      const tile = growImage(crop(pixels, x, y, 256, 256), 256, 256)
      t.true(frame.equals(tile.data), `level ${level}, frame ${i}`)
      const jpeg = await fromImage(tile).jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer()
      const [shown, expected] = [await toImage(sharp(lossy?.frames[i])), await toImage(sharp(jpeg))]
      t.true(Buffer.from(shown.data).equals(expected.data), `level ${level}, frame ${i}, jpeg`)
    }
  }
})

test('the same slide gives the same files, another one or another quality other UIDs', async (t) => {
  await exportSlide(archivePath, at('again'), { codec, format: 'dicom' })
  for (const path of instances(jpegFolder)) {
    t.true(readFileSync(path).equals(readFileSync(join(at('again'), path.slice(jpegFolder.length + 1)))), path)
  }
  await exportSlide(archivePath, at('other'), { codec, format: 'dicom', quality: 50 })
  const uid = (path: string) => readInstance(join(path, 'level-0.dcm')).text('0020000e')
  t.not(uid(at('other')), uid(jpegFolder))
})

test('nothing of the patient, and no label that is to be left out', async (t) => {
  for (const path of instances(jpegFolder)) {
    const { text } = readInstance(path)
    for (const tag of [
      '00100010',
      '00100020',
      '00100030',
      '00100040',
      '00080020',
      '00080050',
      '00080090',
      '00200010',
    ]) {
      t.is(text(tag), '', tag)
    }
  }
  t.is(readInstance(join(jpegFolder, 'label.dcm')).text('22000005'), '', 'no bar code is invented')
  const named = memorySlide([await whole(slide, 1)], {
    ...facts,
    ...{
      associatedImages: ['label', 'macro', 'map'],
      readAssociatedImage: (name) => slide.readAssociatedImage(name === 'map' ? 'label' : name),
    },
    properties: { 'aperio.Patient': 'Nobody Drawn', 'openslide.comment': 'Nobody Drawn' },
  })
  const { warnings } = await exportSlide(named, at('named'), { format: 'dicom' })
  t.true(warnings.includes('dicom has no place for map'), `${warnings}`)
  await exportSlide(named, at('unnamed'), { format: 'dicom', label: false })
  t.deepEqual(readdirSync(at('unnamed')).sort(), ['level-0.dcm', 'level-1.dcm', 'overview.dcm'])
  for (const path of [...instances(at('named')), ...instances(at('unnamed'))]) {
    t.false(readFileSync(path).includes('Nobody'), path)
  }
})

test('OpenSlide 4 shows every level, scale, ICC profile, label and macro image', async (t) => {
  const iccProfile = markedProfile()
  const images = [await whole(slide, 0), await whole(slide, 1)]
  const marked = memorySlide(images, {
    ...{ ...facts, iccProfile: () => iccProfile, associatedImages: ['label', 'macro', 'thumbnail'] },
    readAssociatedImage: (name) => slide.readAssociatedImage(name === 'thumbnail' ? 'macro' : name),
  })
  const { warnings } = await exportSlide(marked, at('marked'), { format: 'dicom', compression: 'none' })
  using opened = await openIfKnown(join(at('marked'), 'level-0.dcm'))
  if (!opened) {
    t.regex(warnings.join(), /could not be read back.* DICOM needs OpenSlide 4\.0/)
    return
  }
  t.deepEqual(warnings, [])
  t.is(opened.format, 'dicom')
  t.deepEqual([opened.mpp, opened.objectivePower], [slide.mpp, slide.objectivePower])
  t.deepEqual([...opened.associatedImages].sort(), ['label', 'macro', 'thumbnail'])
  t.true(Buffer.from(opened.iccProfile?.() ?? []).equals(iccProfile))
  for (const [level, image] of images.entries()) {
    t.true(Buffer.from((await whole(opened, level)).data).equals(image.data), `level ${level}`)
  }
  // What it shows becomes an archive, and DICOM again.
  await compressSlide(join(at('marked'), 'level-0.dcm'), at('back.cleric.tif'), { codec })
  using back = await openArchive(at('back.cleric.tif'), { codec })
  t.true(Buffer.from((await whole(back, 0)).data).equals((images[0] as Image).data))
  t.true(Buffer.from(back.iccProfile() ?? []).equals(iccProfile))
})

test('frames beyond 4 GiB have their places in the extended offset table', async (t) => {
  const pixels = await whole(slide, 0)
  const jpeg = await fromImage(crop(pixels, 0, 0, 256, 256))
    .jpeg()
    .toBuffer()
  const levels = exportLevels([{ width: 700, height: 256, downsample: 1 }], 256, 'whole')
  const output = at('extended')
  const destination = await DicomFolder.create({
    folder: { output, reads: [], overwrite: false, isName: () => true, isOwn: async () => true },
    ...{
      levels: levels.slice(0, 1),
      pictures: [],
      iccProfile: null,
      srgb: await srgbProfile(),
      isJpeg: true,
      history: [],
    },
    series: { size: { width: 700, height: 256 }, mpp: { x: 0.5, y: 0.5 }, objectivePower: null },
    ...{ extendedOffsets: true, signal: new AbortController().signal },
  })
  for (const column of [0, 1, 2]) await destination.store(0, column, 0, jpeg)
  await destination.publish(async () => {})
  await destination.discard()
  const { frames, offsets } = readInstance(join(output, 'level-0.dcm'))
  t.is(offsets, 'extended')
  const tile = await toImage(sharp(jpeg))
  for (const frame of frames) t.true(Buffer.from((await toImage(sharp(frame))).data).equals(tile.data))
  using opened = await openIfKnown(join(output, 'level-0.dcm'))
  const second = await opened?.readRegion({ x: 256, y: 0, level: 0, width: 256, height: 256 })
  t.true(second === undefined || Buffer.from(second.data).equals(tile.data))
})

test('a slide whose pixels have no size, or too many for no compression, is refused before any is read', async (t) => {
  const refused = { code: 'ERR_IMAGE_UNSUPPORTED' } as const
  const none = { ...memorySlide([await whole(slide, 1)]), readRegion: () => Promise.reject(new Error('was read')) }
  await t.throwsAsync(exportSlide(none, at('refused'), { format: 'dicom' }), {
    ...refused,
    message: /how large its pixels/,
  })
  const huge = { ...none, mpp: slide.mpp, levels: [{ width: 40_000, height: 40_000, downsample: 1 }] }
  const options = { format: 'dicom', compression: 'none' } as const
  await t.throwsAsync(exportSlide(huge, at('refused'), options), { ...refused, message: /use --codec jpeg/ })
  t.false(existsSync(at('refused')) || existsSync(at('refused.partial')))
})

test('a folder has its name when it is whole; only what an export wrote is replaced', async (t) => {
  const output = at('atomic')
  const options: ExportOptions = { codec, format: 'dicom' }
  await t.throwsAsync(
    exportSlide(archivePath, output, {
      ...options,
      onProgress: ({ tiles }) => {
        t.false(existsSync(output))
        if (tiles === 3) throw new Error('stop')
      },
    }),
    { message: 'stop' },
  )
  t.false(existsSync(output) || existsSync(`${output}.partial`))
  // An empty folder is as good as none, and what a killed run has left is removed.
  mkdirSync(output)
  mkdirSync(`${output}.partial`)
  writeFileSync(join(`${output}.partial`, 'level-0.dcm'), '')
  await exportSlide(archivePath, output, options)
  await t.throwsAsync(exportSlide(archivePath, output, options), { code: 'ERR_FILE_EXISTS' })
  await exportSlide(slide, output, { ...options, overwrite: true })
  writeFileSync(join(output, 'notes.txt'), 'mine')
  await t.throwsAsync(exportSlide(slide, output, { ...options, overwrite: true }), {
    ...{ code: 'ERR_FILE_EXISTS', message: /notes\.txt/ },
  })
  rmSync(join(output, 'notes.txt'))
  writeFileSync(join(output, 'level-7.dcm'), 'DICOM of somebody else')
  await t.throwsAsync(exportSlide(slide, output, { ...options, overwrite: true }), { code: 'ERR_FILE_EXISTS' })
  t.is(readFileSync(join(output, 'level-7.dcm'), 'utf8'), 'DICOM of somebody else')
  const input = join(jpegFolder, 'level-0.dcm')
  await t.throwsAsync(exportSlide(input, jpegFolder, { ...options, overwrite: true }), {
    ...{ code: 'ERR_FILE_EXISTS', message: /the file to read/ },
  })
  await t.throwsAsync(exportSlide(slide, archivePath, { ...options, overwrite: true }), { code: 'ERR_FILE_EXISTS' })
  await t.throwsAsync(exportSlide(slide, at('no/such'), options), { code: 'ERR_NOT_WRITABLE' })
})

test('a slash at the end of the name changes nothing, nor does what a killed run left beside it', async (t) => {
  const output = at('slash')
  mkdirSync(`${output}.old`)
  writeFileSync(join(`${output}.old`, 'level-0.dcm'), readFileSync(join(jpegFolder, 'level-0.dcm')))
  await exportSlide(archivePath, `${output}/`, { codec, format: 'dicom' })
  await exportSlide(archivePath, `${output}/`, { codec, format: 'dicom', overwrite: true })
  t.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('slash')),
    ['slash'],
  )
  for (const path of instances(jpegFolder)) {
    t.true(readFileSync(path).equals(readFileSync(path.replace(jpegFolder, output))))
  }
})

test('of two associated images of one kind the first is in the series, and the other is told', async (t) => {
  const both: SlideSource = {
    ...facts,
    ...{ format: 'drawn', levels: slide.levels, properties: {}, associatedImages: ['macro', 'overview'] },
    background: slide.background,
    readRegion: (region, signal) => slide.readRegion(region, signal),
    readAssociatedImage: () => slide.readAssociatedImage('macro'),
    close: () => {},
  }
  const result = await exportSlide(both, at('kinds'), { format: 'dicom' })
  t.deepEqual(result.associatedImages, ['macro'])
  t.true(result.warnings.includes('dicom has no place for overview'), result.warnings.join())
})

test('of two runs that write the same folder the later one has it', async (t) => {
  const output = at('both')
  let later: ReturnType<typeof exportSlide> | undefined
  const first = exportSlide(slide, output, {
    format: 'dicom',
    onProgress: ({ tiles }) => {
      if (tiles === 1) later ??= exportSlide(slide, output, { format: 'dicom', quality: 50 })
    },
  })
  await t.throwsAsync(first, { code: 'ERR_FILE_EXISTS' })
  t.is((await later)?.quality, 50)
  t.deepEqual(readdirSync(output).length, 4)
})

test('options that a format does not have are refused', async (t) => {
  const wrong = (options: object) => exportSlide(slide, at('wrong'), options as ExportOptions)
  const range = { instanceOf: RangeError }
  await t.throwsAsync(wrong({ format: 'zip' }), { ...range, message: /tiff, dicom, ome/ })
  await t.throwsAsync(wrong({ format: 'dicom', compression: 'webp' }), { ...range, message: /jpeg, none/ })
  await t.throwsAsync(wrong({ format: 'dicom', compression: 'none', quality: 5 }), { ...range, message: /quality/ })
  await t.throwsAsync(wrong({ compression: 'none' }), range)
  t.false(existsSync(at('wrong')))
})

const hasVerifier = spawnSync('dciodvfy', ['-version']).error === undefined
const verified = hasVerifier ? test : test.skip
verified('dciodvfy finds no error (needs dicom3tools)', async (t) => {
  const thumbnail = memorySlide([await whole(slide, 1)], {
    ...{ ...facts, associatedImages: ['thumbnail'], readAssociatedImage: () => slide.readAssociatedImage('macro') },
  })
  await exportSlide(thumbnail, at('thumbnail'), { format: 'dicom', compression: 'none' })
  for (const path of [...instances(jpegFolder), ...instances(at('thumbnail'))]) {
    // The loss by an archive's codec has no term in the standard, whose list is open; a patient it must have for a DICOMDIR.
    const known =
      /needed to build DICOMDIR|^VLWhole|Unrecognized defined term <CLERIC> .*Lossy Image Compression Method/
    const { stderr } = await execute('dciodvfy', [path])
    t.regex(stderr, /VLWholeSlideMicroscopyImage/)
    const lines = stderr.split('\n').filter((line) => line !== '' && !known.test(line))
    t.deepEqual(lines, [], path)
  }
})

const python = process.env.PYTHON ?? 'python3'
const modules = 'import numpy, openslide, pydicom, PIL, wsidicom'
const hasReaders = spawnSync(python, ['-c', modules]).status === 0
const withReaders = hasReaders ? test : test.skip
withReaders('wsidicom and openslide-python show what the frames say (needs both in PYTHON)', async (t) => {
  const script = fileURLToPath(new URL('read_dicom.py', import.meta.url))
  const { stdout } = await execute(python, [script, jpegFolder])
  t.deepEqual(JSON.parse(stdout), {
    levels: [
      { size: [700, 500], openslide: 0, wsidicom: 0 },
      { size: [175, 125], openslide: 0, wsidicom: 0 },
    ],
    ...{
      mpp: [0.5, 0.5],
      wsidicom_mpp: [0.5, 0.5],
      power: 20,
      associated: ['label', 'macro'],
      label: [240, 200],
      profile: 'sRGB',
    },
  })
})
