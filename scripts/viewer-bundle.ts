/** Bundles viewer/ into dist/viewer, a folder that any web server can serve, and prints the sizes of its files. */
import { copyFileSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { FOR_BROWSERS, printSize } from './bundle.js'

const root = fileURLToPath(new URL('../', import.meta.url))
const output = join(root, 'dist/viewer')

// Chunks of an earlier build have other names.
rmSync(output, { recursive: true, force: true })
await build({
  ...FOR_BROWSERS,
  entryPoints: { viewer: join(root, 'viewer/src/main.ts') },
  outdir: output,
  splitting: true,
  chunkNames: 'chunk-[hash]',
  // The licence of OpenSeadragon goes with it.
  legalComments: 'linked',
  loader: { '.glsl': 'text' },
})
for (const name of ['index.html', 'viewer.css']) copyFileSync(join(root, 'viewer', name), join(output, name))
// The page loads it when it has an archive to decode, and once more as the worker that does.
for (const name of ['cleric-web.js', 'cleric-web.js.map'])
  copyFileSync(join(root, 'dist/web', name), join(output, name))
for (const name of readdirSync(output).filter((name) => /\.(js|css|html)$/.test(name))) {
  printSize(`viewer/${name}`, readFileSync(join(output, name)))
}
