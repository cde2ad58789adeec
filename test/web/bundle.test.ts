/**
 * cleric/web has nothing of Node in it: the field "browser" of package.json names modules of the same shape that stand in for
 * those that need it.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import test from 'ava'
import { build } from 'esbuild'
import { bundle } from './browser.js'

const root = new URL('../../', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
  readonly browser: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** The exports of a module, private parts of classes aside. */
type Shape<T> = T extends abstract new (
  ...all: infer A
) => infer I
  ? new (
      ...all: A
    ) => { readonly [K in keyof I]: unknown }
  : T
type Part<
  Module,
  _StandIn extends { readonly [K in keyof _StandIn]: K extends keyof Module ? Shape<Module[K]> : never },
> = true

/** TypeScript takes only modules whose stand-in has exports of theirs, of types that fit. */
const STAND_INS: {
  'concurrency/before-exit': Part<
    typeof import('../../src/concurrency/before-exit.js'),
    typeof import('../../src/web/before-exit.js')
  >
  'codec/classic-encoder': Part<
    typeof import('../../src/codec/classic-encoder.js'),
    typeof import('../../src/web/classic-encoder.js')
  >
  'codec/deflate': Part<typeof import('../../src/codec/deflate.js'), typeof import('../../src/web/deflate.js')>
  'codec/picture': Part<typeof import('../../src/codec/picture.js'), typeof import('../../src/web/picture.js')>
  'codec/devices': Part<typeof import('../../src/codec/devices.js'), typeof import('../../src/web/devices.js')>
  'files/local-file': Part<typeof import('../../src/files/local-file.js'), typeof import('../../src/web/local-file.js')>
  'files/sha256': Part<typeof import('../../src/files/sha256.js'), typeof import('../../src/web/sha256.js')>
  'image/stored-jpeg': Part<
    typeof import('../../src/image/stored-jpeg.js'),
    typeof import('../../src/web/stored-jpeg.js')
  >
  /** Where it has no address, the default model is a path. */
  'model/model-bytes': Part<
    Omit<typeof import('../../src/model/model-bytes.js'), 'DEFAULT_MODEL_FILE'> & { DEFAULT_MODEL_FILE: string | URL },
    typeof import('../../src/web/model-bytes.js')
  >
  /** What it has of the addon is checked where it is written. */
  'native/addon': Part<
    Omit<typeof import('../../src/native/addon.js'), 'addon'> & { addon: () => object },
    typeof import('../../src/web/addon.js')
  >
  'slide/to-srgb': Part<typeof import('../../src/slide/to-srgb.js'), typeof import('../../src/web/to-srgb.js')>
  'webgpu/adapters': Part<typeof import('../../src/webgpu/adapters.js'), typeof import('../../src/web/adapters.js')>
  'webgpu/event-loop': Part<
    typeof import('../../src/webgpu/event-loop.js'),
    typeof import('../../src/web/event-loop.js')
  >
  'webgpu/shader-files': Part<
    typeof import('../../src/webgpu/shader-files.js'),
    typeof import('../../src/web/shader-files.js')
  >
} = {
  'concurrency/before-exit': true,
  'codec/classic-encoder': true,
  'codec/deflate': true,
  'codec/picture': true,
  'codec/devices': true,
  'files/local-file': true,
  'files/sha256': true,
  'image/stored-jpeg': true,
  'model/model-bytes': true,
  'native/addon': true,
  'slide/to-srgb': true,
  'webgpu/adapters': true,
  'webgpu/event-loop': true,
  'webgpu/shader-files': true,
}

test('every stand-in is checked against its module', (t) => {
  const modules = Object.keys(manifest.browser).map((path) => path.replace(/^\.\/dist\/(.*)\.js$/, '$1'))
  t.deepEqual(modules.sort(), Object.keys(STAND_INS).sort())
  for (const [module, standIn] of Object.entries(manifest.browser)) {
    t.is(standIn.replace('./dist/web/', ''), module.replace(/^.*\//, ''), 'it has the same name')
    for (const path of [module, standIn]) {
      t.notThrows(() => readFileSync(new URL(path.replace('./dist/', 'src/').replace(/js$/, 'ts'), root)))
    }
  }
})

test('the bundle imports nothing', async (t) => {
  t.is(fileURLToPath(bundle), fileURLToPath(new URL(manifest.exports['./web']?.default as string, root)))
  // esbuild lists what a file imports; an import that it can't find, such as one of Node, is an error for browsers.
  const { metafile } = await build({
    entryPoints: [fileURLToPath(bundle)],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    external: ['*'],
  })
  const outputs = Object.values(metafile.outputs).flatMap(({ imports }) => imports)
  t.deepEqual(outputs, [])
  const text = readFileSync(bundle, 'utf8')
  t.notRegex(text, /\b(require|createRequire)\(|["']node:|\bBuffer\.|\bprocess\./)
})

test('as a classic script, wherever it runs, it loads, and a worker without the address of its file is refused by name', async (t) => {
  const { outputFiles } = await build({
    stdin: {
      contents: `export { DEFAULT_MODEL_FILE } from './src/web/model-bytes.ts'
        export { SlideWorker } from './src/web/slide-worker.ts'`,
      resolveDir: fileURLToPath(root),
    },
    ...{ bundle: true, format: 'iife', globalName: 'cleric', write: false, logLevel: 'silent' },
  })
  for (const [location, model] of [
    [undefined, '../../models/cleric-s.safetensors'],
    [{ href: 'about:srcdoc' }, '../../models/cleric-s.safetensors'],
    [{ href: 'blob:https://lab.example/5d41' }, '../../models/cleric-s.safetensors'],
    [{ href: 'https://lab.example/a/b/page.html' }, 'https://lab.example/models/cleric-s.safetensors'],
  ] as const) {
    const page = createContext({ URL, location })
    runInContext(outputFiles[0]?.text as string, page)
    t.is(runInContext('String(cleric.DEFAULT_MODEL_FILE)', page), model)
    const refused = runInContext('try { new cleric.SlideWorker() } catch ({ code, message }) { [code, message] }', page)
    t.deepEqual(
      [...refused],
      ['ERR_INVALID_ARGUMENT', 'Expected a URL for module but received undefined of type undefined'],
    )
  }
})
