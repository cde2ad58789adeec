/** What TypeScript and C++ number alike in plans, and an addon that doesn't. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { NUMBERING } from '../../src/cpu/flatten.js'
import { addon } from '../../src/native/addon.js'
import { TYPESCRIPT } from '../typescript.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const file = process.env.CLERIC_ADDON || `${root}build/Release/cleric.node`

test('the addon has the names of this side, in its order', (t) => {
  t.deepEqual(addon().cpuNumbering?.(), NUMBERING)
  t.is(NUMBERING.operations.length, new Set(NUMBERING.operations).size)
})

test('an addon of another version is refused by its code, with the command that mends it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'cleric-NUMBERING-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const changes = [
    ['', ''],
    ['operations', 'made.operations.splice(3, 2, made.operations[4], made.operations[3])'],
    ['halves', 'delete made.halves'],
    ['operations', 'made = undefined'],
  ] as const
  const script = `import { openCpu } from './src/cpu/backend.ts'
    try { (await openCpu()).close(); console.log('[]') }
    catch (error) { console.log(JSON.stringify([error.name, error.code, error.message])) }`
  for (const [kind, change] of changes) {
    const path = join(folder, 'other.cjs')
    await writeFile(
      path,
      `const addon = require(${JSON.stringify(file)})
       let made = addon.cpuNumbering()
       ${change}
       module.exports = { ...addon, cpuNumbering: made && (() => made) }`,
    )
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [TYPESCRIPT, '--input-type=module', '--eval', script],
      { cwd: root, env: { ...process.env, CLERIC_ADDON: path } },
    )
    const [name, code, message] = JSON.parse(stdout) as string[]
    if (kind === '') {
      t.is(name, undefined)
    } else {
      t.deepEqual([name, code], ['ClericError', 'ERR_ADDON_MISMATCH'])
      t.regex(message ?? '', new RegExp(`its ${kind} differ.*npm run build:addon`))
    }
  }
})
