/** The package as programs import it: its tiles' codec is shared, chosen, or given, and arguments come first. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { lend } from '../src/codec/default-codec.js'
import * as cleric from '../src/index.js'
import { decodeTile, encodeTile, openCodec } from '../src/index.js'
import { Device } from '../src/webgpu/device.js'
import { nanoModelFile } from './network/golden.js'
import { TYPESCRIPT } from './typescript.js'

const model = fileURLToPath(nanoModelFile)
const choice = { model, device: 'cpu' } as const
const [width, height] = [70, 33]
const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => 128 + 90 * Math.sin(i / 57))
const image = { data, width, height }

test('it exports what the documentation says', (t) => {
  const names = Object.entries(cleric).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []))
  t.deepEqual(names.sort(), [
    'AbortedError',
    'ClericError',
    'CorruptDataError',
    'DeviceError',
    'SlideError',
    'TileCache',
    'UnsupportedError',
    'compareSlides',
    'compressCollection',
    'compressSlide',
    'decodeLatents',
    'decodeTile',
    'encodeCheckedTile',
    'encodeTile',
    'exportSlide',
    'listDevices',
    'msSsim',
    'openArchive',
    'openCodec',
    'openSlide',
    'psnr',
    'registerWithGeotiff',
    'validateArchive',
  ])
})

test('tiles go through the codec of the model and device that are asked for', async (t) => {
  using codec = await openCodec(choice)
  const expected = await codec.encodeTile(image, { quality: 33.3 })
  const bytes = await encodeTile(image, { ...choice, quality: 33.3 })
  t.deepEqual(bytes, expected)
  t.deepEqual(await decodeTile(bytes, choice), await codec.decodeTile(bytes))
  // That of the package, which the default codec has, is another.
  await t.throwsAsync(decodeTile(bytes, { device: 'cpu' }), { code: 'ERR_MODEL_MISMATCH' })
})

test('or through one that is open, and stays so', async (t) => {
  using codec = await openCodec(choice)
  const bytes = await encodeTile(image, { codec })
  t.deepEqual(await decodeTile(bytes, { codec }), await codec.decodeTile(bytes))
})

test('arguments are checked before anything is opened', async (t) => {
  // Opening this one would fail with another error.
  const nowhere = { model: '/no/such/model' }
  const refused = async (call: Promise<unknown>, message: RegExp) => {
    const error = await t.throwsAsync(call, { message })
    t.true(error instanceof TypeError || error instanceof RangeError)
  }
  await refused(encodeTile(image, 5 as never), /^Expected an object for options but received 5 of type number$/)
  await refused(encodeTile(image, null as never), /^Expected an object for options but received null/)
  await refused(encodeTile(null as never, nowhere), /^Expected an image .* for image but received null/)
  await refused(encodeTile({ ...image, width: 1025 }, nowhere), /^Expected .* for image.width but received 1025/)
  await refused(encodeTile({ ...image, height: 2 }, nowhere), /^Expected .* for image.data/)
  await refused(encodeTile(image, { ...nowhere, quality: 101 }), /^Expected .* for quality but received 101/)
  await refused(encodeTile(image, { ...nowhere, signal: {} as never }), /^Expected an AbortSignal for signal/)
  await refused(encodeTile(image, { device: 'gpu' as never }), /^Expected one of .* for device but received "gpu"/)
  await refused(encodeTile(image, { codec: {} as never }), /^Expected an open codec for codec/)
  await refused(encodeTile(image, { codec: null as never }), /^Expected an open codec for codec/)
  await refused(decodeTile('CLRT' as never, nowhere), /^Expected a Uint8Array for bytes/)
  await refused(decodeTile(data, null as never), /^Expected an object for options but received null/)
  await refused(decodeTile(data, { codec: {} as never }), /^Expected an open codec for codec/)
  await refused(decodeTile(data, { device: 'cpu', adapter: 'any' }), /^Expected no adapter with device "cpu"/)
  await refused(openCodec(null as never), /^Expected an object for options but received null/)
  await refused(openCodec({ model: 5 as never }), /^Expected a non-empty string for model/)
  await t.throwsAsync(encodeTile(image, nowhere), { code: 'ENOENT' })
  // Once is not for ever.
  await t.throwsAsync(decodeTile(data, nowhere), { code: 'ENOENT' })
})

test('so are those of what opens a codec later', async (t) => {
  const device = { device: 'gpu' as 'cpu' }
  const wrong = { instanceOf: RangeError, message: /^Expected one of auto, webgpu, cpu for device/ }
  await t.throwsAsync(cleric.openArchive('/no/such/archive', device), wrong)
  await t.throwsAsync(cleric.compressSlide('/no/such/slide', '/no/such/folder/archive', device), wrong)
  await t.throwsAsync(cleric.exportSlide('/no/such/slide', '/no/such/folder/tiff', device), wrong)
  const geotiff = { addDecoder() {}, BaseDecoder: class {} }
  t.throws(() => cleric.registerWithGeotiff(geotiff, device), wrong)
})

test('shared memory may change as soon as a call is made, though the codec is yet to be opened', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-index-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  /** The same model under another name, which no codec is open for. */
  const unopened = (name: string) => {
    copyFileSync(model, join(folder, name))
    return { ...choice, model: join(folder, name) }
  }
  const pixels = new Uint8Array(new SharedArrayBuffer(data.length))
  pixels.set(data)
  const encoding = encodeTile({ ...image, data: pixels }, unopened('a'))
  pixels.fill(0)
  const expected = await encodeTile(image, choice)
  t.deepEqual(await encoding, expected)
  const bytes = new Uint8Array(new SharedArrayBuffer(expected.length))
  bytes.set(expected)
  const decoding = decodeTile(bytes, unopened('b'))
  bytes.fill(0)
  t.deepEqual(await decoding, await decodeTile(expected, choice))
})

