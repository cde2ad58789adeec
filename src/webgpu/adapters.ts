/**
 * The adapters that Dawn finds here, and which of them is best: a GPU before a
 * processor that pretends to be one, and among those OpenGL ES (llvmpipe),
 * which runs our kernels fastest.
 */
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { DeviceError } from '../errors.js'
import { loadDawn } from './dawn.js'

/** The limits that `cleric devices` lists. */
const LIMITS = [
  'maxTextureDimension2D',
  'maxTextureArrayLayers',
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageTexturesPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeWorkgroupStorageSize',
] as const satisfies readonly (keyof GPUSupportedLimits)[]

export interface AdapterDescription {
  readonly kind: 'webgpu'
  /** E.g. "llvmpipe-llvm-15-0-6-256-bits (opengles)". */
  readonly name: string
  readonly backend: 'vulkan' | 'metal' | 'd3d12' | 'opengles' | 'browser'
  /** A processor pretends to be a GPU. */
  readonly software: boolean
  readonly description: string
  readonly features: readonly string[]
  readonly limits: Readonly<Record<(typeof LIMITS)[number], number>>
}

export interface FoundAdapter {
  readonly description: AdapterDescription
  readonly adapter: GPUAdapter
}

const NATIVE = ({ darwin: 'metal', win32: 'd3d12' } as const)[process.platform as 'darwin'] ?? 'vulkan'
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json'
const SOFTWARE = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render/i

/** GPU instances by their options; kept for the life of the process, as Dawn wants it. */
const instances = new Map<string, GPU>()

/**
 * What drivers on Linux read from the environment, by what they should find there if nothing is set:
 *
 * - EGL without a display server gives no display, unless it is told that none is wanted;
 * - Mesa's Vulkan layer looks for a Wayland server, and complains on stderr if there is no folder to look in;
 * - Debian's chromium brings SwiftShader, but no loader looks for it there.
 */
function driverVariables(): ReadonlyMap<string, string> {
  const variables = new Map<string, string>()
  if (process.platform !== 'linux') return variables
  variables.set('EGL_PLATFORM', 'surfaceless').set('XDG_RUNTIME_DIR', tmpdir())
  if (existsSync(SWIFTSHADER)) variables.set('VK_ADD_DRIVER_FILES', SWIFTSHADER)
  return variables
}

/**
 * Calls `look` with these variables set. They are read before it returns, so that they are gone before any of the host
 * program runs: the environment is its own, and its children inherit it.
 */
function inDriverEnvironment<T>(look: () => T): T {
  const variables = [...driverVariables()].filter(([name]) => process.env[name] === undefined)
  for (const [name, value] of variables) process.env[name] = value
  try {
    return look()
  } finally {
    for (const [name] of variables) delete process.env[name]
  }
}

/**
 * Whether the kernel shows a GPU: a render node, NVIDIA's or WSL's. Looking for
 * one where there is none costs time, and lines on stderr.
 */
export function mayHaveGpu(): boolean {
  if (process.platform !== 'linux') return true
  const names = ['/dev', '/dev/dri'].flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []))
  return names.some((name) => /^(renderD|nvidia)\d+$|^dxg$/.test(name))
}

/**
 * Asks the instance with these options for an adapter, as the driver needs its environment to be; null if there is none.
 *
 * @throws DeviceError ERR_WEBGPU_MISSING
 */
export async function requestFrom(
  instanceOptions: readonly string[],
  options?: GPURequestAdapterOptions,
): Promise<GPUAdapter | null> {
  const { create } = await loadDawn()
  return inDriverEnvironment(() => {
    const key = instanceOptions.join(' ')
    const gpu = instances.get(key) ?? create([...instanceOptions])
    instances.set(key, gpu)
    return gpu.requestAdapter(options)
  })
}

function describe(adapter: GPUAdapter, backend: AdapterDescription['backend']): AdapterDescription {
  const { device, description, vendor, isFallbackAdapter } = adapter.info
  const label = (device || description || vendor || 'unnamed').replace(/-+$/, '')
  return {
    kind: 'webgpu',
    name: `${label} (${backend})`,
    backend,
    software: isFallbackAdapter || SOFTWARE.test(`${device} ${description} ${vendor}`),
    description,
    features: [...adapter.features].sort(),
    limits: Object.fromEntries(
      LIMITS.map((name) => [name, adapter.limits[name]]),
    ) as unknown as AdapterDescription['limits'],
  }
}

