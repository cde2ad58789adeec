/**
 * Dawn, WebGPU for Node: the package `webgpu`. It weighs several times what all the rest does, and only who has a GPU
 * needs it, so that it is an optional peer dependency, loaded when an adapter is looked for.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { DeviceError } from '../errors.js'

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
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return `npm install webgpu@${manifest.peerDependencies.webgpu}`
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
