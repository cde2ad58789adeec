/**
 * Bundles dist/web/index.js into dist/web/cleric-web.js, the file behind `cleric/web`, and prints its size. What only Node
 * has is left out by the field "browser" of package.json, which names the modules that stand in.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = new URL('../', import.meta.url)
const OUTPUT = fileURLToPath(new URL('dist/web/cleric-web.js', root))

/** The files of shaders/ without comments and indentation, which cost more than their code. */
function shaders(): Record<string, string> {
  const folder = new URL('shaders/', root)
  const lean = (text: string) =>
    text
      .split('\n')
      .map((line) => line.replace(/\s*\/\/.*$/, '').trim())
      .filter((line) => line !== '')
      .join('\n')
  const names = readdirSync(folder).filter((name) => name.endsWith('.wgsl'))
  return Object.fromEntries(names.map((name) => [name, lean(readFileSync(new URL(name, folder), 'utf8'))]))
}

await build({
  entryPoints: [fileURLToPath(new URL('dist/web/index.js', root))],
  outfile: OUTPUT,
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  // Stack traces of errors that users report.
  keepNames: true,
  sourcemap: 'linked',
  sourcesContent: false,
  define: { CLERIC_SHADERS: JSON.stringify(shaders()) },
  logLevel: 'warning',
})
const bytes = readFileSync(OUTPUT)
console.log(`cleric-web.js: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} with gzip`)
