/** What scripts/setup asks apt for, on systems that have less than Debian. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const clone = mkdtempSync(join(tmpdir(), 'cleric-setup-'))
test.after.always(() => rmSync(clone, { recursive: true }))

test('a package that apt only knows from what others refer to is not asked for, and PyTorch may be missing', (t) => {
  for (const folder of ['scripts', 'bin']) mkdirSync(join(clone, folder))
  copyFileSync(fileURLToPath(new URL('../../scripts/setup', import.meta.url)), join(clone, 'scripts/setup'))
  const programs = {
    // Without any module.
    python: 'exit 1',
    // apt-cache of Ubuntu 24.04: no word of python3-torch, and no error.
    'apt-cache': 'case "$2" in python3-torch*) ;; *) echo "Package: $2" ;; esac',
    // Ends setup where it would install.
    'apt-get': 'case "$*" in *update*) ;; *) exit 1 ;; esac',
    sleep: '',
    id: 'echo 0',
  }
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(clone, 'bin', name), `#!/bin/sh\n${body}\n`)
    chmodSync(join(clone, 'bin', name), 0o755)
  }
  const { status, stderr } = spawnSync(join(clone, 'scripts/setup'), ['--test'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(clone, 'bin')}:${process.env.PATH}`, PYTHON: join(clone, 'bin/python') },
  })
  t.is(status, 1, stderr)
  t.regex(stderr, /no package python3-torch: the tests that need PyTorch are skipped/)
  const [, asked = ''] = /apt-get failed\. Install these, then run it again: (.*)/.exec(stderr) ?? []
  t.regex(asked, /python3-pytest python3-numpy/)
  t.notRegex(asked, /torch/)
  t.true(existsSync(join(clone, 'build/stamps/no-torch')), 'apt is not asked for it again')
})

test('an OpenSlide 4 that could not be made whole leaves nothing that the tests would run', (t) => {
  const copy = mkdtempSync(join(clone, 'openslide-'))
  for (const folder of ['scripts', 'bin']) mkdirSync(join(copy, folder))
  copyFileSync(fileURLToPath(new URL('../../scripts/openslide-4', import.meta.url)), join(copy, 'scripts/openslide-4'))
  // An archive of Debian that has the packages' names, and nothing in them.
  const programs = { 'apt-get': 'case "$1" in indextargets) echo "Debian http://mirror" ;; esac', patchelf: '' }
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(copy, 'bin', name), `#!/bin/sh\n${body}\n`)
    chmodSync(join(copy, 'bin', name), 0o755)
  }
  // As a run that was killed left it.
  mkdirSync(join(copy, 'build/openslide-4'), { recursive: true })
  writeFileSync(join(copy, 'build/openslide-4/node'), '')
  const { status, stderr } = spawnSync(join(copy, 'scripts/openslide-4'), [], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(copy, 'bin')}:${process.env.PATH}` },
  })
  t.is(status, 1)
  t.regex(stderr, /^openslide-4: (the packages of \w+ have no loader, or no OpenSlide|needs .*keyring)/m)
  t.false(existsSync(join(copy, 'build/openslide-4')))
})