test('an abort is heard while the codec is opened', async (t) => {
  const controller = new AbortController()
  const { signal } = controller
  // That it isn't there is found out later.
  const calls = [
    encodeTile(image, { model: '/no/such/model', signal }),
    decodeTile(data, { model: '/no/such/model', signal }),
  ]
  controller.abort()
  for (const call of calls) await t.throwsAsync(call, { code: 'ERR_ABORTED' })
})

test.serial(
  'when the device is lost the call after it opens another, though the lost one is still in use',
  async (t) => {
    t.timeout(120_000)
    const devices: GPUDevice[] = []
    const { open } = Device
    Device.open = async (...parameters) => {
      const device = await open.apply(Device, parameters)
      devices.push(device.gpu)
      return device
    }
    t.teardown(() => {
      Device.open = open
    })
    const gpu = { model, device: 'webgpu' } as const
    using loan = await lend(gpu)
    const expected = await encodeTile(image, gpu)
    t.is(devices.length, 1)
    devices[0]?.destroy() // as a driver might
    await devices[0]?.lost
    await t.throwsAsync(loan.codec.encodePayload(image, 60), { code: 'ERR_DEVICE_FAILED' })
    t.deepEqual(await encodeTile(image, gpu), expected)
    t.is(devices.length, 2)
  },
)

test('a program that has encoded a tile ends by itself, and its codec is closed', async (t) => {
  const script = `
    const { encodeTile } = await import('${new URL('../src/index.ts', import.meta.url)}')
    const { CpuBackend } = await import('${new URL('../src/cpu/backend.ts', import.meta.url)}')
    const { close } = CpuBackend.prototype
    CpuBackend.prototype.close = function () {
      console.log('closed')
      close.call(this)
    }
    const image = { data: new Uint8Array(300), width: 10, height: 10 }
    await encodeTile(image, { model: ${JSON.stringify(model)}, device: 'cpu' })
    console.log('encoded')`
  const argv = [TYPESCRIPT, '--input-type=module', '-e', script]
  // Less than the time after which an idle codec is closed.
  const { stdout } = await promisify(execFile)(process.execPath, argv, { timeout: 25_000 })
  t.is(stdout, 'encoded\nclosed\n')
})

test('the device that "auto" picks is one of those that are listed', async (t) => {
  t.timeout(60_000)
  const { auto, devices } = await cleric.listDevices()
  t.true(devices.some(({ name }) => name === auto))
})
