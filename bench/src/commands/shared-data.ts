import { fileURLToPath } from 'node:url'

/** A folder of the images beside the repository, whether it is there or not. */
export function sharedData(name: string): string {
  return fileURLToPath(new URL(`../../../../shared/data/${name}`, import.meta.url))
}
