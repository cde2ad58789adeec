/**
 * The package as it is published: packed, installed in an empty project without a compiler and without scripts, and used.
 * `node --import tsx scripts/npm-check.ts 20 22 24` does the same, and more, with other versions of Node.js.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { compileExample, type Installation, install, networkOf, runExample } from '../scripts/npm-check.js'
import { makePackages } from '../scripts/npm-packages.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'cleric-npm-'))
test.after.always(() => rmSync(folder, { recursive: true }))

let installed: Installation
let cleric: string

test.before(() => {
  const addons = new Map([[`${process.platform}-${process.arch}`, join(root, 'build', 'Release', 'cleric.node')]])
  installed = install(folder, makePackages(addons, join(folder, 'packages')), '--ignore-scripts')
  cleric = join(installed.folder, 'node_modules', 'cleric')
})

/** A command line of the installed cleric. */
function run(...argv: string[]): { status: number; stdout: string; stderr: string } {
  const { folder: cwd, env } = installed
  try {
    const stdout = execFileSync('node', [join(cleric, 'dist/cli/start.cjs'), ...argv], {
      ...{ cwd, env, encoding: 'utf8', stdio: 'pipe' },
    })
    return { status: 0, stdout, stderr: '' }
  } catch (error) {
    return error as ReturnType<typeof run>
  }
}

test('npm reaches its registry as it does on this machine, and has nothing else of it', (t) => {
  const network = {
    ...{ HTTPS_PROXY: 'http://proxy:3128', https_proxy: 'http://proxy:3128', HTTP_PROXY: 'http://proxy:3128' },
    ...{ NO_PROXY: 'localhost', NODE_EXTRA_CA_CERTS: '/etc/ssl/own.crt' },
    ...{ npm_config_registry: 'https://npm.lab/', npm_config_cache: '/var/cache/npm' },
  }
  t.deepEqual(networkOf({ ...network, CXX: 'g++', CLERIC_ADDON: 'a.node', npm_config_user_agent: 'npm' }), network)
  t.like(installed.env, networkOf(process.env))
})

test('it installs without a warning about the version of Node.js, and without Dawn', (t) => {
  t.notRegex(installed.output, /EBADENGINE|ERESOLVE|deprecated/)
  t.false(existsSync(join(installed.folder, 'node_modules/webgpu')))
  t.false(existsSync(join(cleric, 'build')), 'nothing was compiled')
})

test("README's example runs as ES module and as CommonJS", (t) => {
  const length = String(128 * 96 * 3)
  t.deepEqual(runExample(installed), { module: length, commonjs: length })
})

test('its types are sound for a strict TypeScript that looks into them', (t) => {
  t.is(compileExample(installed), '')
})

test('the command runs, on the processor; for a GPU it says what is missing', (t) => {
  t.is(run('--version').stdout.trim(), JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version)
  const { auto, devices } = JSON.parse(run('devices', '--json').stdout)
  t.deepEqual(
    devices.map(({ kind, name }: { kind: string; name: string }) => [kind, name]),
    [['cpu', auto]],
  )
  const refused = run('compress', 'synthetic:64x64', '-o', 'gpu.cleric.tif', '--device', 'webgpu', '--json')
  t.is(refused.status, 1)
  t.like(JSON.parse(refused.stdout), { error: { code: 'ERR_WEBGPU_MISSING' } })
  t.regex(refused.stderr, /`npm install webgpu@\^[\d.]+`, or use --device cpu/)
})

test('where OpenSlide is not installed, only what needs it is refused, by code', (t) => {
  writeFileSync(join(installed.folder, 'scan.mrxs'), 'a slide of a scanner')
  installed.env.CLERIC_OPENSLIDE = '/nonexistent/libopenslide.so'
  try {
    t.is(run('info', 'synthetic:64x64', '--json').status, 0)
    const refused = JSON.parse(run('info', 'scan.mrxs', '--json').stdout)
    t.is(refused.error.code, 'ERR_OPENSLIDE_MISSING')
    t.regex(refused.error.message, /`apt-get install libopenslide0`/)
  } finally {
    delete installed.env.CLERIC_OPENSLIDE
  }
})

test('every source map has the sources that it names', (t) => {
  const maps = readdirSync(cleric, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.map'))
  t.true(maps.length > 100)
  for (const name of maps) {
    const { sources, sourcesContent = [] } = JSON.parse(readFileSync(join(cleric, name), 'utf8'))
    t.is(sourcesContent.length, sources.length, name)
    t.true(
      sourcesContent.every((text: unknown) => typeof text === 'string'),
      name,
    )
  }
})

test('nothing of the repository alone is in it', (t) => {
  const names = readdirSync(cleric).sort()
  t.deepEqual(
    names.filter((name) => ['src', 'test', 'training', 'bench', 'farm', 'node_modules'].includes(name)),
    [],
  )
  const { scripts, devDependencies, workspaces } = JSON.parse(readFileSync(join(cleric, 'package.json'), 'utf8'))
  t.deepEqual(
    [Object.keys(scripts).sort(), devDependencies, workspaces],
    [['build:addon', 'install'], undefined, undefined],
  )
})
