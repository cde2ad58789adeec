/** A tile or an archive of another model than the one that is open. */
import { UnsupportedError } from '../errors.js'
import { modelId } from './bitstream.js'

/**
 * Says which model is needed, and where to get it.
 *
 * @param what what was made with it, e.g. "slide.cleric.tif"
 * @param needed a tile by itself knows no more of its model than the id
 * @example
 * throw modelMismatch('The tile', { id: head.modelId }, codec.model)
 */
export function modelMismatch(
  what: string,
  needed: { readonly name: string; readonly hash: string } | { readonly id: string },
  open: { readonly name: string; readonly hash: string },
): UnsupportedError {
  const named = ({ name, hash }: { readonly name: string; readonly hash: string }) => `${name} (${modelId(hash)})`
  const which = 'id' in needed ? needed.id : named(needed)
  const remedy = "It takes that model's file; models/README.md of cleric lists those that were published"
  return new UnsupportedError(
    'ERR_MODEL_MISMATCH',
    `${what} was made with model ${which}, but open is ${named(open)}. ${remedy}`,
  )
}
