/**
 * What callers without types may pass to the public functions: refused in the house sentence, and never passed over.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import test from 'ava'
import sharp from 'sharp'
import { Archive } from '../src/archive/archive.js'
import { checkOptions, isArgumentError, outOfRange, wrongType } from '../src/arguments.js'
import { openCodec as openOwnCodec } from '../src/codec/codec.js'
import { fill } from '../src/image/draw.js'
import * as cleric from '../src/index.js'
import { nearest } from '../src/nearest-name.js'
import { createViewerServer } from '../src/server/server.js'
import { SyntheticSlide } from '../src/slide/synthetic.js'
import { openArchive as openInBrowser } from '../src/web/index.js'
import { losslessCodec } from './payload-codec.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-arguments-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const slide = new SyntheticSlide('synthetic:200x150:3')
const image = fill(64, 64, { red: 200, green: 150, blue: 180 })
const nano = fileURLToPath(new URL('fixtures/nano.safetensors', import.meta.url))
const choice = { model: nano, device: 'cpu' } as const
// biome-ignore lint/suspicious/noExplicitAny: what callers without types may pass
const wrong = (value: unknown): any => value

const archivePath = join(folder, 'made.cleric.tif')
test.before(async () => {
  await cleric.compressSlide(slide, archivePath, { codec: losslessCodec(), levels: [0] })
})

/** Every public function that takes options, called with them; and an option that each of them has, misspelt. */
const CALLS: Record<string, readonly [call: (options: unknown) => unknown, misspelt: string, meant: string]> = {
  compressSlide: [(o) => cleric.compressSlide(slide, join(folder, 'o.cleric.tif'), wrong(o)), 'noLabel', 'label'],
  compressCollection: [
    (o) => cleric.compressCollection(['synthetic:9x9'], join(folder, 'collection'), wrong(o)),
    'job',
    'jobs',
  ],
  exportSlide: [(o) => cleric.exportSlide(slide, join(folder, 'o.tif'), wrong(o)), 'no-macro', 'macro'],
  openArchive: [(o) => cleric.openArchive(archivePath, wrong(o)), 'cachebytes', 'cacheBytes'],
  openSlide: [(o) => cleric.openSlide('synthetic:9x9', wrong(o)), 'singal', 'signal'],
  openCodec: [(o) => cleric.openCodec(wrong(o)), 'devices', 'device'],
  encodeTile: [(o) => cleric.encodeTile(image, wrong(o)), 'qualty', 'quality'],
  encodeCheckedTile: [(o) => cleric.encodeCheckedTile(image, wrong(o)), 'losless', 'lossless'],
  decodeTile: [(o) => cleric.decodeTile(new Uint8Array(9), wrong(o)), 'adaptor', 'adapter'],
  decodeLatents: [(o) => cleric.decodeLatents(new Uint8Array(9), wrong(o)), 'modle', 'model'],
  compareSlides: [(o) => cleric.compareSlides(slide, slide, wrong(o)), 'onprogress', 'onProgress'],
  registerWithGeotiff: [(o) => cleric.registerWithGeotiff(geotiff, wrong(o)), 'modell', 'model'],
  validateArchive: [
    async (o) => {
      using archive = await cleric.openArchive(archivePath)
      return await cleric.validateArchive(archive, wrong(o))
    },
    'on-progress',
    'onProgress',
  ],
}
const geotiff = wrong({ addDecoder() {}, BaseDecoder: class {} })

test('every public function with options is among those that are called here', (t) => {
  const without = ['listDevices', 'msSsim', 'psnr']
  const isFunction = ([, value]: [string, unknown]) => typeof value === 'function' && !/^class/.test(String(value))
  const names = Object.entries(cleric)
    .filter(isFunction)
    .map(([name]) => name)
  t.deepEqual(names.sort(), [...Object.keys(CALLS), ...without].sort())
})

