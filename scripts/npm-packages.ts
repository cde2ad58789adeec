/**
 * Makes the folders that are published to npm: `cleric`, and a package with the prebuilt addon for each platform.
 *
 *     node --import tsx scripts/npm-packages.ts linux-x64 linux-arm64     compiles the addon for these, into build/npm
 *     node --import tsx scripts/npm-packages.ts linux-x64=FILE -o FOLDER  takes an addon that is there
 *
 * Linux's are cross-compiled by Debian's compilers (`apt-get install g++-aarch64-linux-gnu`); macOS's and Windows' are made
 * on such a machine. dist/ must be current (scripts/setup). Each folder can be given to `npm pack` or `npm publish`, the
 * platforms' first: cleric has them as optional dependencies, of which npm installs the one that fits.
 */
import { execFileSync } from 'node:child_process'
import { constants, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))

/** How GNU calls the processors that Node.js has names of its own for. */
const PROCESSORS: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly engines: object
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly overrides: Readonly<Record<string, string>>
  readonly [key: string]: unknown
}

/** What of package.json is for the repository only. */
const DEVELOPMENT = ['workspaces', 'scripts', 'ava', 'devDependencies', 'overrides', 'files']
/** The scripts that an installed package runs. */
const INSTALLED_SCRIPTS = ['install', 'build:addon']

function readManifest(): Manifest {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
}

/** The manifest of the package `cleric`, as it is published beside those of the platforms. */
export function publishedManifest(manifest: Manifest, platforms: readonly string[]): object {
  const kept = Object.entries(manifest).filter(([key]) => !DEVELOPMENT.includes(key))
  return {
    ...Object.fromEntries(kept),
    scripts: Object.fromEntries(INSTALLED_SCRIPTS.map((name) => [name, manifest.scripts[name]])),
    // npm heeds overrides only in the project that is being installed into. A dependency of the package itself, too,
    // decides which version its other dependencies get.
    dependencies: { ...manifest.dependencies, ...manifest.overrides },
    optionalDependencies: Object.fromEntries(platforms.map((platform) => [`@cleric/${platform}`, manifest.version])),
  }
}

/** The manifest of the package with the addon for a platform, e.g. "linux-x64". */
function platformManifest({ version, license, engines }: Manifest, platform: string): object {
  const [os, cpu] = platform.split('-')
  return {
    name: `@cleric/${platform}`,
    version,
    description: `The native addon of cleric for ${platform}`,
    license,
    engines,
    ...{ os: [os], cpu: [cpu], ...(os === 'linux' && { libc: ['glibc'] }) },
    type: 'commonjs',
    main: 'cleric.node',
  }
}

/** Compiles the addon for a platform; returns its file. */
function compileAddon(platform: string): string {
  const [os, cpu = ''] = platform.split('-')
  const output = join(root, 'build', 'prebuilt', platform)
  const argv = ['compile', '--log-level', 'warn', '--out', output, '--CDCLERIC_PREBUILT=ON']
  if (platform !== `${process.platform}-${process.arch}`) {
    const processor = PROCESSORS[cpu]
    if (os !== 'linux' || processor === undefined)
      throw new Error(`The addon for ${platform} is compiled on such a machine`)
    argv.push('--arch', cpu, '--CDCMAKE_SYSTEM_NAME=Linux', `--CDCMAKE_SYSTEM_PROCESSOR=${processor}`)
    argv.push(`--CDCMAKE_CXX_COMPILER=${processor}-linux-gnu-g++`)
  }
  execFileSync(join(root, 'node_modules', '.bin', 'cmake-js'), argv, { cwd: root, stdio: 'inherit' })
  return join(output, 'Release', 'cleric.node')
}

function emptyFolder(path: string): string {
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path, { recursive: true })
  return path
}

function writeJson(path: string, value: object): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}

/** The files of package.json's field "files", as npm understands it. */
function packedFiles(): string[] {
  const argv = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const listing = execFileSync('npm', argv, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26, stdio: 'pipe' })
  const [packed] = JSON.parse(listing) as { files: { path: string }[] }[]
  return packed?.files.map(({ path }) => path) ?? []
}

/** Makes the folders `cleric` and those of the platforms in `output`; returns their paths, cleric's last. */
export function makePackages(addons: ReadonlyMap<string, string>, output: string): string[] {
  const manifest = readManifest()
  const folders: string[] = []
  for (const [platform, addon] of addons) {
    const folder = emptyFolder(join(output, platform))
    copyFileSync(addon, join(folder, 'cleric.node'))
    copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
    writeJson(join(folder, 'package.json'), platformManifest(manifest, platform))
    const about = `The native addon of [cleric](https://www.npmjs.com/package/cleric) for ${platform}, which installs it by itself.`
    writeFileSync(join(folder, 'README.md'), `# @cleric/${platform}\n\n${about}\n`)
    folders.push(folder)
  }
  const folder = emptyFolder(join(output, 'cleric'))
  for (const path of packedFiles()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    copyFileSync(join(root, path), join(folder, path), constants.COPYFILE_FICLONE)
  }
  writeJson(join(folder, 'package.json'), publishedManifest(manifest, [...addons.keys()]))
  return [...folders, folder]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { output: { type: 'string', short: 'o', default: join(root, 'build', 'npm') } },
  })
  const wanted = positionals.length > 0 ? positionals : [`${process.platform}-${process.arch}`]
  const addons = new Map<string, string>()
  for (const each of wanted) {
    const [platform = '', file] = each.split('=')
    addons.set(platform, file ?? compileAddon(platform))
  }
  for (const folder of makePackages(addons, resolve(values.output))) console.log(folder)
}
