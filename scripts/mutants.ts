/**
 * Changes a source file in every small way that Stryker knows (a mutant each), and tells which changes none of its
 * tests notices. Each mutant is a run of those tests, so this takes minutes a file; it isn't part of `npm test`.
 * Stryker comes by npx: it is too large to be installed by all for what few run.
 *
 *     npm run test:mutants                              all the files below
 *     npm run test:mutants -- src/compress/plan.ts      some of them
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** The last major version that runs on Node 20. */
const STRYKER = '@stryker-mutator/core@9.6.1'

/** Source files, and the quick tests that should notice any change of them, as AVA is told them. */
const TESTS: Readonly<Record<string, string>> = {
  'src/archive/archive-level.ts': 'test/archive/tile-window.test.ts',
  'src/archive/checks-window.ts': 'test/server/tile-checks.test.ts',
  'src/archive/head-reader.ts': "test/archive/hostile.test.ts -m '!a*change*'",
  'src/archive/listed.ts': 'test/archive/listed.test.ts',
  'src/archive/no-sharing.ts': "test/archive/hostile.test.ts -m '!a*change*'",
  'src/archive/parts.ts': 'test/archive/parts.test.ts',
  'src/archive/tile-checks.ts': "test/archive/checks.test.ts -m 'a summary*' -m 'a check is two*'",
  'src/archive/tile-window.ts': 'test/archive/tile-window.test.ts',
  'src/archive/validate.ts':
    "test/archive/listed.test.ts test/archive/integrity.test.ts -m 'what is bad*' -m 'quick names*' -m 'bytes that*'",
  'src/image/jpeg-scans.ts': 'test/image/jpeg-scans.test.ts',
  'src/image/tile-cache.ts': 'test/image/tile-cache.test.ts',
  'src/codec/bitstream.ts': 'test/codec/bitstream.test.ts',
  'src/codec/coding-order.ts': 'test/codec/bitstream.test.ts',
  'src/codec/default-codec.ts': 'test/codec/default-codec.test.ts',
  'src/codec/gain.ts': 'test/codec/gain.test.ts',
  'src/codec/palette.ts': 'test/codec/classic.test.ts',
  'src/compress/blank.ts': 'test/compress/blank.test.ts',
  'src/compress/journal.ts': 'test/compress/journal.test.ts',
  'src/compress/padding.ts': 'test/compress/padding.test.ts',
  'src/compress/plan.ts': 'test/compress/plan.test.ts',
  'src/concurrency/abort.ts': 'test/concurrency/abort.test.ts',
  'src/concurrency/turns.ts': 'test/concurrency/turns.test.ts',
  'src/export/head.ts': 'test/export/head.test.ts',
  'src/export/pyramid.ts': 'test/export/pyramid.test.ts',
  'src/export/read-back.ts': 'test/export/read-back.test.ts',
  'src/export/reducer.ts': 'test/export/reducer.test.ts',
  'src/server/library.ts': 'test/server/library.test.ts',
  'src/server/iiif.ts': 'test/server/iiif-address.test.ts',
  'src/slide/identity.ts': 'test/slide/harmless.test.ts',
  'src/slide/level-grid.ts': 'test/slide/level-grid.test.ts',
}

const { positionals } = parseArgs({ allowPositionals: true })
const root = fileURLToPath(new URL('..', import.meta.url))
let failed = false
for (const file of positionals.length > 0 ? positionals : Object.keys(TESTS)) {
  const tests = TESTS[file]
  if (tests === undefined) throw new Error(`Expected one of ${Object.keys(TESTS).join(', ')} but received ${file}`)
  const argv = ['--yes', '--package', STRYKER, 'stryker', 'run', 'scripts/mutants.config.mjs']
  const env = { ...process.env, MUTATE: file, MUTANT_TESTS: tests }
  const { status } = spawnSync('npx', argv, { cwd: root, env, stdio: 'inherit' })
  if (status !== 0) failed = true
}
process.exitCode = failed ? 1 : 0