for (const [name, [call, misspelt, meant]] of Object.entries(CALLS)) {
  test(`${name} refuses options that it doesn't know, and none that is no options`, async (t) => {
    const refused = async (options: unknown, message: RegExp) => {
      const error = await t.throwsAsync(async () => call(options), { instanceOf: TypeError, message })
      t.true(isArgumentError(error))
    }
    const hint = `^Expected one of the options .*\\b${meant}\\b.* but received "${misspelt}"; did you mean "${meant}"\\?$`
    await refused({ [misspelt]: true }, new RegExp(hint))
    await refused({ whatever: undefined }, /^Expected one of the options .* but received "whatever"$/)
    for (const none of [null, 5, 'quality', true, [], new AbortController().signal, () => {}]) {
      await refused(none, /^Expected an object for options but received .* of type /)
    }
  })
}

test('the server of the viewer and an open codec refuse them too', async (t) => {
  const unknown = { instanceOf: TypeError, message: /received "(q|cacheBites)"/ }
  await t.throwsAsync(createViewerServer(folder, wrong({ cacheBites: 1 })), unknown)
  using codec = await openOwnCodec(choice)
  await t.throwsAsync(codec.encodeTile(image, wrong({ q: 1 })), unknown)
  await t.throwsAsync(codec.decodeTile(new Uint8Array(9), wrong({ q: 1 })), unknown)
  await t.throwsAsync(codec.encodeTile(image, wrong(null)), { instanceOf: TypeError, message: /^Expected an object/ })
  await t.throwsAsync(codec.decodeTile(new Uint8Array(9), wrong(5)), {
    instanceOf: TypeError,
    message: /^Expected an o/,
  })
})

test('what was misspelt was not done', (t) => {
  for (const name of ['o.cleric.tif', 'o.cleric.tif.partial', 'o.tif', 'o.tif.partial']) {
    t.false(existsSync(join(folder, name)), name)
  }
})

test('tiles are encoded and decoded by the model and device that are asked for', async (t) => {
  using own = await cleric.openCodec(choice)
  const expected = await own.encodeTile(image, { quality: 40 })
  const bytes = await cleric.encodeTile(image, { quality: 40, ...choice })
  t.deepEqual(bytes, expected)
  const decoded = await cleric.decodeTile(bytes, choice)
  t.deepEqual(decoded, await own.decodeTile(bytes))
  t.deepEqual(await cleric.encodeTile(image, { quality: 40, codec: own }), expected)
  t.deepEqual(await cleric.decodeTile(bytes, { codec: own }), decoded)
  const absent = join(folder, 'absent.safetensors')
  await t.throwsAsync(cleric.encodeTile(image, { model: absent, device: 'cpu' }), { code: 'ENOENT' })
  await t.throwsAsync(cleric.decodeTile(bytes, { ...choice, adapter: 'llvmpipe' }), {
    instanceOf: RangeError,
    message: /for adapter/,
  })
})

test('a codec or a choice of one, not both; and a codec is one', async (t) => {
  const codec = losslessCodec()
  const output = join(folder, 'both.cleric.tif')
  for (const other of [{ model: nano }, { device: 'cpu' }, { adapter: 'any' }] as const) {
    const [name] = Object.keys(other)
    const error = { instanceOf: RangeError, message: new RegExp(`^Expected no ${name} with a codec for ${name} but`) }
    await t.throwsAsync(cleric.compressSlide(slide, output, { codec, ...other }), error)
    await t.throwsAsync(cleric.openArchive(archivePath, { codec, ...other }), error)
  }
  for (const bad of [5, null, {}, { decodePayload() {} }]) {
    const error = { instanceOf: TypeError, message: /^Expected an open codec for codec/ }
    await t.throwsAsync(cleric.openArchive(archivePath, { codec: wrong(bad) }), error)
    await t.throwsAsync(cleric.encodeTile(image, { codec: wrong(bad) }), error)
  }
  await t.throwsAsync(cleric.encodeTile(image, { codec: wrong(codec) }), { instanceOf: TypeError })
})

