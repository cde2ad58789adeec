/** The error of a reader whose file ends too early. */
import { CorruptDataError } from '../errors.js'

export function cutShort(name: string, offset: number, length: number, size: number): CorruptDataError {
  return new CorruptDataError(
    'ERR_ARCHIVE_CORRUPT',
    `${name} ends at byte ${size}, but bytes ${offset} to ${offset + length} are asked for: it is cut short or corrupt`,
  )
}
