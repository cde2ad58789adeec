/** The documents list what the package exports: everything, and nothing else. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import * as cleric from '../src/index.js'
import type { Decoder } from '../src/web/index.js'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

/** The names that a module exports, types too. */
function exported(path: string): string[] {
  const source = read(path)
  const lists = [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = '']) => list.split(','))
  const declared = [...source.matchAll(/^export (?:async )?(?:function|interface|class|const|type) (\w+)/gm)].map(
    ([, name = '']) => name,
  )
  const listed = lists.map((entry) => entry.trim().replace(/^type /, '')).filter((entry) => entry !== '')
  return [...listed, ...declared].sort()
}

for (const [document, source, entry] of [
  ['docs/api.md', 'src/index.ts', 'cleric'],
  ['docs/web.md', 'src/web/index.ts', 'cleric/web'],
] as const) {
  test(`${document} names everything that ${entry} exports, and nothing else`, (t) => {
    const [, section = ''] = /^## Exports\n(.*?)(?=^## )/ms.exec(read(document)) ?? []
    const documented = [...section.matchAll(/`(\w+)(?:\([^`]*\))?`/g)].map(([, name = '']) => name)
    t.true(documented.length > 15)
    t.deepEqual(documented.sort(), exported(source))
  })
}

test('the names of values that are listed are there when the program runs', (t) => {
  const values = Object.keys(cleric).sort()
  const listed = exported('src/index.ts')
  t.true(values.length > 15)
  t.deepEqual(
    values.filter((name) => !listed.includes(name)),
    [],
  )
})

test('the codec of browsers has nothing that makes tiles', (t) => {
  // What is checked here the compiler checks.
  type Makes = Extract<keyof Decoder, `encode${string}${'Tile' | 'Payload'}` | `encode${'Tile' | 'Payload'}`>
  const none: [Makes] extends [never] ? true : Makes = true
  t.true(none)
})