test('every option is checked before anything is opened or written', async (t) => {
  const output = join(folder, 'checked.cleric.tif')
  const compress = (options: object) => cleric.compressSlide(join(folder, 'absent.svs'), output, wrong(options))
  const exported = (options: object) => cleric.exportSlide(join(folder, 'absent.svs'), output, wrong(options))
  for (const [call, options, what] of [
    [compress, { quality: -1 }, 'a number from 0 to 100 for quality'],
    [compress, { targetBpp: 0 }, 'a number above 0, up to 24 for targetBpp'],
    [compress, { targetBpp: Number.NaN }, 'a number above 0, up to 24 for targetBpp'],
    [compress, { targetBpp: 1, quality: 60 }, 'no quality with a targetBpp for quality'],
    [compress, { levels: 'some' }, '"all" or a list of level numbers for levels'],
    [compress, { levels: [1] }, 'a list with level 0 for levels'],
    [compress, { levels: [] }, 'a list with level 0 for levels'],
    [compress, { levels: [0, -1] }, 'an integer from 0 to 63 for levels'],
    [compress, { tile: 100 }, 'a multiple of 16 for tile'],
    [compress, { background: 'pink' }, 'one of keep, white, auto for background'],
    [compress, { device: 'gpu' }, 'one of auto, webgpu, cpu for device'],
    [compress, { model: 5 }, 'a non-empty string for model'],
    [compress, { label: 'no' }, 'true or false for label'],
    [compress, { onSearch: 1 }, 'a function for onSearch'],
    [compress, { signal: {} }, 'an AbortSignal for signal'],
    [exported, { compression: 'gif' }, 'one of jpeg, deflate, webp for compression'],
    [exported, { quality: 101 }, 'an integer from 1 to 100 for quality'],
    [exported, { quality: 50, compression: 'deflate' }, 'none, as deflate loses nothing, for quality'],
    [exported, { macro: 0 }, 'true or false for macro'],
  ] as const) {
    const error = await t.throwsAsync(call(options))
    t.true(error?.message.startsWith(`Expected ${what} but received `), error?.message)
    t.true(isArgumentError(error))
  }
  t.false(existsSync(`${output}.partial`))
})

test('every slide and archive checks what it is asked for, and a signal that is none ends nothing else', async (t) => {
  const png = join(folder, 'read.png')
  await sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } }).toFile(png)
  const opened = await Promise.all([
    cleric.openSlide('synthetic:64x64'),
    // As a TIFF without a vendor's name.
    cleric.openSlide(archivePath),
    cleric.openSlide(png),
    cleric.openArchive(archivePath, { codec: losslessCodec() }),
  ])
  const region = { x: 0, y: 0, level: 0, width: 8, height: 8 }
  const invalid = { code: 'ERR_INVALID_ARGUMENT' }
  for (const source of opened) {
    for (const signal of [null, 5, 'stop', {}, { aborted: false }]) {
      await t.throwsAsync(source.readRegion(region, wrong(signal)), { ...invalid, message: /AbortSignal for signal/ })
      const image = source.readAssociatedImage('label', wrong(signal))
      await t.throwsAsync(image, { ...invalid, message: /AbortSignal for signal/ }, source.format)
      if (!(source instanceof Archive)) continue
      await t.throwsAsync(source.readTile(0, 0, 0, wrong(signal)), { ...invalid, message: /AbortSignal for signal/ })
    }
    for (const name of [null, undefined, 5, '', {}]) {
      const image = source.readAssociatedImage(wrong(name))
      await t.throwsAsync(image, { ...invalid, message: /^Expected a non-empty string for name/ }, source.format)
    }
    source.close()
  }
})

test('channels that are null are not absent', async (t) => {
  const channels = wrong(null)
  await t.throwsAsync(cleric.encodeTile({ ...image, channels }, choice), { message: /^Expected 3 or 4 for image.chan/ })
})

