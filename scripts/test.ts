/**
 * Runs every check of the repository: lint, types, ava, pytest. The last line is
 * "N passed, N failed, N skipped", summed over both test runners; lint and types
 * count as one failed test each if they fail. Exits with 1 if anything failed.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
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
function run(
  command: string,
  argv: string[],
  onLine: (line: string) => void,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, argv, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(child)
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine)
    child.on('error', reject)
    child.on('close', (status) => {
      running.delete(child)
      resolve(status ?? 1)
    })
  })
}

/**
 * In continuous integration a process that dies of a fault prints its native stack: what happens once in a hundred runs
 * may not happen again to whoever looks into it.
 */
function withStacks(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const library = join(root, 'build', 'Release', 'print_stack.so')
  return process.env.CI === 'true' && existsSync(library) ? { ...env, LD_PRELOAD: library } : env
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
async function ava(title: string, command: string, argv: string[], env?: NodeJS.ProcessEnv): Promise<Counts> {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  announce(title, command, argv)
  const onLine = (line: string) => {
    console.log(line)
    if (/^ok\b.*# (SKIP|TODO)\b/.test(line)) counts.skipped++
    else if (/^ok\b/.test(line)) counts.passed++
    else if (/^not ok\b.*# TODO\b/.test(line)) counts.skipped++
    else if (/^not ok\b/.test(line)) counts.failed++
  }
  const status = await run(command, argv, onLine, withStacks(env))
  if (status !== 0 && counts.failed === 0) counts.failed = 1
  return counts
}

/** Tests of what OpenSlide reads, of our own files too. */
const OPENSLIDE_TESTS = [
  ...['openslide', 'openslide-double', 'formats', 'identity', 'slide'].map((name) => `test/slide/${name}.test.ts`),
  ...['test/archive/readers.test.ts', 'test/export/export.test.ts', 'test/export/dicom.test.ts'],
]

/** These once more, with version 4 of OpenSlide, which scripts/openslide-4 gets. */
async function avaWithOpenSlide4(): Promise<Counts> {
  const folder = join(root, 'build', 'openslide-4')
  const node = join(folder, 'node')
  if (!existsSync(node)) {
    console.log('\nno OpenSlide 4 (build/openslide-4.log says why): the tests with it are skipped')
    return { passed: 0, failed: 0, skipped: 1 }
  }
  // Programs that the tests start by the name of node must be able to load that library too.
  const path = `${folder}:${process.env.PATH}`
  const env = { ...process.env, CLERIC_OPENSLIDE: join(folder, 'libopenslide.so.1'), PATH: path }
  const entry = join(root, 'node_modules', 'ava', 'entrypoints', 'cli.mjs')
  return ava('ava with OpenSlide 4', node, [entry, '--tap', ...OPENSLIDE_TESTS], env)
}

/** Tests in Python, and the modules without which they can't run. */
interface PythonTests {
  readonly what: string
  readonly folder: string
  readonly modules: readonly string[]
}

const PYTHON_TESTS: readonly PythonTests[] = [
  { what: 'the training', folder: 'training/tests', modules: ['torch', 'torchvision', 'numpy', 'PIL', 'pytest'] },
  { what: 'the Python package', folder: 'python/tests', modules: ['numpy', 'PIL', 'pytest'] },
]

interface Reported {
  readonly counts: Counts
  /** Prints what was said. */
  report(): void
}

/** All of them, one after the other: beside ava there is no room for more. */
async function allPytests(): Promise<Reported[]> {
  const reported: Reported[] = []
  for (const tests of PYTHON_TESTS) reported.push(await pytest(tests))
  return reported
}

/**
 * pytest's JUnit report, as its summary line is meant for people. Most of its tests use one thread, so it runs beside ava,
 * and `report` prints what it said once ava is done.
 */
async function pytest({ what, folder: tests, modules }: PythonTests): Promise<Reported> {
  const debian = '/usr/bin/python3'
  const python = process.env.PYTHON ?? (existsSync(debian) ? debian : 'python3')
  const lacking = missingModules(python, modules)
  if (lacking !== '' && process.env.CI !== 'true') {
    const report = () => console.log(`\n${python} has no ${lacking}: the tests of ${what} are skipped`)
    return { counts: { passed: 0, failed: 0, skipped: 1 }, report }
  }
  const folder = mkdtempSync(join(tmpdir(), 'cleric-pytest-'))
  try {
    const file = join(folder, 'report.xml')
    const argv = ['-m', 'pytest', tests, '-q', '-p', 'no:cacheprovider', `--junitxml=${file}`]
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

/** Which of the modules this Python doesn't have, by name; empty if it has all. */
function missingModules(python: string, modules: readonly string[]): string {
  const code = 'import importlib.util as u, sys; print(*(m for m in sys.argv[1:] if u.find_spec(m) is None), sep=", ")'
  const { status, stdout } = spawnSync(python, ['-c', code, ...modules], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : 'working Python'
}

const beside = allPytests()
// A failure to start it is reported where it is awaited.
beside.catch(() => {})
const parts = [
  await check('lint', join(bin, 'biome'), ['check', '--error-on-warnings', '.']),
  await check('types', join(bin, 'tsc'), ['--noEmit']),
  await ava('ava', join(bin, 'ava'), ['--tap']),
  await avaWithOpenSlide4(),
]
for (const { counts, report } of await beside) {
  report()
  parts.push(counts)
}
const sum = (key: keyof Counts) => parts.reduce((total, part) => total + part[key], 0)
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
process.exitCode = sum('failed') === 0 ? 0 : 1