/**
 * Adapters come with what Dawn keeps from the web, for matrix units (see subgroups.ts). A software adapter comes
 * without Dawn's clamps of texture coordinates, which cost it up to a third of its speed: our kernels read inside their
 * textures (see textures.ts), and its own reads are checked.
 */
async function request(
  backend: AdapterDescription['backend'],
  options: GPURequestAdapterOptions,
  ...more: string[]
): Promise<FoundAdapter[]> {
  const unclamped = 'disable_robustness'
  const find = async (...extra: string[]) => {
    const toggles = ['allow_unsafe_apis', ...extra].join(',')
    const adapter = await requestFrom([`backend=${backend}`, ...more, `enable-dawn-features=${toggles}`], options)
    return adapter ? [{ description: describe(adapter, backend), adapter }] : []
  }
  const assumed = backend === 'opengles' // there it nearly always is
  const [found] = await find(...(assumed ? [unclamped] : []))
  if (!found || found.description.software === assumed) return found ? [found] : []
  return find(...(assumed ? [] : [unclamped]))
}

/**
 * Names of the adapters that the native API has. WebGPU has no list, but Dawn's binding names them all to refuse one.
 */
async function nativeNames(): Promise<string[]> {
  try {
    await requestFrom([`backend=${NATIVE}`, 'adapter=\0'])
    return []
  } catch (error) {
    if (error instanceof DeviceError) throw error
    const message = error instanceof Error ? error.message : ''
    return [...message.matchAll(/backend: '([^']*)', name: '([^\n]*)'/g)].flatMap(([, backend, name]) =>
      backend === NATIVE && name ? [name] : [],
    )
  }
}

/**
 * Every adapter here, best first. An adapter gives one device; find it anew for another.
 *
 * @throws DeviceError ERR_WEBGPU_MISSING
 */
export async function findAdapters(): Promise<FoundAdapter[]> {
  const found = await request('opengles', { featureLevel: 'compatibility' })
  for (const name of await nativeNames()) {
    found.push(...(await request(NATIVE, {}, `adapter=${name}`)))
  }
  const rank = ({ software, backend }: AdapterDescription) =>
    (software ? 2 : 0) + Number(software !== (backend === 'opengles'))
  return found.sort((a, b) => rank(a.description) - rank(b.description))
}

/** Descriptions of all adapters, best first: what `cleric devices` prints. */
export async function listAdapters(): Promise<AdapterDescription[]> {
  return (await findAdapters()).map(({ description }) => description)
}

/**
 * The best adapter, or the best of those whose name contains `name` (any case).
 * Throws DeviceError ERR_NO_DEVICE, ERR_WEBGPU_MISSING with what to install.
 */
export async function pickAdapter(name?: string): Promise<FoundAdapter> {
  if (name === undefined) {
    const native = () => request(NATIVE, { powerPreference: 'high-performance' })
    const [first] = mayHaveGpu() ? await native() : []
    if (first && !first.description.software) return first
    const [second] = await request('opengles', { featureLevel: 'compatibility' })
    const [third] = second ? [second] : await native()
    if (third) return third
  }
  const all = await findAdapters()
  const wanted = name?.toLowerCase() ?? ''
  const picked = all.find(({ description }) => description.name.toLowerCase().includes(wanted))
  if (picked) return picked
  if (all.length > 0) {
    const names = all.map(({ description }) => `"${description.name}"`).join(', ')
    throw new DeviceError('ERR_NO_DEVICE', `No adapter's name contains "${name}"; there are ${names}`)
  }
  const packages = 'libegl-dev libgles2 libegl-mesa0 libgl1-mesa-dri libvulkan1 mesa-vulkan-drivers'
  const how =
    process.platform === 'linux'
      ? `install a GPU's driver with Vulkan, or a software adapter: apt-get install ${packages}`
      : "install a driver for the machine's GPU"
  throw new DeviceError('ERR_NO_DEVICE', `WebGPU finds no adapter on this machine; ${how}`)
}
