/** What a WebGPU implementation and its drivers want of a program is not left behind in it. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test from 'ava'
import { TYPESCRIPT } from '../typescript.js'

const { EGL_PLATFORM, XDG_RUNTIME_DIR, VK_ADD_DRIVER_FILES, ...env } = process.env

/** Opens a device on each adapter, and tells what has changed. */
const script = `
  const before = { env: JSON.stringify(process.env), globals: Object.getOwnPropertyNames(globalThis) }
  const { findAdapters } = await import('${new URL('../../src/webgpu/adapters.ts', import.meta.url)}')
  const { WebGpuBackend } = await import('${new URL('../../src/webgpu/backend.ts', import.meta.url)}')
  const adapters = await findAdapters()
  for (const found of adapters) (await WebGpuBackend.open(found)).close()
  console.log(JSON.stringify({
    adapters: adapters.map(({ description }) => description.name),
    isSameEnvironment: JSON.stringify(process.env) === before.env,
    globals: Object.getOwnPropertyNames(globalThis).filter((name) => !before.globals.includes(name)),
  }))`

test('neither environment nor globals of the program are changed, and nothing is said of a display', async (t) => {
  const argv = [TYPESCRIPT, '--input-type=module', '-e', script]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, argv, { env })
  const { adapters, ...changes } = JSON.parse(stdout)
  t.log(adapters.join(', '))
  t.true(adapters.length > 0)
  t.deepEqual(changes, { isSameEnvironment: true, globals: [] })
  t.notRegex(stderr, /XDG_RUNTIME_DIR/)
})

test('what the program has set itself is what the drivers find', async (t) => {
  const argv = [TYPESCRIPT, '--input-type=module', '-e', script]
  // There is no such display, and so no adapter on it.
  const own = { ...env, EGL_PLATFORM: 'x11', DISPLAY: '' }
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env: own })
  const { adapters, isSameEnvironment } = JSON.parse(stdout)
  t.true(isSameEnvironment)
  t.false(
    adapters.some((name: string) => name.endsWith('(opengles)')),
    adapters.join(', '),
  )
})
