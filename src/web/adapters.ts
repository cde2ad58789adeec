/** The browser's WebGPU adapter, in place of `src/webgpu/adapters.ts`. */
import { DeviceError } from '../errors.js'
import type { FoundAdapter } from '../webgpu/adapters.js'

const SOFTWARE = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render/i

/** @throws DeviceError ERR_NO_DEVICE where the browser has no WebGPU, or no adapter for it */
export async function pickAdapter(): Promise<FoundAdapter> {
  // Not there in pages without https either, other than of the machine itself.
  const gpu = (globalThis.navigator as Partial<Navigator> | undefined)?.gpu
  if (!gpu) {
    const why = globalThis.isSecureContext === false ? ', as the page came without https' : ''
    throw new DeviceError('ERR_NO_DEVICE', `This browser has no WebGPU here${why}`)
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter)
    throw new DeviceError('ERR_NO_DEVICE', "WebGPU finds no adapter: this browser can't use the machine's GPU")
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info
  const name = description || device || `${vendor} ${architecture}`.trim() || 'unnamed'
  return {
    adapter,
    description: {
      kind: 'webgpu',
      name: `${name} (browser)`,
      backend: 'browser',
      software: isFallbackAdapter || SOFTWARE.test(`${vendor} ${architecture} ${device} ${description}`),
      description,
      features: [...adapter.features].sort(),
      limits: adapter.limits,
    },
  }
}
