/**
 * Dawn, WebGPU for Node: the package `webgpu`. It weighs several times what all the rest does, and only who has a GPU
 * needs it, so that it is an optional peer dependency, loaded when an adapter is looked for.
 */
import { createRequire } from 'node:module'
import { DeviceError } from '../errors.js'
import { webgpuVersions } from '../package.js'

/** Whether the package is there; it may still fail to load. */
export function isDawnInstalled(): boolean {
  try {
    createRequire(import.meta.url).resolve('webgpu')
    return true
  } catch {
    return false
  }
}

/** The command that installs the package, of the versions that cleric is made for. */
export function howToInstallDawn(): string {
  return `npm install webgpu@${webgpuVersions()}`
}

/**
 * @param load imports the package
 * @throws DeviceError ERR_WEBGPU_MISSING if it isn't installed, or has no build for this platform
 */
export async function loadDawn(load = () => import('webgpu')): Promise<typeof import('webgpu')> {
  try {
    return await load()
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)
    const what = `WebGPU needs the package webgpu, which can't be loaded: ${reason}`
    throw new DeviceError(
      'ERR_WEBGPU_MISSING',
      `${what}. Install it with \`${howToInstallDawn()}\`, or use --device cpu, { device: 'cpu' }`,
      { cause },
    )
  }
}
