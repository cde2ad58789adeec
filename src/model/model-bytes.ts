/** The bytes of model files. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'

/** The model that ships with the package. */
export const DEFAULT_MODEL_FILE = new URL('../../models/cleric-s.safetensors', import.meta.url)

export function modelBytes(file: string | URL): Promise<Uint8Array> {
  return readFile(file)
}

/** The same for all names of one file. */
export function modelKey(file: string): string {
  return resolve(file)
}
