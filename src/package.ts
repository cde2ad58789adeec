/** What package.json says of this package. */
import { readFileSync } from 'node:fs'

interface Manifest {
  readonly version: string
  readonly peerDependencies: { readonly webgpu: string }
}

let manifest: Manifest | null = null

/** Read when it is first needed: most programs never ask. */
function read(): Manifest {
  manifest ??= JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as Manifest
  return manifest
}

/** The version of this package, e.g. "0.1.0". */
export function packageVersion(): string {
  return read().version
}

/** The versions of the package `webgpu` that this package is made for, e.g. "^0.6.2". */
export function webgpuVersions(): string {
  return read().peerDependencies.webgpu
}
