/**
 * Runs every check of the repository: lint, types, ava, pytest. The last line is
 * "N passed, N failed, N skipped", summed over both test runners; lint and types
 * count as one failed test each if they fail. Exits with 1 if anything failed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = join(root, 'node_modules', '.bin')
const running = new Set<ChildProcess>()

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill(signal)
    process.exit(1)
  })
}

/** Runs a program, gives each line of its stdout and stderr to `onLine`; resolves to its exit status. */
function run(command: string, argv: string[], onLine: (line: string) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, argv, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(child)
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine)
    child.on('error', reject)
    child.on('close', (status) => {
      running.delete(child)
      resolve(status ?? 1)
    })
  })
}

function announce(title: string, command: string, argv: readonly string[]): void {
  console.log(`\n--- ${title}: ${command.replace(root, '')} ${argv.join(' ')}`)
}

/** A check that is not made of tests: silent in the sum if it holds, one failure if not. */
async function check(title: string, command: string, argv: string[]): Promise<Counts> {
  announce(title, command, argv)
  const status = await run(command, argv, console.log)
  if (status !== 0) console.log(`${title} failed`)
  return { passed: 0, failed: status === 0 ? 0 : 1, skipped: 0 }
}

/** ava's TAP: a line "ok" or "not ok" a test; a crash of a test file is a "not ok" as well. */
async function ava(): Promise<Counts> {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const [command, argv] = [join(bin, 'ava'), ['--tap']]
  announce('ava', command, argv)
  const status = await run(command, argv, (line) => {
    console.log(line)
    if (/^ok\b.*# (SKIP|TODO)\b/.test(line)) counts.skipped++
    else if (/^ok\b/.test(line)) counts.passed++
    else if (/^not ok\b.*# TODO\b/.test(line)) counts.skipped++
    else if (/^not ok\b/.test(line)) counts.failed++
  })
  if (status !== 0 && counts.failed === 0) counts.failed = 1
  return counts
}

/**
 * pytest's JUnit report, as its summary line is meant for people. Most of its tests use one thread, so it runs beside ava,
 * and `report` prints what it said once ava is done.
 */
async function pytest(): Promise<{ counts: Counts; report: () => void }> {
  const debian = '/usr/bin/python3'
  const python = process.env.PYTHON ?? (existsSync(debian) ? debian : 'python3')
  const folder = mkdtempSync(join(tmpdir(), 'cleric-pytest-'))
  try {
    const file = join(folder, 'report.xml')
    const argv = ['-m', 'pytest', 'training/tests', '-q', '-p', 'no:cacheprovider', `--junitxml=${file}`]
    const said: string[] = []
    const status = await run(python, argv, (line) => said.push(line))
    const suite = existsSync(file) ? /<testsuite\s[^>]*>/.exec(readFileSync(file, 'utf8'))?.[0] : undefined
    const count = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite ?? '')?.[1] ?? 0)
    const failed = count('failures') + count('errors')
    const skipped = count('skipped')
    const passed = count('tests') - failed - skipped
    const report = () => {
      announce('pytest', python, argv)
      for (const line of said) console.log(line)
    }
    return { counts: { passed, skipped, failed: status !== 0 && failed === 0 ? 1 : failed }, report }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const beside = pytest()
// A failure to start it is reported where it is awaited.
beside.catch(() => {})
const parts = [
  await check('lint', join(bin, 'biome'), ['check', '--error-on-warnings', '.']),
  await check('types', join(bin, 'tsc'), ['--noEmit']),
  await ava(),
]
const { counts, report } = await beside
report()
parts.push(counts)
const sum = (key: keyof Counts) => parts.reduce((total, part) => total + part[key], 0)
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
process.exitCode = sum('failed') === 0 ? 0 : 1
