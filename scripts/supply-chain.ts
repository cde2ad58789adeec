/**
 * What an installation brings from the registry, by package-lock.json.
 *
 *     node --import tsx scripts/supply-chain.ts          writes NOTICE
 *     node --import tsx scripts/supply-chain.ts --check  ends with status 1 if NOTICE isn't what it would write
 */
import { readFileSync, writeFileSync } from 'node:fs'

interface LockedPackage {
  readonly version?: string
  readonly license?: string
  readonly link?: boolean
  readonly hasInstallScript?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

type Lock = Readonly<Record<string, LockedPackage>>

const file = (name: string) => new URL(`../${name}`, import.meta.url)

/** The packages of package-lock.json by their folders. */
export function lockedPackages(): Lock {
  return JSON.parse(readFileSync(file('package-lock.json'), 'utf8')).packages
}

/** Packages that are no dependencies, but parts of which the bundles in dist/ have. */
const BUNDLED = ['openseadragon']

/** Folders of the packages that come with an installation, those that this system doesn't need among them. */
export function installedPackages(lock: Lock): string[] {
  const found = new Set<string>()
  const add = (from: string, name: string) => {
    // As Node.js looks for it: in the folder of whoever wants it, then in those above.
    for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
      const at = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`
      if (lock[at]) {
        if (found.has(at)) return
        found.add(at)
        const { dependencies = {}, optionalDependencies = {} } = lock[at]
        for (const each of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) add(at, each)
        return
      }
      if (folder === '') return
    }
  }
  for (const name of [...Object.keys(lock['']?.dependencies ?? {}), ...BUNDLED]) add('', name)
  return [...found].sort()
}

/** Folders of all packages, of development too, whose scripts npm runs when it installs them. */
export function packagesWithScripts(lock: Lock): string[] {
  return Object.entries(lock)
    .filter(([folder, { hasInstallScript }]) => folder !== '' && hasInstallScript === true)
    .map(([folder]) => folder)
    .sort()
}

export const nameOf = (folder: string): string => folder.slice(folder.lastIndexOf('node_modules/') + 13)

/** The text of NOTICE. */
export function notice(lock: Lock): string {
  const byLicence = new Map<string, string[]>()
  for (const folder of installedPackages(lock)) {
    const { license = 'not stated', version } = lock[folder] as LockedPackage
    byLicence.set(license, [...(byLicence.get(license) ?? []), `${nameOf(folder)} ${version}`])
  }
  const lists = [...byLicence]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([licence, names]) => [`${licence}:`, ...new Set(names.map((name) => `  ${name}`))].join('\n'))
  return `${HEAD}\n\n${lists.join('\n\n')}\n`
}

const HEAD = `cleric
Copyright of its authors; licensed under the Apache License, Version 2.0 (LICENSE)

An installation takes the packages below from the npm registry, each under its own licence, which is in its folder of
node_modules. Parts of openseadragon and @noble/hashes are in the bundles in dist/ too. The libraries in the packages
@img/sharp-libvips-* are under licences of their own, which these packages list; they are linked dynamically.

OpenSlide (LGPL-2.1) is loaded from the system where it is installed, and is no part of this package. Neither are
the package webgpu, by which GPUs are used, and PyTorch and what else the training uses.

The package lists are made from package-lock.json by \`npm run notice\`.`

if (process.argv[1]?.endsWith('supply-chain.ts')) {
  const text = notice(lockedPackages())
  if (!process.argv.includes('--check')) writeFileSync(file('NOTICE'), text)
  else if (readFileSync(file('NOTICE'), 'utf8') !== text) {
    console.error('NOTICE is not what `npm run notice` writes')
    process.exitCode = 1
  }
}
