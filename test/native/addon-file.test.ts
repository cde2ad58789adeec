/** Which file the addon is loaded from, and what is said where none can be. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { howToBuild, loadAddonFile } from '../../src/native/addon-file.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-addon-file-'))
test.after.always(() => rmSync(folder, { recursive: true }))

function module(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

test('the first that loads is taken, and those after it are not touched', (t) => {
  const own = module('own.cjs', 'exports.name = "own"')
  const second = module('second.cjs', 'throw new Error("loaded")')
  t.like(loadAddonFile([own, second]), { file: own, exports: { name: 'own' } })
})

test('one that can not be loaded gives way to the next', (t) => {
  const unfit = module('unfit.cjs', "throw new Error('version `GLIBC_2.99\\' not found')")
  const own = module('built.cjs', 'exports.name = "built"')
  t.like(loadAddonFile(['@cleric/no-such-platform', unfit, own]), { file: own, exports: { name: 'built' } })
})

test('where none loads, the reason of each is said, and how to build one', (t) => {
  const unfit = module('unfit-too.cjs', "throw new Error('version `GLIBC_2.99\\' not found\\nrequired by ...')")
  const error = t.throws(() => loadAddonFile(['@cleric/no-such-platform', unfit]))
  t.like(error, { code: 'ERR_ADDON_MISSING' })
  t.regex(error.message, /^Can't load the native addon for \w+-\w+, Node v[\d.]+: .*'@cleric\/no-such-platform'; /)
  t.regex(error.message, /GLIBC_2\.99' not found\. Build it with `npm run build:addon` \(needs a C\+\+20 compiler/)
  t.regex(howToBuild('Do it'), /^Do it with /)
})
