/**
 * Installs the packages that `scripts/npm-packages.ts` made as their users do, and runs README's example with them.
 *
 *     node --import tsx scripts/npm-check.ts               with the addon that was compiled here, on this Node.js
 *     node --import tsx scripts/npm-check.ts 20 22 24      on the newest of each of these, which npm fetches
 *     node --import tsx scripts/npm-check.ts --prebuilt    with the packages in build/npm, as they are published
 *
 * First publint and @arethetypeswrong/cli look at what is packed. The rest happens in an empty project outside the repository, where the PATH has Node.js, npm and a shell but no compiler: as ES
 * module, as CommonJS and, by the repository's compiler, as strict TypeScript that checks the package's own types too.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makePackages } from './npm-packages.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const PLATFORM = `${process.platform}-${process.arch}`

/** A project that has cleric installed from tarballs. */
export interface Installation {
  readonly folder: string
  /** What npm said. */
  readonly output: string
  /** The environment of who has no compiler. */
  readonly env: NodeJS.ProcessEnv
}

/** README's example of the library, at a size that takes a moment. */
export function readmeExample(): string {
  const [, code] =
    /```ts\n(import \{ compressSlide[\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8')) ?? []
  if (code === undefined) throw new Error('README.md has no example that begins with import { compressSlide')
  return code
    .replace("'slide.svs'", "'synthetic:192x160'")
    .replace(/\bx: \d+, y: \d+, level: 0, width: \d+, height: \d+/, 'x: 16, y: 16, level: 0, width: 128, height: 96')
}

/** A folder for PATH with these programs and no others. */
function pathWith(folder: string, programs: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true })
  for (const [name, file] of Object.entries(programs)) symlinkSync(file, join(folder, name))
  return folder
}

function npmFile(): string {
  const candidates = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'npm'))
  const found = candidates.find((file) => existsSync(file))
  if (found === undefined) throw new Error('There is no npm on the PATH')
  return realpathSync(found)
}

/** Packs these folders into one; returns the paths of the tarballs. */
function pack(folders: readonly string[], into: string): string[] {
  mkdirSync(into, { recursive: true })
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', into, ...folders], { stdio: 'pipe' })
  return readdirSync(into).map((name) => join(into, name))
}

/** How this machine reaches npm's registry: through a proxy, whose certificate may be its own, or at another address. */
export function networkOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names = /^(npm_config_(cache|registry)|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i
  return Object.fromEntries(Object.entries(env).filter(([name]) => names.test(name)))
}

/**
 * Installs the packages in an empty project below `folder`.
 *
 * @param packages folders as `makePackages` makes them
 * @param options of `npm install`, such as --ignore-scripts
 */
export function install(folder: string, packages: readonly string[], ...options: string[]): Installation {
  const path = pathWith(join(folder, 'bin'), { node: process.execPath, npm: npmFile(), sh: '/bin/sh' })
  const env = { HOME: process.env.HOME, PATH: path, ...networkOf(process.env) }
  const project = join(folder, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "private": true }\n')
  const argv = ['install', '--no-audit', '--no-fund', '--prefer-offline', ...options]
  const tarballs = pack(packages, join(folder, 'tarballs'))
  const output = execFileSync('/bin/sh', ['-c', 'npm "$@" 2>&1', 'npm', ...argv, ...tarballs], {
    cwd: project,
    env,
    encoding: 'utf8',
    // npm tries for hours where every request fails.
    timeout: 240_000,
  })
  return { folder: project, output, env }
}

/** Runs README's example as ES module and as CommonJS; returns what both printed. */
export function runExample({ folder, env }: Installation, node = 'node'): { module: string; commonjs: string } {
  const example = `${readmeExample().replace(/^using /m, 'const ')}\narchive.close()\nconsole.log(data.length)\n`
  writeFileSync(join(folder, 'example.mjs'), example)
  const body = example.replace(/^import (\{.*\}) from ('cleric')$/m, 'const $1 = require($2)')
  writeFileSync(join(folder, 'example.cjs'), `async function main() {\n${body}}\nmain()\n`)
  const run = (name: string) => {
    rmSync(join(folder, 'slide.cleric.tif'), { force: true })
    return execFileSync(node, [name], { cwd: folder, env, encoding: 'utf8' }).trim()
  }
  return { module: run('example.mjs'), commonjs: run('example.cjs') }
}

/** What programs do with tiles. */
const TILES_SENT = `import { encodeCheckedTile, encodeTile, openCodec } from 'cleric'

const image = { data: new Uint8Array(12), width: 2, height: 2 }
const tile = await encodeTile(image)
const { bytes } = await encodeCheckedTile(image)
using codec = await openCodec()
export const sent = [new Blob([tile, bytes, await codec.encodeTile(image)]), fetch('/', { method: 'PUT', body: tile })]
export const digest = await crypto.subtle.digest('SHA-256', bytes)
`

/** Compiles README's example, and another program, strictly; returns what the compiler says, which is nothing if it is sound. */
export function compileExample({ folder }: Installation): string {
  writeFileSync(join(folder, 'example.mts'), `${readmeExample()}\nconsole.log(data.length)\n`)
  writeFileSync(join(folder, 'tiles-sent.mts'), TILES_SENT)
  writeFileSync(
    join(folder, 'required.cts'),
    "import cleric = require('cleric')\nexport const open = cleric.openArchive\n",
  )
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...{ strict: true, skipLibCheck: false, noEmit: true, exactOptionalPropertyTypes: true },
        ...{ module: 'nodenext', target: 'es2022', lib: ['es2023', 'esnext.disposable', 'dom'], types: [] },
      },
      files: ['example.mts', 'tiles-sent.mts', 'required.cts'],
    }),
  )
  try {
    return execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], {
      encoding: 'utf8',
    })
  } catch (error) {
    return (error as { stdout: string }).stdout
  }
}

/** What those who know how packages go wrong find in one; nothing if it is sound. */
function lint(folder: string): string {
  const npx = (...argv: string[]) => execFileSync('npx', ['--yes', ...argv], { encoding: 'utf8', stdio: 'pipe' })
  const into = mkdtempSync(join(tmpdir(), 'cleric-npm-lint-'))
  try {
    npx('publint@0.3.25', folder, '--strict', '--level', 'warning')
    const [tarball = ''] = pack([folder], into)
    // CommonJS gets an ES module by require(), as every Node.js that cleric runs on can.
    npx('@arethetypeswrong/cli@0.18.5', tarball, '--profile', 'esm-only', '--format', 'ascii')
    return ''
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    return `${stdout}${stderr}`
  } finally {
    rmSync(into, { recursive: true })
  }
}

/** The newest Node.js of a major version, as the npm registry has it. */
function fetchNode(folder: string, major: string): string {
  const into = join(folder, `node-${major}`)
  mkdirSync(into)
  const name = `node-${PLATFORM}`
  execFileSync('npm', ['install', '--prefix', into, '--no-audit', '--no-fund', `${name}@${major}`], { stdio: 'pipe' })
  return join(into, 'node_modules', name, 'bin', 'node')
}

/** What README's example prints of the slide that it is given here. */
const EXAMPLE_PRINTS = String(128 * 96 * 3)

function main(): void {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { prebuilt: { type: 'boolean' } } })
  const folder = mkdtempSync(join(tmpdir(), 'cleric-npm-'))
  try {
    const own = new Map([[PLATFORM, join(root, 'build', 'Release', 'cleric.node')]])
    const published = ['cleric', PLATFORM].map((name) => join(root, 'build', 'npm', name))
    const packages = values.prebuilt ? published : makePackages(own, join(folder, 'packages'))
    const complaints = packages.map(lint).join('')
    console.log('publint, @arethetypeswrong/cli:', complaints || 'sound')
    if (complaints !== '') process.exitCode = 1
    const nodes = positionals.map((major) => fetchNode(folder, major))
    for (const options of [['--ignore-scripts'], []]) {
      const where = mkdtempSync(join(folder, 'install-'))
      const installed = install(where, packages, ...options)
      console.log(`npm install ${options.join(' ')}: ${installed.output.trim()}`)
      for (const node of nodes.length > 0 ? nodes : [process.execPath]) {
        const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
        const printed = runExample(installed, node)
        console.log(`Node.js ${version}:`, printed)
        if (printed.module !== EXAMPLE_PRINTS || printed.commonjs !== EXAMPLE_PRINTS) process.exitCode = 1
      }
      const errors = compileExample(installed)
      console.log('TypeScript:', errors || 'sound')
      if (errors !== '') process.exitCode = 1
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