test("the browser's openArchive refuses what is no options, or none that it has", async (t) => {
  for (const none of [null, 5, []]) {
    const error = await t.throwsAsync(openInBrowser(new Blob(), wrong(none)), { code: 'ERR_INVALID_ARGUMENT' })
    t.regex(error?.message ?? '', /^Expected an object for options/)
  }
  await t.throwsAsync(openInBrowser(new Blob(), wrong({ device: 'cpu' })), {
    message: /^Expected one of the options model, cacheBytes, cache, icc, signal, codec but received "device"/,
  })
})

test('the URL of a file is one as a string, too; no path is none', async (t) => {
  const { href } = pathToFileURL(archivePath)
  for (const source of [href, href.replace('file', 'FILE')]) {
    using archive = await cleric.openArchive(source)
    t.is(archive.levels[0]?.width, 200)
  }
  await t.throwsAsync(cleric.openArchive(''), { code: 'ERR_INVALID_ARGUMENT', message: /^Expected a non-empty string/ })
})

test('an output below a file is refused as one that can not be written, whatever its kind', async (t) => {
  const below = join(archivePath, 'below')
  const refused = { code: 'ERR_NOT_WRITABLE' }
  await t.throwsAsync(cleric.compressSlide(slide, below, choice), refused)
  await t.throwsAsync(cleric.exportSlide(slide, below), refused)
  await t.throwsAsync(cleric.exportSlide(slide, below, { format: 'dicom' }), refused)
  await t.throwsAsync(cleric.compressCollection(['synthetic:9x9'], below, choice), refused)
  await t.throwsAsync(cleric.compressCollection(['synthetic:9x9'], archivePath, choice), refused)
})

test('an address that is neither a file nor on the web is no source', async (t) => {
  await t.throwsAsync(cleric.openArchive(new URL('data:,x')), { instanceOf: RangeError, message: /http or https URL/ })
  await t.throwsAsync(cleric.openArchive(wrong(5)), { instanceOf: TypeError })
})

test('wrong arguments are told from the errors of the language', (t) => {
  t.true(isArgumentError(wrongType('a', 'b', 1)))
  t.true(isArgumentError(outOfRange('a', 'b', 1)))
  t.like(wrongType('a', 'b', 1), { name: 'TypeError', code: 'ERR_INVALID_ARGUMENT' })
  t.like(outOfRange('a', 'b', 1), { name: 'RangeError', code: 'ERR_INVALID_ARGUMENT' })
  for (const other of [new TypeError('Expected x for y'), new RangeError('Expected x'), null, new Error('Expected')]) {
    t.false(isArgumentError(other))
  }
})

test('an undefined option counts as absent, and one inherited from Object.prototype as unknown', (t) => {
  const checks = { a: () => t.fail(), b: (value: unknown) => t.is(value, 1) }
  t.notThrows(() => checkOptions({ a: undefined, b: 1 }, checks))
  t.notThrows(() => checkOptions(Object.assign(Object.create(null), { b: 1 }), checks))
  t.throws(() => checkOptions({ toString: 1 } as object, checks as never), { message: /received "toString"/ })
})

test('the nearest name: case, hyphens and "no" don\'t count, short names need most of their letters', (t) => {
  const known = ['label', 'macro', 'targetBpp', 'tile', 'onBadTile', 'signal']
  for (const [name, meant] of [
    ['noLabel', 'label'],
    ['no-label', 'label'],
    ['lable', 'label'],
    ['target-bpp', 'targetBpp'],
    ['TARGETBPP', 'targetBpp'],
    ['tiles', 'tile'],
    ['on_bad_tile', 'onBadTile'],
    ['frobnicate', null],
    ['', null],
    ['x', null],
    ['x'.repeat(1e6), null],
  ] as const) {
    t.is(nearest(name, known), meant, name.slice(0, 20))
  }
})
