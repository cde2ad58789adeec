/** What a set-up clone does after it was moved or copied. */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))
const script = join(root, 'scripts', 'wipe-moved-build.mjs')

/** A clone whose build folder CMake made at `configuredAt`; what is left of the folder after the script ran. */
function wipe(clone: string, configuredAt: string, cwd = clone): { kept: boolean; stderr: string } {
  const build = join(clone, 'build')
  mkdirSync(build, { recursive: true })
  writeFileSync(
    join(build, 'CMakeCache.txt'),
    `# a cache\nCMAKE_CACHEFILE_DIR:INTERNAL=${configuredAt}\nOTHER:STRING=1\n`,
  )
  const { status, stderr } = spawnSync(process.execPath, [script], { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return { kept: existsSync(build), stderr }
}

function folder(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), 'cleric-moved-')))
}

test('a build folder that was made here is kept, by whichever path one came', (t) => {
  const clone = folder()
  t.true(wipe(clone, join(clone, 'build')).kept)
  const link = `${clone}-link`
  symlinkSync(clone, link)
  t.true(wipe(clone, join(clone, 'build'), link).kept)
  t.true(wipe(clone, join(link, 'build')).kept)
  rmSync(link)
  rmSync(clone, { recursive: true })
})

test('a build folder of a clone that was moved is removed, with a word', (t) => {
  const clone = folder()
  const { kept, stderr } = wipe(clone, '/nowhere/cleric/build')
  t.false(kept)
  t.regex(stderr, /made at \/nowhere\/cleric\/build/)
  rmSync(clone, { recursive: true })
})

test('a build folder of a clone that was copied is removed, and the first one stays', (t) => {
  const [first, second] = [folder(), folder()]
  t.true(wipe(first, join(first, 'build')).kept)
  t.false(wipe(second, join(first, 'build')).kept)
  t.true(existsSync(join(first, 'build')))
  for (const clone of [first, second]) rmSync(clone, { recursive: true })
})

test('a folder that CMake has not made is left alone', (t) => {
  const clone = folder()
  mkdirSync(join(clone, 'build', 'demo'), { recursive: true })
  t.is(spawnSync(process.execPath, [script], { cwd: clone }).status, 0)
  t.true(existsSync(join(clone, 'build', 'demo')))
  rmSync(clone, { recursive: true })
})

test('the clone has its own command in node_modules, so that nothing needs installing to run it', (t) => {
  const command = join(root, 'node_modules', '.bin', 'cleric')
  t.is(realpathSync(command), join(realpathSync(root), 'dist', 'cli', 'start.cjs'))
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  t.is(spawnSync(command, ['--version'], { encoding: 'utf8' }).stdout.trim(), version)
})
