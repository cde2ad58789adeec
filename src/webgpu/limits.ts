/**
 * What every device can hold, and what a device can't, which is refused before it is made, by the name of the limit and
 * the numbers.
 */
import { DeviceError } from '../errors.js'

/** Textures that a stage may read on every device: https://www.w3.org/TR/webgpu/#limits */
export const MOST_TEXTURES = 16
/** Bytes of a workgroup's memory on every device: https://www.w3.org/TR/webgpu/#limits */
export const WORKGROUP_BYTES = 16384

/**
 * Throws ERR_DEVICE_LIMIT if `value` is over a limit.
 *
 * @param what how the message calls the value, e.g. "a buffer of 64 bytes"
 */
export function checkLimit<Limit extends keyof GPUSupportedLimits>(
  name: string,
  what: string,
  value: number,
  limit: Limit,
  limits: Readonly<Record<Limit, number>>,
): void {
  if (value <= limits[limit]) return
  throw new DeviceError('ERR_DEVICE_LIMIT', `${name}: ${what} is over the device's ${limit} of ${limits[limit]}`)
}
