/** Folders are made with those above them, and what can't be made is an error that comes. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { makeFolder } from '../../src/files/make-folder.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-folders-'))
test.after.always(() => rmSync(folder, { recursive: true }))

test('a folder and those above it, which may be there, also when several ask at once', async (t) => {
  const deep = join(folder, 'a', 'b', 'c')
  await Promise.all([deep, join(deep, 'd'), deep, join(folder, 'a')].map(makeFolder))
  await makeFolder(`${deep}/`)
  t.true(statSync(join(deep, 'd')).isDirectory())
})

test('what has the name of a file, or would be below one, is refused', async (t) => {
  const file = join(folder, 'file')
  writeFileSync(file, '')
  await t.throwsAsync(makeFolder(file), { code: 'EEXIST' })
  await t.throwsAsync(makeFolder(join(file, 'x', 'y')), { code: 'ENOTDIR' })
})

const hasProc = process.platform === 'linux'
const testProc = hasProc ? test : test.skip
testProc('a file system that says that something is missing where nothing is ends it', async (t) => {
  await t.throwsAsync(makeFolder('/proc/cleric'), { code: 'ENOENT' })
  await t.throwsAsync(makeFolder('/proc/cleric/a/b'), { code: 'ENOENT' })
})
