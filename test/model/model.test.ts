/** Model files that are damaged, of another format, or don't fit together: each is refused by name. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { parseModel } from '../../src/model/model.js'
import { nanoModelFile } from '../network/golden.js'

const nano = readFileSync(nanoModelFile)

interface Header {
  __metadata__: Record<string, string>
  [tensor: string]: Record<string, unknown>
}

/** The nano model with its header changed; the hash covers configuration and data only. */
function changed(change: (header: Header) => void): Buffer {
  const length = Number(nano.readBigUInt64LE(0))
  const header = JSON.parse(nano.subarray(8, 8 + length).toString()) as Header
  change(header)
  const json = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([size, json, nano.subarray(8 + length)])
}

test('a sound file is read', (t) => {
  const model = parseModel(changed(() => {}))
  t.is(model.config.preset, 'nano')
  t.is(model.yTables.offset.length, 64)
  t.is(model.zTables.offset.length, model.config.Z)
})

test('any changed byte of the data or the configuration is noticed', (t) => {
  for (const at of [nano.length - 1, nano.length >> 1]) {
    const bytes = Buffer.from(nano)
    bytes[at] = (bytes[at] as number) ^ 1
    t.throws(() => parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message: /is damaged/ })
  }
  const config = changed(({ __metadata__ }) => {
    __metadata__.config = String(__metadata__.config).replace('"iters":2', '"iters":3')
  })
  t.throws(() => parseModel(config), { code: 'ERR_MODEL_CORRUPT', message: /is damaged/ })
})

test('other formats are refused, later ones as unsupported', (t) => {
  const format = (name: string) =>
    changed(({ __metadata__ }) => {
      __metadata__.format = name
    })
  t.throws(() => parseModel(format('cleric-model/2')), { code: 'ERR_MODEL_UNSUPPORTED' })
  t.throws(() => parseModel(format('pt')), { code: 'ERR_MODEL_CORRUPT', message: /Not a cleric model/ })
})

test('gains that do not fit the configuration are refused', (t) => {
  for (const name of ['log_gain', 'log_inv']) {
    const bytes = changed((header) => {
      header[name] = { ...header[name], shape: [1, 256] }
    })
    const message = `Parameter ${name} has shape [1, 256], which does not fit [8, 32]`
    t.throws(() => parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message })
  }
})

test('a file without its tables or scales is refused', (t) => {
  for (const name of ['scales', 'cdf.y.size', 'cdf.z.values']) {
    const bytes = changed((header) => {
      delete header[name]
    })
    t.throws(() => parseModel(bytes), { code: 'ERR_MODEL_CORRUPT', message: /lacks/ }, name)
  }
})
