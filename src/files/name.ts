/** Names of files, for people. */
import { basename } from 'node:path'
import { isAddress } from './byte-source.js'

/** The name of a file, without its folders: of a path or an address. */
export function nameOf(source: string): string {
  if (!isAddress(source) || !URL.canParse(source)) return basename(source)
  const { hostname, pathname } = new URL(source)
  return basename(pathname) || hostname
}
