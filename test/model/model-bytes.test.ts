import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { openCodec } from '../../src/codec/codec.js'
import { DEFAULT_MODEL_FILE, modelBytes, modelPath } from '../../src/model/model-bytes.js'

test('a name means a file of the package, anything else a file', async (t) => {
  t.is(modelPath('s'), fileURLToPath(DEFAULT_MODEL_FILE))
  t.is(modelPath('./s'), resolve('s'))
  t.is(modelPath('models/../old.safetensors'), resolve('old.safetensors'))
  t.true((await readFile(DEFAULT_MODEL_FILE)).equals(await modelBytes('s')))
})

test('a model without published weights is named, with where to look', async (t) => {
  const message = /^Model m is not here: there is no .*cleric-m\.safetensors.*models\/README\.md/
  await t.throwsAsync(openCodec({ model: 'm', device: 'cpu' }), { code: 'ERR_MODEL_MISSING', message })
  await t.throwsAsync(openCodec({ model: './m', device: 'cpu' }), { code: 'ENOENT' })
})
