import type { Cli } from './cli.js'

export function addDevices(cli: Cli): void {
  cli.add(
    'devices',
    'Devices with limits and features, and which one `auto` picks and why',
    (command) => command,
    async () => {
      // Loaded here, as loading a WebGPU implementation takes a while.
      const { listDevices } = await import('../codec/devices.js')
      const { auto, reason, devices } = await listDevices()
      const lines = [`auto picks ${auto}: ${reason}`]
      for (const { kind, name, software, features, limits } of devices) {
        lines.push('', `${name} (${kind}${software ? ', software' : ''})`)
        lines.push(...Object.entries(limits).map(([key, value]) => `  ${key}: ${value}`))
        lines.push(`  features: ${features.join(', ') || 'none'}`)
      }
      return { json: { auto, reason, devices }, text: lines.join('\n') }
    },
    'cleric devices --json',
  )
}
