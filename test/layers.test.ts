/** The folders of src stand above each other: each imports from those below it only, types included. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const source = fileURLToPath(new URL('../src', import.meta.url))

/** Folders and files of src, each above all that it imports. */
const LAYERS = [
  ...['errors.ts', 'package.ts', 'nearest-name.ts', 'arguments.ts'],
  ...['native', 'concurrency', 'files', 'image', 'entropy', 'network', 'cpu', 'webgpu', 'model', 'checkpoint'],
  ...[
    'tiff',
    'slide',
    'dicom',
    'metrics',
    'codec',
    'archive',
    'web',
    'compress',
    'collection',
    'export',
    'server',
    'pipe',
    'static',
    'index.ts',
    'cli',
    'internal.ts',
  ],
]

/** The files of src that a file of it imports. */
function importsOf(file: string): string[] {
  const specifiers = readFileSync(join(source, file), 'utf8').matchAll(/(?:from|import|import\()\s*'(\.[^']*)\.js'/g)
  return Array.from(specifiers, ([, specifier]) =>
    relative(source, `${resolve(source, dirname(file), `${specifier}`)}.ts`),
  )
}

const layerOf = (file: string) => LAYERS.indexOf(file.split('/')[0] as string)

test('every folder of src has its layer', (t) => {
  t.deepEqual(readdirSync(source).sort(), [...LAYERS].sort())
})

test("README's table of places has every folder of src, of native and beside them, and no other", (t) => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const rows = /## Where things are\n([^#]*)/.exec(readme)?.[1]?.match(/^\| `.* \|$/gm) ?? []
  const named = rows.flatMap((row) =>
    Array.from((row.split(' | ')[0] as string).matchAll(/`([^`]+)`/g), ([, name]) => name),
  )
  const isFolder = (name: string) => statSync(join(root, name), { throwIfNoEntry: false })?.isDirectory() === true
  t.deepEqual(
    named.filter((name) => !isFolder(name as string)),
    [],
  )
  // What is made, or hidden, has no place.
  const isPlace = (name: string) => isFolder(name) && !/^(\.|node_modules$|dist$|build|coverage$)/.test(name)
  const rooms = ['src', 'native'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
  )
  const folders = [...readdirSync(root).filter((name) => name !== 'src' && name !== 'native'), ...rooms].filter(isPlace)
  // Documents have a table of their own below; what only the tests need stands in `native/test`.
  const elsewhere = ['docs', 'native/test']
  t.deepEqual(
    folders.filter((name) => !elsewhere.includes(name) && !named.includes(name)),
    [],
  )
})

test('imports lead to the same layer or a lower one', (t) => {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const arrows = files.flatMap((file) => importsOf(file).map((imported): [string, string] => [file, imported]))
  t.true(arrows.length > files.length, 'imports are found')
  t.deepEqual(
    arrows.filter(([file, imported]) => layerOf(imported) > layerOf(file)),
    [],
  )
})
