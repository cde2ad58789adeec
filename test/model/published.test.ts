/** The model that ships is what models/README.md says of it. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { DEFAULT_MODEL_FILE, parseModel } from '../../src/model/model.js'

const bytes = readFileSync(DEFAULT_MODEL_FILE)
const page = readFileSync(new URL('../../models/README.md', import.meta.url), 'utf8')

test('models/README.md has its name and hash, and where those before it are', async (t) => {
  const { name, hash } = await parseModel(bytes)
  const rows = Array.from(page.matchAll(/^\| `([0-9a-f]{16})` \| ([^|]+) \| ([^|]+) \|/gm), ([, id, what, from]) => {
    return { id, what, from }
  })
  t.true(rows.length > 1)
  t.is(rows[0]?.id, hash.slice(0, 16))
  t.true(page.startsWith(`# ${name}\n`))
  for (const { from } of rows.slice(1)) t.regex(`${from}`, /^`git show [0-9a-f]{7}:models\/cleric-s\.safetensors/)
})
