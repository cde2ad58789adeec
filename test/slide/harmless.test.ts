/** Which properties stay in a file that has no label: those of the scan, each by its key and by what it holds. */
import test from 'ava'
import { keptOf, withoutIdentity } from '../../src/slide/identity.js'
import { memorySlide } from '../slides.js'

const NUMBERS = [
  '0',
  '40',
  '-3',
  '+7',
  '0.2525',
  '12.',
  '.5',
  '123456789012.01234567890123456789',
  '1e-3',
  '2.5E+7',
  '4e100',
]
const NO_NUMBERS = [
  '',
  'forty',
  '4 0',
  '40x',
  'x40',
  '1e',
  '1e+',
  '.',
  '1.2.3',
  '1234567890123',
  '.e5',
  '0x10',
  '1e1234',
  '--4',
  '4-',
  '.x5',
]

const KEYS_OF_NUMBERS = [
  ...['mpp-x', 'mpp-y', 'objective-power', 'level-count', 'bounds-x', 'bounds-y', 'bounds-width', 'bounds-height'].map(
    (key) => `openslide.${key}`,
  ),
  ...['width', 'height', 'downsample', 'tile-width', 'tile-height'].flatMap((key) =>
    [0, 12, 345].map((level) => `openslide.level[${level}].${key}`),
  ),
  'tiff.XResolution',
  'tiff.YResolution',
  'aperio.AppMag',
  'aperio.MPP',
  'hamamatsu.SourceLens',
  'hamamatsu.XResolution',
  'hamamatsu.YResolution',
  'mirax.GENERAL.OBJECTIVE_MAGNIFICATION',
  'cleric.synthetic.seed',
]

/** Keys of words, with what they may hold and what not. */
const WORDS: readonly (readonly [key: string, may: readonly string[], mayNot: readonly string[]])[] = [
  ['openslide.background-color', ['FFffFF', '00a0f9'], ['fff', '#ffffff', 'ffffff0', 'MILLER', 'gggggg', '']],
  [
    'openslide.vendor',
    'aperio dicom generic-tiff hamamatsu leica mirax philips sakura synthetic trestle ventana zeiss'.split(' '),
    ['aperio2', 'my aperio', 'Miller', ''],
  ],
  ['tiff.ResolutionUnit', ['inch', 'centimeter', 'none'], ['inches', 'an inch', '2', '']],
]

/** Keys that hold such a key, as a vendor may name what it likes. */
const like = (key: string) => [
  `my.${key}`,
  `${key}.of`,
  key.replace(/.$/, '_'),
  key.toUpperCase(),
  key.replaceAll('.', '-'),
]

test('properties of the scan stay, if they hold what they should', (t) => {
  for (const key of KEYS_OF_NUMBERS) {
    for (const value of NUMBERS) t.deepEqual(withoutIdentity({ [key]: value }), { [key]: value }, `${key} ${value}`)
    for (const value of NO_NUMBERS) t.deepEqual(withoutIdentity({ [key]: value }), {}, `${key} ${value}`)
    for (const other of like(key)) t.deepEqual(withoutIdentity({ [other]: '40' }), {}, other)
  }
  for (const [key, may, mayNot] of WORDS) {
    for (const value of may) t.deepEqual(withoutIdentity({ [key]: value }), { [key]: value }, `${key} ${value}`)
    for (const value of mayNot) t.deepEqual(withoutIdentity({ [key]: value }), {}, `${key} ${value}`)
    for (const other of like(key)) t.deepEqual(withoutIdentity({ [other]: may[0] as string }), {}, other)
  }
})

test('other properties go, and of levels those that no slide has', (t) => {
  const others = ['openslide.comment', 'openslide.mpp-z', 'tiff.ZResolution', 'tiff.DateTime', 'aperio.Date', 'Patient']
  const levels = ['openslide.level[x].width', 'openslide.level[1234].width', 'openslide.level[].width']
  for (const key of [...others, ...levels]) t.deepEqual(withoutIdentity({ [key]: '40' }), {}, key)
  t.deepEqual(withoutIdentity({ 'tiff.DateTime': '40', 'aperio.MPP': '0.25' }), { 'aperio.MPP': '0.25' })
})

test('with label and macro everything is kept; without one of them, what identifies nobody', (t) => {
  const image = { data: new Uint8Array(3), width: 1, height: 1, channels: 3 } as const
  const properties = { 'aperio.MPP': '0.25', 'aperio.User': 'Miller' }
  const slide = memorySlide([image], { properties, associatedImages: ['label', 'macro', 'thumbnail', 'notes'] })
  t.deepEqual(keptOf(slide, { label: true, macro: true }), {
    properties,
    images: ['label', 'macro', 'thumbnail', 'notes'],
    iccProfile: null,
  })
  const harmless = { properties: { 'aperio.MPP': '0.25' }, iccProfile: null }
  const kept = (label: boolean, macro: boolean) => keptOf(slide, { label, macro })
  t.deepEqual(kept(true, false), { ...harmless, images: ['label', 'thumbnail'] })
  t.deepEqual(kept(false, true), { ...harmless, images: ['macro', 'thumbnail'] })
  t.deepEqual(kept(false, false), { ...harmless, images: ['thumbnail'] })
})
