/** What a device can't hold is refused before it is made, by the name of the limit and the numbers. */
import { DeviceError } from '../errors.js'

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
