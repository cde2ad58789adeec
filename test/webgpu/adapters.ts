/**
 * The adapters that the tests run on: each that is here. One that we know of
 * and that isn't here is skipped by name; none at all fails.
 */
import ava, { type ExecutionContext } from 'ava'
import { listAdapters } from '../../src/webgpu/adapters.js'
import { openWebGpu, type WebGpuBackend } from '../../src/webgpu/backend.js'

/** Software adapters that a machine without a GPU can have, by a part of their names. */
const KNOWN = ['(opengles)', 'swiftshader', 'llvmpipe (vulkan)']

const found = await listAdapters()

ava('there is an adapter to test on', (t) => {
  t.true(found.length > 0, 'WebGPU finds no adapter; run scripts/setup')
  for (const { name, software } of found) t.log(`${name}${software ? ', software' : ''}`)
})

for (const part of KNOWN) {
  const isPart = (name: string) => part.split(' ').every((word) => name.toLowerCase().includes(word))
  if (!found.some(({ name }) => isPart(name))) ava.skip(`${part}: not on this machine`, (t) => t.pass())
}

const open = new Map<string, Promise<WebGpuBackend>>()
ava.after.always(async () => {
  for (const backend of open.values()) (await backend).close()
})

/** Registers a test for every adapter; they share a backend each and run one after another. */
export function onEachAdapter(
  title: string,
  body: (t: ExecutionContext, backend: WebGpuBackend, adapter: string) => Promise<void>,
): void {
  for (const { name } of found) {
    ava.serial(`${name}: ${title}`, async (t) => {
      t.timeout(240_000)
      let backend = open.get(name)
      if (!backend) {
        backend = openWebGpu({ adapter: name })
        open.set(name, backend)
      }
      await body(t, await backend, name)
    })
  }
}
