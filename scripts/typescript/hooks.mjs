/**
 * Finds and loads TypeScript. What a file compiles to is kept in build/typescript under a name made of what the file
 * holds, so that each is compiled once, by whichever process comes first.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const ROOT = new URL('../../', import.meta.url)
const TYPESCRIPT = /^file:.*\.m?ts$/
const BUILD = new URL('build/typescript/', ROOT)
/** Packages of this repository, as the compiler finds them: by name, from their sources. */
const { paths } = JSON.parse(readFileSync(new URL('tsconfig.json', ROOT), 'utf8')).compilerOptions
const PACKAGES = new Map(Object.entries(paths).map(([name, [source]]) => [name, new URL(source, ROOT).href]))
const OPTIONS = { loader: 'ts', format: 'esm', target: 'node20', sourcemap: 'inline', sourcesContent: false }
const { version } = createRequire(import.meta.url)('esbuild/package.json')
/** Whatever else the compiled files depend on. */
const COMPILER = JSON.stringify([version, OPTIONS])

/** TypeScript names the file that a module is compiled to; here that file is the source still. */
export function resolve(specifier, context, next) {
  const isRelative = specifier.startsWith('.') && specifier.endsWith('.js') && TYPESCRIPT.test(context.parentURL ?? '')
  const url = isRelative ? new URL(`${specifier.slice(0, -2)}ts`, context.parentURL).href : PACKAGES.get(specifier)
  return url === undefined ? next(specifier, context) : { url, format: 'module', shortCircuit: true }
}

export async function load(url, context, next) {
  if (!TYPESCRIPT.test(url)) return next(url, context)
  return { format: 'module', source: await compiled(fileURLToPath(url)), shortCircuit: true }
}

async function compiled(path) {
  const source = readFileSync(path, 'utf8')
  // The path is in the source map.
  const name = createHash('sha256').update(COMPILER).update(path).update('\0').update(source).digest('hex')
  const file = new URL(`${name}.js`, BUILD)
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  const { transform } = await import('esbuild')
  const { code } = await transform(source, { ...OPTIONS, sourcefile: path })
  mkdirSync(BUILD, { recursive: true })
  // Others may be writing the same file: each finds either nothing there or all of it.
  const partial = new URL(`${name}.${process.pid}.partial`, BUILD)
  writeFileSync(partial, code)
  renameSync(partial, file)
  return code
}
