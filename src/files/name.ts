/** Names of files, for people. */
import { basename } from 'node:path'
import { isAddress } from './byte-source.js'
import { publicAddress } from './http.js'
import { pathOf } from './local-file.js'

/** The name of a file, without its folders: of a path, the URL of a file, or an address. */
export function nameOf(source: string): string {
  if (!isAddress(source) || !URL.canParse(source)) return basename(pathOf(source))
  const { hostname, pathname } = new URL(source)
  return basename(pathname) || hostname
}

/** What messages call a path or an address: the former as it is, the latter as {@link publicAddress}. */
export function publicName(source: string): string {
  return isAddress(source) && URL.canParse(source) ? publicAddress(source) : source
}
