/** The rooms of native/, and which of them each may include: arrows lead one way only. */
import { readdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const native = fileURLToPath(new URL('../../native/', import.meta.url))
const arrows: Readonly<Record<string, readonly string[]>> = {
  node: ['entropy', 'slide', 'cpu/graph', 'cpu/steps'],
  entropy: [],
  slide: [],
  'cpu/graph': ['cpu/steps', 'cpu/kernels'],
  'cpu/steps': ['cpu/kernels'],
  'cpu/kernels': [],
  test: ['entropy', 'cpu/graph'],
  'test/fuzz': ['entropy', 'cpu/graph'],
}

test('a room includes what it may, and only node knows of JavaScript', async (t) => {
  const files = (await readdir(native, { recursive: true })).filter((name) => /\.(h|cc)$/.test(name))
  const found = new Set(files.map((file) => dirname(file)))
  t.deepEqual([...found].sort(), Object.keys(arrows).sort())
  for (const file of files) {
    const room = dirname(file)
    const text = await readFile(`${native}${file}`, 'utf8')
    for (const [, included = ''] of text.matchAll(/^#include "(.*)"/gm)) {
      t.true(files.includes(included), `${file} includes ${included} by its path from native/`)
      const to = dirname(included)
      t.true(to === room || arrows[room]?.includes(to), `${file} includes ${included}`)
    }
    t.is(/<(napi|node_api|js_native_api)\.h>/.test(text), file === 'node/binding.h', `${file} and JavaScript`)
  }
})
