/** Where the network may run. */
export const DEVICE_KINDS = ['auto', 'webgpu', 'cpu'] as const
export type DeviceKind = (typeof DEVICE_KINDS)[number]
