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
