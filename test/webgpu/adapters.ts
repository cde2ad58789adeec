/**
 * The adapters that the tests run on: each that is here. One that we know of
 * and that isn't here is skipped by name; none at all fails.
 */
import ava, { type ExecutionContext } from 'ava'
import { listAdapters, pickAdapter } from '../../src/webgpu/adapters.js'
import { openWebGpu, WebGpuBackend } from '../../src/webgpu/backend.js'

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

async function opened(key: string, make: () => Promise<WebGpuBackend>): Promise<WebGpuBackend> {
  let backend = open.get(key)
  if (!backend) {
    backend = make()
    open.set(key, backend)
  }
  return backend
}

/** Registers a test for the best adapter, run with the tiles of a GPU if it is software, and the other way round. */
export function withOtherTiles(
  title: string,
  body: (t: ExecutionContext, backend: WebGpuBackend) => Promise<void>,
): void {
  ava.serial(`other tiles: ${title}`, async (t) => {
    t.timeout(290_000)
    const backend = await opened('other tiles', async () => {
      const { description, adapter } = await pickAdapter()
      const found = { description: { ...description, software: !description.software }, adapter }
      return WebGpuBackend.open(found, { subgroups: 'none' })
    })
    await body(t, backend)
  })
}

/** Registers a test for every adapter; they share a backend each and run one after another. */
export function onEachAdapter(
  title: string,
  body: (t: ExecutionContext, backend: WebGpuBackend, adapter: string) => Promise<void>,
): void {
  for (const { name } of found) {
    ava.serial(`${name}: ${title}`, async (t) => {
      t.timeout(240_000)
      await body(t, await opened(name, () => openWebGpu({ adapter: name })), name)
    })
  }
}
