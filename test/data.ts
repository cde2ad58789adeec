/**
 * Real images beside the repository, in ../shared/data. A test that needs them is skipped, visibly, where they are
 * not there - except in continuous integration, where their absence is a failure: what isn't run isn't checked.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ava, { type ExecutionContext } from 'ava'

/** Path of a file of ../shared/data, e.g. "slides/CMU-1-Small-Region.svs". */
export function dataPath(name: string): string {
  return fileURLToPath(new URL(`../../shared/data/${name}`, import.meta.url))
}

/** ava's test, for a test that reads the named files of ../shared/data. */
export function testWithData(
  names: readonly string[],
  title: string,
  run: (t: ExecutionContext) => Promise<void>,
): void {
  const absent = names.filter((name) => !existsSync(dataPath(name)))
  if (absent.length === 0 || process.env.CI === 'true') ava(title, run)
  else ava.skip(`${title} (needs ../shared/data: ${absent.join(', ')})`, run)
}
