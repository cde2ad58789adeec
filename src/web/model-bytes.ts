/** Model files from servers, in browsers, in place of `src/model/model-bytes.ts`. */
import { ClericError } from '../errors.js'

/**
 * Where the package has its model, seen from `dist/web/`. Bundlers that make a classic script leave no address of a module:
 * such a page names the model itself, and must be able to load.
 */
export const DEFAULT_MODEL_FILE = new URL(
  '../../models/cleric-s.safetensors',
  import.meta.url ?? globalThis.location?.href,
)

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
