/** In browsers, in place of `src/files/local-file.ts`: there are no paths, and a file that was picked is a Blob. */
import { outOfRange } from '../arguments.js'

export function openFile(source: string | URL): Promise<never> {
  return Promise.reject(outOfRange('an http(s) address or a Blob', 'source', String(source)))
}
