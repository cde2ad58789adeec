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
let running: ChildProcess | undefined

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    running?.kill(signal)
    process.exit(1)
  })
}

/** Runs a program, shows its output, gives each line of stdout to `onLine`; resolves to its exit status. */
function run(title: string, command: string, argv: string[], onLine?: (line: string) => void): Promise<number> {
  console.log(`\n--- ${title}: ${command.replace(`${root}`, '')} ${argv.join(' ')}`)
  return new Promise((resolve, reject) => {
    const child = spawn(command, argv, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    running = child
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => {
      console.log(line)
      onLine?.(line)
    })
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
}

/** A check that is not made of tests: silent in the sum if it holds, one failure if not. */
async function check(title: string, command: string, argv: string[]): Promise<Counts> {
  const status = await run(title, command, argv)
  if (status !== 0) console.log(`${title} failed`)
  return { passed: 0, failed: status === 0 ? 0 : 1, skipped: 0 }
}

/** ava's TAP: a line "ok" or "not ok" a test; a crash of a test file is a "not ok" as well. */
async function ava(): Promise<Counts> {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const status = await run('ava', join(bin, 'ava'), ['--tap'], (line) => {
    if (/^ok\b.*# (SKIP|TODO)\b/.test(line)) counts.skipped++
    else if (/^ok\b/.test(line)) counts.passed++
    else if (/^not ok\b.*# TODO\b/.test(line)) counts.skipped++
    else if (/^not ok\b/.test(line)) counts.failed++
  })
  if (status !== 0 && counts.failed === 0) counts.failed = 1
  return counts
}

/** pytest's JUnit report, as its summary line is meant for people. */
async function pytest(): Promise<Counts> {
  const debian = '/usr/bin/python3'
  const python = process.env.PYTHON ?? (existsSync(debian) ? debian : 'python3')
  const folder = mkdtempSync(join(tmpdir(), 'cleric-pytest-'))
  try {
    const report = join(folder, 'report.xml')
    const argv = ['-m', 'pytest', 'training/tests', '-q', '-p', 'no:cacheprovider', `--junitxml=${report}`]
    const status = await run('pytest', python, argv)
    const suite = existsSync(report) ? /<testsuite\s[^>]*>/.exec(readFileSync(report, 'utf8'))?.[0] : undefined
    const count = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite ?? '')?.[1] ?? 0)
    const failed = count('failures') + count('errors')
    const skipped = count('skipped')
    const passed = count('tests') - failed - skipped
    return { passed, skipped, failed: status !== 0 && failed === 0 ? 1 : failed }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const parts = [
  await check('lint', join(bin, 'biome'), ['check', '--error-on-warnings', '.']),
  await check('types', join(bin, 'tsc'), ['--noEmit']),
  await ava(),
  await pytest(),
]
const sum = (key: keyof Counts) => parts.reduce((total, part) => total + part[key], 0)
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
process.exitCode = sum('failed') === 0 ? 0 : 1
