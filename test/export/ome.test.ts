/** Exports to OME-TIFF, as cleric's own reader shows them, libvips, and tifffile where PYTHON has it. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DOMParser, type Element } from '@xmldom/xmldom'
import test from 'ava'
import sharp from 'sharp'
import { exportSlide } from '../../src/export/export.js'
import type { Image } from '../../src/image/image.js'
import { psnr } from '../../src/metrics/psnr.js'
import { openSlide } from '../../src/slide/open.js'
import type { Level, SlideSource } from '../../src/slide/source.js'
import { markedProfile } from '../slide/marked-slide.js'
import { DrawnSlide, memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-ome-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const drawn = new DrawnSlide('synthetic:700x500:4')

function whole(source: SlideSource, level: number): Promise<Image> {
  const { width, height } = source.levels[level] as Level
  return source.readRegion({ x: 0, y: 0, level, width, height })
}

async function slide(...others: readonly string[]): Promise<SlideSource> {
  return memorySlide([await whole(drawn, 0), await whole(drawn, 1)], {
    ...{ mpp: { x: 0.2505, y: 0.25 }, objectivePower: 40, iccProfile: markedProfile },
    associatedImages: ['label', 'macro', ...others],
    readAssociatedImage: (name) => drawn.readAssociatedImage(name === 'macro' ? name : 'label'),
  })
}

for (const compression of ['jpeg', 'deflate'] as const) {
  test(`${compression}: levels, scale, profile and associated images come back`, async (t) => {
    const path = at(`${compression}.ome.tif`)
    const source = await slide()
    const result = await exportSlide(source, path, { format: 'ome', compression })
    t.like(result, { format: 'ome', compression, bytes: readFileSync(path).length, warnings: [] })
    using opened = await openSlide(path)
    t.is(opened.format, 'tiff')
    t.deepEqual(opened.mpp, source.mpp)
    t.true(
      ['label', 'macro'].every((name) => opened.associatedImages.includes(name)),
      `${opened.associatedImages}`,
    )
    t.true(Buffer.from(opened.iccProfile?.() ?? []).equals(markedProfile()))
    t.is(opened.levels.length, source.levels.length)
    for (const level of source.levels.keys()) {
      const [shown, expected] = [await whole(opened, level), await whole(source, level)]
      if (compression === 'deflate') t.true(Buffer.from(shown.data).equals(expected.data), `level ${level}`)
      else t.true(psnr(shown, expected) > 30, `level ${level}`)
    }
    for (const name of ['label', 'macro']) {
      t.true(psnr(await opened.readAssociatedImage(name), await source.readAssociatedImage(name)) > 30)
    }
    t.like(await sharp(path).metadata(), { width: 700, height: 500, pages: 3, subifds: 1 })
  })
}

test('the OME-XML lists the images, their scale and optics, and the file by what is in it', async (t) => {
  // cleric takes an image of such a name for a second picture; that it reads the file's first is checked all the same.
  const source = await slide('a "map" & <more>')
  const xmlOf = async (name: string, quality: number) => {
    t.deepEqual((await exportSlide(source, at(name), { format: 'ome', quality })).warnings, [])
    const bytes = readFileSync(at(name)).toString('utf8')
    const xml = /<\?xml[\s\S]*?<\/OME>/.exec(bytes)?.[0] ?? ''
    return new DOMParser({ onError: (_, message) => t.fail(message) }).parseFromString(xml, 'text/xml')
      .documentElement as Element
  }
  const root = await xmlOf('xml.ome.tif', 90)
  t.is(root.namespaceURI, 'http://www.openmicroscopy.org/Schemas/OME/2016-06')
  t.regex(
    root.getAttribute('UUID') ?? '',
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  )
  const all = (name: string) => Array.from(root.getElementsByTagName(name))
  t.deepEqual(
    all('Image').map((image) => image.getAttribute('Name')),
    ['slide', 'label', 'macro', 'a "map" & <more>'],
  )
  t.deepEqual(
    ['SizeX', 'SizeY', 'SizeC', 'PhysicalSizeX', 'PhysicalSizeY'].map((name) => all('Pixels')[0]?.getAttribute(name)),
    ['700', '500', '3', '0.2505', '0.25'],
  )
  t.is(all('Objective')[0]?.getAttribute('NominalMagnification'), '40')
  t.deepEqual(
    all('TiffData').map((data) => data.getAttribute('IFD')),
    ['0', '1', '2', '3'],
  )
  t.is((await xmlOf('again.ome.tif', 90)).getAttribute('UUID'), root.getAttribute('UUID'))
  t.true(readFileSync(at('again.ome.tif')).equals(readFileSync(at('xml.ome.tif'))))
  t.not((await xmlOf('other.ome.tif', 50)).getAttribute('UUID'), root.getAttribute('UUID'))
})

test('without the label there is no label', async (t) => {
  const { associatedImages } = await exportSlide(await slide(), at('none.ome.tif'), { format: 'ome', label: false })
  t.deepEqual(associatedImages, ['macro'])
  t.false(readFileSync(at('none.ome.tif')).includes('"label"'))
})

const python = process.env.PYTHON ?? 'python3'
const hasTifffile = spawnSync(python, ['-c', 'import tifffile, imagecodecs']).status === 0
const withTifffile = hasTifffile ? test : test.skip
withTifffile('tifffile shows a pyramid and the associated images (needs it and imagecodecs in PYTHON)', async (t) => {
  await exportSlide(await slide(), at('python.ome.tif'), { format: 'ome', compression: 'deflate' })
  const script = `
import json, sys, tifffile
file = tifffile.TiffFile(sys.argv[1])
print(json.dumps([file.is_ome, [[each.name, [[*level.shape] for level in each.levels], int(each.levels[-1].asarray().sum())] for each in file.series]]))`
  const { stdout } = await promisify(execFile)(python, ['-c', script, at('python.ome.tif')])
  const [isOme, series] = JSON.parse(stdout)
  t.true(isOme)
  const sum = (await whole(drawn, 1)).data.reduce((total, value) => total + value, 0)
  t.deepEqual(series[0], [
    'slide',
    [
      [500, 700, 3],
      [125, 175, 3],
    ],
    sum,
  ])
  t.deepEqual(
    series.map(([name]: [string]) => name),
    ['slide', 'label', 'macro'],
  )
})
