/**
 * Bundles dist/web/index.js into dist/web/cleric-web.js, the file behind `cleric/web`, and prints its size. What only Node
 * has is left out by the field "browser" of package.json, which names the modules that stand in.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { FOR_BROWSERS, printSize } from './bundle.js'

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
  ...FOR_BROWSERS,
  entryPoints: [fileURLToPath(new URL('dist/web/index.js', root))],
  outfile: OUTPUT,
  define: { CLERIC_SHADERS: JSON.stringify(shaders()) },
})
printSize('cleric-web.js', readFileSync(OUTPUT))
