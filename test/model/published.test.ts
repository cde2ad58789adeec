/** The model that ships is what models/README.md says of it. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { DEFAULT_MODEL_FILE, parseModel } from '../../src/model/model.js'
import { readSafetensors } from '../../src/model/safetensors.js'

const bytes = readFileSync(DEFAULT_MODEL_FILE)
const page = readFileSync(new URL('../../models/README.md', import.meta.url), 'utf8')

test('its weights are packed, into less than 16 MB', (t) => {
  const { metadata, raw } = readSafetensors(bytes)
  t.is(metadata.format, 'cleric-model/3')
  t.true(bytes.length < 16e6, `${bytes.length} bytes`)
  const plain = [...raw].filter(([name]) => !name.startsWith('packed.'))
  const plainBytes = plain.reduce((sum, [, { length }]) => sum + length, 0)
  t.true(plainBytes < 0.05 * bytes.length, `${plainBytes} bytes are not packed`)
})

test('models/README.md has its name, size and hash, and where those before it are', async (t) => {
  const { name, hash } = await parseModel(bytes)
  const rows = Array.from(page.matchAll(/^\| `([0-9a-f]{16})` \| ([^|]+) \| ([^|]+) \|/gm), ([, id, what, from]) => {
    return { id, what, from }
  })
  t.true(rows.length > 1)
  t.is(rows[0]?.id, hash.slice(0, 16))
  t.true(page.startsWith(`# ${name}\n`))
  t.true(page.includes(`${(bytes.length / 1e6).toFixed(1)} MB`))
  for (const { from } of rows.slice(1)) t.regex(`${from}`, /^`git show [0-9a-f]{7}:models\/cleric-s\.safetensors/)
})
