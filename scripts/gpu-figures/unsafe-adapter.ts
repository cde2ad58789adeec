/** The adapter that is picked by name, with what Dawn keeps from the web: experimental features, and exact timestamps. */
import { type FoundAdapter, pickAdapter, requestFrom } from '../../src/webgpu/adapters.js'

/** What tells adapters from each other. */
const IDENTITY = ['vendor', 'architecture', 'device', 'description'] as const

/**
 * @param name a part of the adapter's name; undefined: the best one
 * @param more options of Dawn's instance
 * @throws DeviceError ERR_NO_DEVICE, ERR_WEBGPU_MISSING
 * @throws RangeError if Dawn gives another adapter of that API than the one picked, which it does where there are several
 */
export async function unsafeAdapter(name: string | undefined, ...more: string[]): Promise<FoundAdapter> {
  const { adapter: picked, description } = await pickAdapter(name)
  const { backend } = description
  const adapter = await requestFrom([`backend=${backend}`, 'enable-dawn-features=allow_unsafe_apis', ...more], {
    powerPreference: 'high-performance',
    ...(backend === 'opengles' ? { featureLevel: 'compatibility' } : {}),
  })
  if (!adapter || IDENTITY.some((fact) => adapter.info[fact] !== picked.info[fact])) {
    const received = adapter ? `"${adapter.info.device}" (${adapter.info.description})` : 'none'
    throw new RangeError(
      `Expected the adapter "${description.name}" (${picked.info.description}) but received ${received}`,
    )
  }
  return { description, adapter }
}
