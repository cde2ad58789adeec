/** docs/api.md lists what the package exports: everything, and nothing else. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import * as cleric from '../src/index.js'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

/** The names that index.ts exports, types too. */
function exported(): string[] {
  const source = read('src/index.ts')
  const lists = [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = '']) => list.split(','))
  const declared = [...source.matchAll(/^export (?:async )?(?:function|interface|class|const|type) (\w+)/gm)].map(
    ([, name = '']) => name,
  )
  const listed = lists.map((entry) => entry.trim().replace(/^type /, '')).filter((entry) => entry !== '')
  return [...listed, ...declared].sort()
}

test('docs/api.md names everything that the package exports, and nothing else', (t) => {
  const [, section = ''] = /^## Exports\n(.*?)(?=^## )/ms.exec(read('docs/api.md')) ?? []
  const documented = [...section.matchAll(/`(\w+)(?:\([^`]*\))?`/g)].map(([, name = '']) => name)
  t.deepEqual(documented.sort(), exported())
})

test('the names of values that are listed are there when the program runs', (t) => {
  const values = Object.keys(cleric).sort()
  t.true(values.length > 15)
  t.deepEqual(
    values.filter((name) => !exported().includes(name)),
    [],
  )
})
