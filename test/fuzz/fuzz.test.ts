/** A short run of every target; `npm run fuzz` and `scripts/fuzz-native` run them for longer. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { CorruptDataError } from '../../src/errors.js'
import { Finding, fuzz, type Target } from './fuzz.js'
import { drawer, mutated } from './mutate.js'
import { TARGETS } from './targets.js'

const SEED = 20_261_127
/** Processor time of each target. */
const MOST_MS = 1500
const MOST_EXECUTIONS = 2000

for (const [name, target] of Object.entries(TARGETS)) {
  test.serial(`${name}: changed inputs are taken or refused with a code`, async (t) => {
    let started: NodeJS.CpuUsage | null = null
    const found = await fuzz(target, SEED, (executions) => {
      started ??= process.cpuUsage()
      const { user, system } = process.cpuUsage(started)
      return executions >= MOST_EXECUTIONS || (user + system) / 1000 > MOST_MS
    })
    t.log(`${found.executions} executions, ${found.sound} taken, slowest ${found.slowestMs.toFixed(1)} ms`)
    t.true(found.executions > 10)
  })
}

const faulty = (parse: Target['parse']): Target => ({
  codes: /^ERR_CORRUPT_TILE$/,
  covers: [],
  seeds: async () => [Uint8Array.of(1, 2, 3, 4)],
  parse,
})

test('a parser that fails without its code, or hangs, is found', async (t) => {
  const after = (most: number) => (executions: number) => executions === most
  const wrong = faulty((bytes) => {
    if (bytes.length > 4) throw new RangeError('beyond')
  })
  const { message } = await t.throwsAsync(fuzz(wrong, 1, after(100_000)), { instanceOf: Finding })
  t.regex(message, /RangeError: beyond\ninput, \d+ bytes in base64: /)
  const coded = faulty(() => {
    throw new CorruptDataError('ERR_CORRUPT_TILE', 'bad')
  })
  t.is((await fuzz(coded, 1, after(100))).sound, 0)
  const slow = faulty((bytes) => {
    const { user } = process.cpuUsage()
    // To ask for the time takes the system longer than the program, if it does nothing else.
    while (bytes.length > 4 && process.cpuUsage().user - user < 1.1e6) for (let i = 0; i < 1e6; i++) Math.sqrt(i)
  })
  await t.throwsAsync(fuzz(slow, 1, after(100_000)), { instanceOf: Finding, message: /takes \d+/ })
})

test('changes follow from the seed, and reach every kind', (t) => {
  const inputs = [Uint8Array.from({ length: 40 }, (_, i) => i), Uint8Array.of(200, 201)]
  const run = (seed: number) => {
    const draw = drawer(seed)
    return Array.from({ length: 300 }, () => [...mutated(inputs, draw, 60)])
  }
  t.deepEqual(run(5), run(5))
  t.notDeepEqual(run(5), run(6))
  const lengths = new Set(run(5).map(({ length }) => length))
  t.true(lengths.size > 20 && Math.max(...lengths) <= 60)
})

test.serial("the addon's C++ under sanitizers", async (t) => {
  const script = fileURLToPath(new URL('../../scripts/fuzz-native', import.meta.url))
  const { stdout } = await promisify(execFile)(script, ['smoke'])
  const lines = stdout.trim().split('\n')
  for (const line of lines) t.log(line)
  t.is(lines.length, 5)
  t.true(lines.every((line) => /: 5000 executions in /.test(line)))
})
