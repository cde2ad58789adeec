import type { Cli } from './cli.js'

export function addDevices(cli: Cli): void {
  cli.add(
    'devices',
    'Adapters with limits and features, and which one `auto` picks and why',
    (command) => command,
    async () => {
      // Loaded here, as loading a WebGPU implementation takes a while and only this command needs all of it.
      const { listAdapters } = await import('../webgpu/adapters.js')
      const devices = await listAdapters()
      const first = devices[0]
      const reason = !first
        ? 'there is no WebGPU adapter'
        : first.software
          ? 'there is no GPU with a driver; this one runs on the processor and is the fastest of its kind'
          : 'it is the fastest GPU'
      const json = { auto: first?.name ?? null, reason, devices }
      const lines = [first ? `auto picks ${first.name}: ${reason}` : `auto finds nothing: ${reason}`]
      for (const { kind, name, software, features, limits } of devices) {
        lines.push('', `${name} (${kind}${software ? ', software' : ''})`)
        lines.push(...Object.entries(limits).map(([key, value]) => `  ${key}: ${value}`))
        lines.push(`  features: ${features.join(', ') || 'none'}`)
      }
      return { json, text: lines.join('\n'), ok: devices.length > 0 }
    },
    'cleric devices --json',
  )
}
