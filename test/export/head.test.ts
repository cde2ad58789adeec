/** The directories of an export, and the words by which readers know it. */
import test from 'ava'
import { describeSlide, type ExportContents, encodeHead } from '../../src/export/head.js'
import { exportLevels } from '../../src/export/pyramid.js'
import { tileCodec } from '../../src/export/tile-codec.js'
import { type TiffDirectory, TiffHead } from '../../src/tiff/reader.js'
import { TAGS } from '../../src/tiff/tags.js'

const LEVEL = { level: { width: 300, height: 200, downsample: 1 }, isStrips: false }
const APERIO = 'Aperio Image Library (written by cleric)\n300x200'
const PLAIN = 'Written by cleric\n300x200'

function describe(facts: Partial<Parameters<typeof describeSlide>[0]>, isStrips = false): string {
  return describeSlide({ properties: {}, mpp: null, objectivePower: null, ...facts }, { ...LEVEL, isStrips })
}

test("a description is the slide's own, or says in Aperio's words what is known", (t) => {
  const own = (text: string) => ({ 'tiff.ImageDescription': text })
  const mpp = { x: 0.25, y: 0.25 }
  t.is(describe({}), APERIO)
  t.is(describe({ mpp, objectivePower: 40 }), `${APERIO}|AppMag = 40|MPP = 0.25`)
  t.is(describe({ mpp: { x: 0.123456789012, y: 0.123456789012 } }), `${APERIO}|MPP = 0.123456789`)
  t.is(describe({ properties: own('of a scanner') }), 'of a scanner')
  t.is(describe({ properties: { 'openslide.comment': 'a comment' } }), 'a comment')
  t.is(describe({ properties: { ...own('first'), 'openslide.comment': 'second' } }), 'first')
  for (const text of ['', ' \n', '<?xml ?>', ' \n<OME/>', '\ufeff<OME/>', ' \ufeff <OME/>']) {
    t.is(describe({ properties: own(text) }), APERIO, text)
  }
  for (const text of ['a < b', 'a<b']) t.is(describe({ properties: own(text) }), text)
})

test("where Aperio's words would say less than the tags, they aren't used", (t) => {
  const oblong = { x: 0.25, y: 0.5 }
  t.is(describe({ mpp: oblong, objectivePower: 20 }), `${PLAIN}|AppMag = 20`)
  t.is(describe({ mpp: { x: 0.5, y: 0.25 } }), PLAIN)
  // Rounded, it is one number.
  t.is(describe({ mpp: { x: 0.25, y: 0.25 * (1 + 9e-7) } }), `${APERIO}|MPP = 0.25`)
  t.is(describe({ mpp: { x: 0.25, y: 0.25 * (1 + 2e-6) } }), PLAIN)
  t.is(describe({ mpp: { x: 0.25, y: 0.25 } }, true), `${PLAIN}|MPP = 0.25`)
  const aperio = { 'tiff.ImageDescription': 'Aperio Image Library v1' }
  t.is(describe({ properties: aperio, mpp: oblong }), PLAIN)
  t.is(describe({ properties: aperio }, true), PLAIN)
  t.is(describe({ properties: aperio }), 'Aperio Image Library v1')
  t.is(describe({ properties: { 'tiff.ImageDescription': "not Aperio's" }, mpp: oblong }), "not Aperio's")
})

function directories(changes: Partial<ExportContents> = {}): TiffDirectory[] {
  const bytes = encodeHead({
    ...{ levels: exportLevels([{ width: 700, height: 500, downsample: 1 }], 256, 'within'), images: [] },
    ...{ codec: tileCodec('jpeg', 80), mpp: null, description: 'words', iccProfile: null, ...changes },
  })
  return new TiffHead(bytes, 'export').chain()
}

const widths = (all: readonly TiffDirectory[]) => all.map((each) => each.integer(TAGS.ImageWidth))

test('the thumbnail is the second directory, the other images are the last, each by its name', (t) => {
  const image = (name: string, width: number) => ({ name, width, height: 10, offset: 5000, length: 100 })
  const names = ['label', 'a  map', 'thumbnail', 'macro']
  const all = directories({ images: names.map((name, i) => image(name, 11 + i)) })
  t.deepEqual(widths(all), [700, 13, 175, 11, 12, 14])
  t.deepEqual(
    all.map((each) => each.integer(TAGS.NewSubfileType)),
    [0, 0, 1, 1, 2, 9],
  )
  t.deepEqual(
    all.map((each) => (each.has(TAGS.ImageDescription) ? each.text(TAGS.ImageDescription) : null)),
    ['words', 'Aperio\nthumbnail 13x10', null, 'Aperio\nlabel 11x10', 'Aperio\na_map 12x10', 'Aperio\nmacro 14x10'],
  )
  t.deepEqual(
    all.map((each) => each.has(TAGS.TileWidth)),
    [true, false, true, false, false, false],
  )
  t.deepEqual(widths(directories()), [700, 175])
  t.deepEqual(widths(directories({ images: [image('label', 11), image('macro', 12)] })), [700, 175, 11, 12])
  t.deepEqual(widths(directories({ images: [image('thumbnail', 11), image('label', 12)] })), [700, 11, 175, 12])
})

test('fields that levels have only where there is something to say', (t) => {
  const has = (tag: (typeof TAGS)[keyof typeof TAGS], changes: Partial<ExportContents>) =>
    directories(changes).map((each) => each.has(tag))
  t.deepEqual(has(TAGS.Predictor, {}), [false, false])
  t.deepEqual(has(TAGS.Predictor, { codec: tileCodec('deflate', 80) }), [true, true])
  t.deepEqual(has(TAGS.IccProfile, {}), [false, false])
  t.deepEqual(has(TAGS.IccProfile, { iccProfile: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9) }), [true, true])
  t.deepEqual(has(TAGS.XResolution, {}), [false, false])
  t.deepEqual(has(TAGS.XResolution, { mpp: { x: 0.25, y: 0.5 } }), [true, true])
  // A level narrower than any tile is strips.
  const strips = directories({ levels: exportLevels([{ width: 60, height: 40, downsample: 1 }], 256, 'within') })
  t.deepEqual(
    strips.map((each) => [each.has(TAGS.TileWidth), each.has(TAGS.RowsPerStrip)]),
    [
      [true, false],
      [false, true],
    ],
  )
})
