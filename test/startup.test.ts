/** What a program waits for before it does anything: the modules that are loaded for nothing more than the import. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { transformSync } from 'esbuild'
import { TYPESCRIPT } from './typescript.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'cleric-startup-'))
test.after.always(() => rmSync(folder, { recursive: true }))

// Writes a line for each module that is imported, or asked for by `require`.
const spy = join(folder, 'spy.mjs')
writeFileSync(
  spy,
  `import { appendFileSync } from 'node:fs'
  import { Module, register } from 'node:module'
  const note = 'appendFileSync(process.env.CLERIC_SPY, url + "\\\\n")'
  const hook = \`import { appendFileSync } from 'node:fs'
    export async function load(url, context, next) { \${note}; return next(url, context) }\`
  register('data:text/javascript,' + encodeURIComponent(hook))
  const load = Module._load
  Module._load = function (name, ...rest) {
    appendFileSync(process.env.CLERIC_SPY, name + '\\n')
    return load.call(this, name, ...rest)
  }`,
)

/** The modules that a program loads, and what it prints. */
async function loadedBy(...argv: string[]): Promise<{ modules: string[]; stdout: string }> {
  const log = join(mkdtempSync(join(folder, 'log-')), 'modules')
  // The first run compiles TypeScript, for which it loads the compiler.
  const { stdout } = await promisify(execFile)(process.execPath, [TYPESCRIPT, `--import=${spy}`, ...argv], {
    cwd: root,
    env: { ...process.env, CLERIC_SPY: log },
  })
  const modules = readFileSync(log, 'utf8').split('\n')
  return { modules: modules.filter((module) => !/node_modules\/@?esbuild\/|scripts\/typescript/.test(module)), stdout }
}

const of = (modules: string[], name: RegExp) => modules.filter((module) => name.test(module))
const SERVER = /node_modules\/(@fastify|fastify|fresh|range-parser|openseadragon)\b|\/src\/server\//
const GPU = /\bwebgpu\b|dawn\.node/

test('cleric --version loads the arguments’ parser and none of the commands', async (t) => {
  const { modules, stdout } = await loadedBy('src/cli/main.ts', '--version')
  t.is(stdout.trim(), JSON.parse(readFileSync(`${root}/package.json`, 'utf8')).version)
  t.true(of(modules, /node_modules\/commander\//).length > 0, 'the spy sees modules')
  t.deepEqual(of(modules, /node_modules\/(?!commander\/)/), [])
  t.deepEqual(of(modules, /\.node$|\/src\/(?!cli|errors|package|arguments|nearest-name|codec\/device-kinds)/), [])
})

test('a command loads what it needs, and not what others do', async (t) => {
  const { modules, stdout } = await loadedBy('src/cli/main.ts', 'info', 'synthetic:40x30', '--json')
  t.is(JSON.parse(stdout).levels[0].width, 40)
  t.deepEqual([...of(modules, SERVER), ...of(modules, GPU), ...of(modules, /\/src\/(compress|export|static)\//)], [])
})

test("import 'cleric' loads neither the server nor a GPU's implementation", async (t) => {
  const { modules } = await loadedBy('--input-type=module', '--eval', "await import('./src/index.ts')")
  t.true(of(modules, /\/src\/archive\//).length > 0, 'the spy sees modules')
  t.deepEqual([...of(modules, SERVER), ...of(modules, GPU), ...of(modules, /commander|\/src\/cli\//)], [])
})

test('the server is what loads the server', async (t) => {
  const { modules } = await loadedBy('src/cli/main.ts', 'serve', '--help')
  t.true(of(modules, SERVER).length > 5)
})

const onLinux = process.platform === 'linux' ? test : test.skip
onLinux('the command has as many threads for pictures as there are cores, unless told otherwise', async (t) => {
  const start = readFileSync(`${root}/src/cli/start.cts`, 'utf8')
  const [script, main, machine] = ['start.cjs', 'main.js', 'machine.cjs'].map((name) => join(folder, name))
  writeFileSync(script as string, transformSync(start, { loader: 'ts', format: 'cjs' }).code)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const threads = "require('node:fs').readdirSync('/proc/self/task').length"
  writeFileSync(
    machine as string,
    `require('node:os').availableParallelism = () => Number(process.env.CORES)
    const before = ${threads}
    globalThis.grown = () => ${threads} - before`,
  )
  writeFileSync(main as string, 'console.log(globalThis.grown())')
  const grown = async (env: NodeJS.ProcessEnv) => {
    const { UV_THREADPOOL_SIZE: _, ...others } = process.env
    const argv = ['--require', machine as string, script as string]
    return Number((await promisify(execFile)(process.execPath, argv, { env: { ...others, ...env } })).stdout)
  }
  // Node.js has some more of its own, which begin as it needs them.
  const two = await grown({ CORES: '2' })
  t.is((await grown({ CORES: '23' })) - two, 19)
  t.is((await grown({ CORES: '23', UV_THREADPOOL_SIZE: '9' })) - two, 5)
})

test('a command that is lost on the way, with nothing left that would wake it, is no success', async (t) => {
  const lost = 'export const createCli = () => ({ run: () => new Promise(() => {}) })'
  const hook = `export const resolve = (name, context, next) =>
    name === './commands.js' ? { url: 'data:text/javascript,${encodeURIComponent(lost)}', shortCircuit: true } : next(name, context)`
  const register = `import { register } from 'node:module'; register('data:text/javascript,' + ${JSON.stringify(encodeURIComponent(hook))})`
  const start = `import(${JSON.stringify(`${root}/src/cli/main.ts`)})` // as start.cts does, from no ES module
  const argv = [
    TYPESCRIPT,
    `--import=data:text/javascript,${encodeURIComponent(register)}`,
    '--input-type=commonjs',
    '--eval',
    start,
  ]
  const failure = await t.throwsAsync<Error & { code: number }>(
    promisify(execFile)(process.execPath, argv, { cwd: root }),
  )
  t.is(failure?.code, 13)
})
