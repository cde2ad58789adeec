/** Model files from servers, in browsers, in place of `src/model/model-bytes.ts`. */
import { ClericError } from '../errors.js'

const PLACE = '../../models/cleric-s.safetensors'

/**
 * Bundlers that make a classic script leave no address of a module, and that of a worker made of a Blob is no base of
 * others: such a page names the model itself, and must be able to load.
 */
const HERE = import.meta.url ?? globalThis.location?.href

/** Where the package has its model, seen from `dist/web/`. */
export const DEFAULT_MODEL_FILE: string | URL = URL.canParse(PLACE, HERE) ? new URL(PLACE, HERE) : PLACE

/** @throws ClericError ERR_NETWORK */
export async function modelBytes(file: string | URL): Promise<Uint8Array> {
  let why: string
  let cause: unknown
  try {
    const response = await fetch(file)
    if (response.ok) return new Uint8Array(await response.arrayBuffer())
    why = `${response.status} ${response.statusText}`.trimEnd()
  } catch (error) {
    cause = error
    why = (error as Error).message
  }
  throw new ClericError('ERR_NETWORK', `Can't fetch the model ${file}: ${why}`, { cause })
}

/** The address is complete already. */
export function modelPath(model: string): string {
  return model
}
