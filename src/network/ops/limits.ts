/** Sizes that an op's integer arithmetic is not proven for are refused. */
import { UnsupportedError } from '../../errors.js'

/** @throws UnsupportedError ERR_MODEL_UNSUPPORTED if a value is larger than is supported */
export function atMost(value: number, most: number, what: string): void {
  if (value > most) throw unsupported(`${what}: ${value}, at most ${most} are supported`)
}

export function unsupported(message: string): UnsupportedError {
  return new UnsupportedError('ERR_MODEL_UNSUPPORTED', message)
}
