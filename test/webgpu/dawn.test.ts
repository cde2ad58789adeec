/** The optional package that WebGPU is. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { globals } from 'webgpu'
import * as constants from '../../src/webgpu/constants.js'
import { howToInstallDawn, isDawnInstalled, loadDawn } from '../../src/webgpu/dawn.js'

test('the constants are those of the implementation', (t) => {
  const native = globals as unknown as Record<string, Record<string, number>>
  for (const [name, values] of Object.entries(constants)) {
    t.like({ ...native[name] }, values, name)
  }
  t.is(Object.keys(constants).length, 4)
})

test('without the package the error says how to install it', async (t) => {
  const missing: string = 'no-such-package'
  await t.throwsAsync(
    loadDawn(() => import(missing)),
    {
      code: 'ERR_WEBGPU_MISSING',
      message: /'no-such-package'.*`npm install webgpu@\^\d+\.\d+\.\d+`, or use --device cpu/,
    },
  )
  t.true(isDawnInstalled())
  t.is(typeof (await loadDawn()).create, 'function')
})

test('the version that is asked for is the one that the tests run with', (t) => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  t.is(howToInstallDawn(), `npm install webgpu@^${manifest.devDependencies.webgpu}`)
})
