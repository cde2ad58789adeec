/** All that the native adapter offers, experimental features too: what kernels could be written for. */
import { pickAdapter } from '../../src/webgpu/adapters.js'

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

/** @param name a part of the adapter's name; undefined: the best one */
export async function describeAdapter(name: string | undefined): Promise<object> {
  const { adapter } = await pickAdapter(name)
  const { subgroupMatrixConfigs } = adapter.info as MoreInfo
  return {
    info: entriesOf(adapter.info),
    features: [...adapter.features].sort(),
    limits: entriesOf(adapter.limits),
    subgroupMatrixConfigs: subgroupMatrixConfigs ? [...subgroupMatrixConfigs].map(entriesOf) : null,
  }
}
