/** Model files that are damaged, of another format, or don't fit together: each is refused by name. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { openCodec } from '../../src/codec/codec.js'
import { modelHash, parseModel, readModelFile } from '../../src/model/model.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { parseConfig } from '../../src/network/config.js'
import { nanoModelFile } from '../network/golden.js'
import { seededRandom } from '../seeded-random.js'
import { plainFile, safetensorsFile, sealed, sealedFile, storedOf, withHeader } from './model-files.js'

const packed = readFileSync(nanoModelFile)
const logical = await readModelFile(packed)
/** The same model in a file of version 2. */
const nano = plainFile(logical)

interface Header {
  __metadata__: Record<string, string>
  [tensor: string]: Record<string, unknown>
}

/** The nano model with its header changed and, unless `rehash` is false, the hash to match. */
function changed(change: (header: Header) => void, rehash = true): Buffer {
  const length = Number(nano.readBigUInt64LE(0))
  const header = JSON.parse(nano.subarray(8, 8 + length).toString()) as Header
  change(header)
  const file = () => withHeader(header, nano.subarray(8 + length))
  const { __metadata__: metadata } = header
  if (rehash) metadata.hash = modelHash(String(metadata.config), readSafetensors(file()))
  return file()
}

test('a sound file is read', async (t) => {
  const model = await parseModel(changed(() => {}))
  t.is(model.config.preset, 'nano')
  t.is(model.yTables.offset.length, 64)
  t.is(model.zTables.offset.length, model.config.Z)
})

test('the width at 1/8 of the resolution is N unless the configuration says otherwise', async (t) => {
  const { config } = await parseModel(nano)
  t.is(config.deep, config.N)
  const withDeep = (deep: string) => {
    const { __metadata__: metadata } = JSON.parse(nano.subarray(8, 8 + Number(nano.readBigUInt64LE(0))).toString())
    return String(metadata.config).replace('"N":16', `"N":16,"deep":${deep}`)
  }
  t.deepEqual(parseConfig(withDeep('32')), { ...config, deep: 32 })
  t.deepEqual(parseConfig(withDeep('16')), config)
  for (const deep of ['0', '-32', '32.5', '4097', '1e999', '"32"', 'null', 'true', '[32]']) {
    const message = /^The model configuration has a bad deep: /
    t.throws(() => parseConfig(withDeep(deep)), { code: 'ERR_MODEL_CORRUPT', message }, deep)
  }
})

/** The nano model's configuration, with other fields. */
function parsed(fields: object) {
  const { __metadata__: metadata } = JSON.parse(nano.subarray(8, 8 + Number(nano.readBigUInt64LE(0))).toString())
  return parseConfig(JSON.stringify({ ...JSON.parse(metadata.config), ...fields }))
}

test('a configuration that says more than is known is of another network: refused, as its weights would make other pixels', (t) => {
  for (const fields of [{ hyper: 16 }, { taper: true }, { deep: 20 }]) t.notThrows(() => parsed(fields))
  for (const name of ['shortcuts', 'ENDS', '__proto__', 'x'.repeat(1000)]) {
    const message = `The model configuration has "${name.slice(0, 80)}", which this version of cleric doesn't know: a later one may`
    const expected = { code: 'ERR_MODEL_UNSUPPORTED', message }
    t.throws(() => parsed({ [name]: true }), expected, name)
  }
})

test('the lifting has weights of its own at the ends where the configuration says so, and where it is there', async (t) => {
  const { config } = await parseModel(nano)
  t.false('ends' in config)
  for (const ends of [true, false]) t.deepEqual(parsed({ ends }), { ...config, ends })
  t.false(parsed({ ends: false, ls: false }).ends)
  const expected = { code: 'ERR_MODEL_CORRUPT', message: /^The model configuration has a bad ends: / }
  for (const ends of [1, 'true', null, [true]]) t.throws(() => parsed({ ends }), expected, JSON.stringify(ends))
  t.throws(() => parsed({ ends: true, ls: false }), expected)
})

