/** All that the native adapter offers, experimental features too: what kernels could be written for. */
import { loadDawn } from '../../src/webgpu/dawn.js'

/** What @webgpu/types doesn't know of an adapter's facts yet. */
interface MoreInfo {
  readonly subgroupMatrixConfigs?: Iterable<object>
}

/** Names of an interface's attributes, which the binding keeps on the prototype. */
function entriesOf(value: object): Record<string, unknown> {
  const entries: Record<string, unknown> = {}
  for (let at: object | null = value; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      const own = (value as Record<string, unknown>)[name]
      if (['number', 'string', 'boolean', 'bigint'].includes(typeof own)) entries[name] = own
    }
  }
  return entries
}

/** Kept for the life of the process, as Dawn wants it. */
const instances: GPU[] = []

/** The best adapter of a backend; null if there is none. */
export async function describeAdapter(backend = 'vulkan'): Promise<object | null> {
  const { create } = await loadDawn()
  const gpu = create([`backend=${backend}`, 'enable-dawn-features=allow_unsafe_apis'])
  instances.push(gpu)
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) return null
  const { subgroupMatrixConfigs } = adapter.info as MoreInfo
  return {
    info: entriesOf(adapter.info),
    features: [...adapter.features].sort(),
    limits: entriesOf(adapter.limits),
    subgroupMatrixConfigs: subgroupMatrixConfigs ? [...subgroupMatrixConfigs].map(entriesOf) : null,
  }
}
