/** The bytes of model files. */
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ClericError } from '../errors.js'
import { notAFile } from '../files/local-file.js'

/** The model that is used where none is named. */
export const DEFAULT_MODEL_FILE = publishedFile('s')

/** Models that are called by the name of their preset, instead of a file's. */
export const MODEL_NAMES = ['s', 'm'] as const
type ModelName = (typeof MODEL_NAMES)[number]

function publishedFile(name: ModelName): URL {
  return new URL(`../../models/cleric-${name}.safetensors`, import.meta.url)
}

function isModelName(file: string | URL): file is ModelName {
  return (MODEL_NAMES as readonly unknown[]).includes(file)
}

/**
 * Where a model lies, the same for all names of one file. A model's name means a file of the package, whatever is called so in the working directory, which `./s`
 * stands for.
 *
 * @example
 * modelPath('s') // '/.../cleric/models/cleric-s.safetensors'
 * modelPath('old.safetensors') // '/.../old.safetensors'
 */
export function modelPath(model: string): string {
  return isModelName(model) ? fileURLToPath(publishedFile(model)) : resolve(model)
}

/** @throws ClericError ERR_MODEL_MISSING for the name of a model that this package has no weights of, and what is no file */
export async function modelBytes(file: string | URL): Promise<Uint8Array> {
  if (!isModelName(file)) {
    // Reading a pipe or a device may never end.
    if (!(await stat(file)).isFile()) throw new ClericError('ERR_MODEL_MISSING', notAFile(String(file)))
    return readFile(file)
  }
  const path = modelPath(file)
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const remedy =
      'models/README.md of cleric lists the models that were published, training/README.md how to train one'
    throw new ClericError('ERR_MODEL_MISSING', `Model ${file} is not here: there is no ${path}. ${remedy}`, {
      cause: error,
    })
  }
}