test('any changed byte of the data or the configuration is noticed', async (t) => {
  for (const at of [nano.length - 1, nano.length >> 1]) {
    const bytes = Buffer.from(nano)
    bytes[at] = (bytes[at] as number) ^ 1
    await t.throwsAsync(parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message: /is damaged/ })
  }
  const config = changed(({ __metadata__ }) => {
    __metadata__.config = String(__metadata__.config).replace('"iters":2', '"iters":3')
  }, false)
  await t.throwsAsync(parseModel(config), { code: 'ERR_MODEL_CORRUPT', message: /is damaged/ })
})

test('two tensors that change places are noticed', async (t) => {
  const swapped = changed((header) => {
    const { log_gain: gain, log_inv: inverse } = header
    Object.assign(header, { log_gain: inverse, log_inv: gain })
  }, false)
  await t.throwsAsync(parseModel(swapped), { code: 'ERR_MODEL_CORRUPT', message: /is damaged/ })
})

test('a weight that is not finite is refused', async (t) => {
  const bytes = changed((header) => {
    header.log_gain = { ...header.log_gain, data_offsets: [0, 512] }
  })
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  bytes.writeUInt16LE(0x7c00, start)
  const length = start - 8
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Header
  header.__metadata__.hash = modelHash(String(header.__metadata__.config), readSafetensors(bytes))
  bytes.write(JSON.stringify(header).padEnd(length), 8)
  await t.throwsAsync(parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message: /log_gain is not finite/ })
})

test('other formats are refused, other versions as unsupported', async (t) => {
  const format = (name: string) =>
    changed(({ __metadata__ }) => {
      __metadata__.format = name
    })
  for (const version of ['cleric-model/1', 'cleric-model/4']) {
    await t.throwsAsync(parseModel(format(version)), { code: 'ERR_MODEL_UNSUPPORTED' })
  }
  await t.throwsAsync(parseModel(format('pt')), { code: 'ERR_MODEL_CORRUPT', message: /Not a cleric model/ })
})

test('gains that do not fit the configuration are refused', async (t) => {
  for (const name of ['log_gain', 'log_inv']) {
    const bytes = changed((header) => {
      header[name] = { ...header[name], shape: [1, 256] }
    })
    const message = `Parameter ${name} has shape [1, 256], which does not fit [8, 32]`
    await t.throwsAsync(parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message })
  }
})

test('a tensor of a wrong shape is refused when the codec is opened', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cleric-model-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'misfit.safetensors')
  const bytes = changed((header) => {
    const weight = header['g_a.low.0.conv1.weight'] as { shape: number[] }
    const [outputs = 0, inputs = 0, ...kernel] = weight.shape
    t.not(outputs, inputs)
    weight.shape = [inputs, outputs, ...kernel]
  })
  await writeFile(file, bytes)
  await t.throwsAsync(openCodec({ model: file, device: 'cpu' }), {
    code: 'ERR_MODEL_CORRUPT',
    message: /^Parameter g_a\.low\.0\.conv1\.weight has shape/,
  })
})

test('parameters are got as what they are', async (t) => {
  const { parameters } = await parseModel(nano)
  t.true(parameters.get('log_gain').data instanceof Float32Array)
  t.true(parameters.integers('h_s.net.0.weight').data instanceof Int32Array)
  t.throws(() => parameters.get('h_s.net.0.weight'), { code: 'ERR_MODEL_CORRUPT', message: /no float tensor/ })
  t.throws(() => parameters.integers('log_gain'), { code: 'ERR_MODEL_CORRUPT', message: /no integer tensor/ })
  t.throws(() => parameters.integers('toString'), { code: 'ERR_MODEL_CORRUPT', message: /no integer tensor/ })
})

