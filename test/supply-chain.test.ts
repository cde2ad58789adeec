/** What comes from elsewhere is listed, with its licence, and what of it runs when it is installed. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { installedPackages, lockedPackages, nameOf, notice, packagesWithScripts } from '../scripts/supply-chain.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (name: string) => readFileSync(`${root}/${name}`, 'utf8')
const lock = lockedPackages()

test('NOTICE has the licence of every package that comes with an installation', (t) => {
  t.is(read('NOTICE'), notice(lock))
  t.false(read('NOTICE').includes('not stated'))
  const packages = JSON.parse(read('package.json'))
  const names = new Set(installedPackages(lock).map(nameOf))
  for (const name of [...Object.keys(packages.dependencies), 'openseadragon']) t.true(names.has(name), name)
  t.false(names.has('typescript'))
})

test('every dependency is pinned, and each of the lock file has its hash', (t) => {
  for (const name of ['package.json', 'bench/package.json']) {
    const { dependencies = {}, devDependencies = {} } = JSON.parse(read(name))
    for (const [each, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      if (version === 'file:..') continue
      t.regex(String(version), /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${name}: ${each}`)
    }
  }
  for (const [folder, { link, version }] of Object.entries(lock)) {
    if (!folder.includes('node_modules/') || link) continue
    const { integrity, resolved } = lock[folder] as { integrity?: string; resolved?: string }
    t.regex(integrity ?? '', /^sha512-/, `${folder} ${version}`)
    // What has no address is the registry's.
    t.true(resolved === undefined || resolved.startsWith('https://registry.npmjs.org/'), folder)
  }
})

test('SECURITY.md names the packages whose scripts run when they are installed, and no others', (t) => {
  const table = read('SECURITY.md').split('| install script |')[1] ?? ''
  const named = Array.from(table.matchAll(/^\| `([^`]+)` \|/gm), ([, name]) => name as string).sort()
  t.deepEqual(named, [...new Set(packagesWithScripts(lock).map(nameOf))].sort())
})

test('the SBOM is of CycloneDX and has every package', async (t) => {
  const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'sbom'], { cwd: root, maxBuffer: 2 ** 26 })
  const { bomFormat, components } = JSON.parse(stdout) as {
    bomFormat: string
    components: { name: string; group?: string; version: string }[]
  }
  t.is(bomFormat, 'CycloneDX')
  const listed = new Set(components.map(({ group, name, version }) => `${group ? `${group}/` : ''}${name} ${version}`))
  const missing = installedPackages(lock)
    .map((folder) => `${nameOf(folder)} ${lock[folder]?.version}`)
    .filter((name) => !listed.has(name))
  t.deepEqual(missing, [])
})
