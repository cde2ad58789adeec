/** What the bundles for browsers have in common. */

import { gzipSync } from 'node:zlib'
import type { BuildOptions } from 'esbuild'

export const FOR_BROWSERS = {
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  // Stack traces of errors that users report.
  keepNames: true,
  // With the sources in it, as the package has none of those that it is made from.
  sourcemap: 'linked',
  sourcesContent: true,
  logLevel: 'warning',
} as const satisfies BuildOptions

export function printSize(name: string, bytes: Uint8Array): void {
  console.log(`${name}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} with gzip`)
}