test('a file without its tables is refused', async (t) => {
  for (const name of ['cdf.y.size', 'cdf.z.values']) {
    const bytes = changed((header) => {
      delete header[name]
    })
    await t.throwsAsync(parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message: /lacks/ }, name)
  }
})

test('files of before, whose weights are plain, are the same model', async (t) => {
  const [old, now] = [await parseModel(nano), await parseModel(packed)]
  t.is(old.hash, now.hash)
  t.true(nano.length > packed.length)
  t.deepEqual(old.config, now.config)
  t.deepEqual(old.yTables, now.yTables)
  for (const [name, { data }] of logical.tensors) {
    const of = ({ parameters }: typeof old) =>
      data instanceof Float32Array ? parameters.get(name) : parameters.integers(name)
    t.deepEqual(of(old), of(now), name)
  }
  const fixture = readFileSync(new URL('../fixtures/tiny-no-ls.safetensors', import.meta.url))
  t.is(readSafetensors(fixture).metadata.format, 'cleric-model/2')
  t.is((await parseModel(fixture)).config.preset, 'tiny')
})

test('the weights of the nano model are packed', (t) => {
  const file = readSafetensors(packed)
  t.is(file.metadata.format, 'cleric-model/3')
  t.false(file.tensors.has('h_s.net.0.weight'))
  t.true(logical.tensors.has('h_s.net.0.weight'))
})

test('any changed byte of a packed file is noticed', async (t) => {
  const random = seededRandom(3)
  const header = 8 + Number(packed.readBigUInt64LE(0))
  const ends = Array.from({ length: 100 }, (_, i) => (i < 50 ? i : packed.length - 1 - (i - 50)))
  const inHeader = Array.from({ length: 150 }, () => Math.floor(random() * header))
  const inData = Array.from({ length: 250 }, () => header + Math.floor(random() * (packed.length - header)))
  for (const at of [...ends, ...inHeader, ...inData]) {
    const bytes = Buffer.from(packed)
    bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random() * 8))
    const error = await t.throwsAsync(parseModel(bytes), undefined, `byte ${at}`)
    t.regex((error as { code?: string }).code ?? '', /^ERR_MODEL_(CORRUPT|UNSUPPORTED)$/, `byte ${at}: ${error}`)
  }
  for (const length of [0, 7, 100, header, packed.length - 33, packed.length - 1]) {
    await t.throwsAsync(parseModel(packed.subarray(0, length)), { code: 'ERR_MODEL_CORRUPT' }, `${length} bytes`)
  }
  await t.throwsAsync(parseModel(Buffer.concat([packed, Buffer.of(0)])), { code: 'ERR_MODEL_CORRUPT' })
})

test('changed weights are noticed even where the checksum is right', async (t) => {
  const random = seededRandom(4)
  const file = readSafetensors(packed)
  const streams = file.raw.get('packed.streams') as Uint8Array
  const first = streams.byteOffset - packed.byteOffset
  for (let round = 0; round < 60; round++) {
    const bytes = Buffer.from(packed)
    const at = first + Math.floor(random() * streams.length)
    bytes[at] = (bytes[at] as number) ^ (1 + Math.floor(random() * 255))
    await t.throwsAsync(parseModel(sealed(bytes)), { code: 'ERR_MODEL_CORRUPT' }, `byte ${at}`)
  }
  const tensors = storedOf(file)
  tensors.delete('~checksum')
  const { metadata } = file
  const whole = await parseModel(sealedFile(metadata, tensors, logical))
  t.is(whole.hash, `${metadata.hash}`)
  // A checksum that isn't at the end, and none.
  const checksum = storedOf(file).get('~checksum')
  if (!checksum) throw new Error('no checksum')
  const early = safetensorsFile(metadata, new Map([['~checksum', checksum], ...tensors]))
  for (const bytes of [early, sealed(early), safetensorsFile(metadata, tensors)]) {
    await t.throwsAsync(parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message: /is damaged/ })
  }
})
