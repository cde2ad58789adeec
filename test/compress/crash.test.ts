/** Runs that are killed, and runs that meet a full disk, as users start them: from the command line. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { seededRandom } from '../seeded-random.js'
import { crashTest } from './crash.js'

const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'cleric-crash-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const local = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const MODEL = ['--model', local('test/fixtures/nano.safetensors'), '--device', 'cpu']

test.serial('runs that are killed at random moments resume to the same bytes', async (t) => {
  t.timeout(280_000)
  const rounds = await crashTest({
    slide: 'synthetic:300x240:2',
    output: join(folder, 'killed.cleric.tif'),
    options: [...MODEL, '--tile', '64'],
    kills: 5,
    random: seededRandom(Date.now()),
    onRound: (round) => t.log(JSON.stringify(round)),
  })
  t.true(rounds.every(({ isEqual }) => isEqual))
})

test.serial('a full disk is a clear error that leaves the journal; with room the run goes on', async (t) => {
  t.timeout(280_000)
  const [whole, output] = [join(folder, 'whole.cleric.tif'), join(folder, 'full.cleric.tif')]
  const command = (path: string, ...more: string[]) => {
    const slide = [
      'compress',
      'synthetic:300x240:2',
      '-o',
      path,
      '--json',
      '--quiet',
      ...MODEL,
      '--tile',
      '64',
      ...more,
    ]
    return [process.execPath, local('dist/cli/main.js'), ...slide]
  }
  const limited = (kilobytes: number, argv: readonly string[]) =>
    execute('bash', ['-c', `ulimit -f ${kilobytes} && exec "$@"`, 'bash', ...argv], { cwd: local('') })
  const [node, ...argv] = command(whole)
  await execute(node as string, argv, { cwd: local('') })
  const bytes = readFileSync(whole)
  // Files may grow to about a half of what is needed.
  const half = Math.floor(bytes.length / 2048)
  const failure = await t.throwsAsync(limited(half, command(output)))
  const { code, stderr, stdout } = failure as unknown as { code: number; stderr: string; stdout: string }
  t.is(code, 1)
  t.is(JSON.parse(stdout).error.code, 'ERR_DISK_FULL')
  t.regex(stderr, /^cleric compress: .*full\.cleric\.tif\.partial can't grow beyond byte \d+: .*EFBIG.*--resume\n$/)
  t.false(existsSync(output))
  t.true(existsSync(`${output}.journal`))
  // Still no room: nothing is lost by trying.
  await t.throwsAsync(limited(half, command(output, '--resume')))
  const [, ...again] = command(output, '--resume')
  const result = JSON.parse((await execute(node as string, again, { cwd: local('') })).stdout)
  t.true(result.resumedTiles > 5, `${result.resumedTiles}`)
  t.true(readFileSync(output).equals(bytes))
})
