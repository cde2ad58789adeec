/** The packages: each depends on all that it imports, and none reaches into another's folders. */
import { readdirSync, readFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('..', import.meta.url))

function manifest(folder: string) {
  return JSON.parse(readFileSync(resolve(root, folder, 'package.json'), 'utf8'))
}

/** What the modules of a folder import, types included, each with the module that does. */
function imports(folder: string): [file: string, specifier: string][] {
  const names = readdirSync(resolve(root, folder), { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const file = resolve(root, folder, name)
      const found = readFileSync(file, 'utf8').matchAll(/^(?:(?:import|export|\}).* from|.*\bimport\() ?'([^']+)'/gm)
      return [...found].map(([, specifier]): [string, string] => [file, specifier as string])
    })
}

for (const [folder, sources] of [
  ['.', 'src'],
  ['bench', 'bench/src'],
  ['farm', 'farm/src'],
] as const) {
  const { name, dependencies, peerDependencies = {} } = manifest(folder)
  test(`${name} depends on what it imports, and imports no file from outside`, (t) => {
    const seen = imports(sources)
    t.true(seen.length > 30)
    for (const [file, specifier] of seen) {
      const where = `${relative(root, file)} imports ${specifier}`
      if (specifier.startsWith('.')) {
        t.true(resolve(file, '..', specifier).startsWith(resolve(root, sources)), where)
      } else if (!specifier.startsWith('node:')) {
        const dependency = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] as string
        t.true(dependency in dependencies || dependency in peerDependencies, where)
      }
    }
  })
}

test('installing cleric brings nothing that only the benchmark needs', (t) => {
  const [cleric, bench] = [manifest('.').dependencies, manifest('bench').dependencies]
  const shared = Object.keys(bench).filter((name) => name in cleric)
  t.deepEqual(shared.sort(), ['commander', 'sharp'])
  for (const name of shared) t.is(bench[name], cleric[name], name)
  t.true('vega' in bench)
})

test('nor what only the farm needs', (t) => {
  const [cleric, farm] = [manifest('.').dependencies, manifest('farm').dependencies]
  const shared = Object.keys(farm).filter((name) => name in cleric)
  t.deepEqual(shared.sort(), ['commander', 'fastify'])
  for (const name of shared) t.is(farm[name], cleric[name], name)
  t.true('bullmq' in farm)
})
