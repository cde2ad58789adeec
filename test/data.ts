/**
 * Images beside the repository, in ../shared/data and ../shared/cases, and the model that ships. A test that needs them is skipped,
 * visibly, where they are not there - except in continuous integration, where their absence is a failure: what isn't
 * run isn't checked.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ava, { type ExecutionContext } from 'ava'
import { DEFAULT_MODEL_FILE } from '../src/model/model.js'

type Body = (t: ExecutionContext) => Promise<void>

/** Path of a file of ../shared/data, e.g. "slides/CMU-1-Small-Region.svs". */
export function dataPath(name: string): string {
  return fileURLToPath(new URL(`../../shared/data/${name}`, import.meta.url))
}

/** Path of a file of ../shared/cases: small files that are hard to read right. */
export function casePath(name: string): string {
  return fileURLToPath(new URL(`../../shared/cases/${name}`, import.meta.url))
}

/** ava's test, for a test that reads the named files of ../shared/data. */
export function testWithData(names: readonly string[], title: string, run: Body): void {
  const absent = names.filter((name) => !existsSync(dataPath(name)))
  testUnless(absent.length === 0 ? null : `needs ../shared/data: ${absent.join(', ')}`, title, run)
}

/** {@link testWithData}, for the named files of ../shared/cases. */
export function testWithCases(names: readonly string[], title: string, run: Body): void {
  const absent = names.filter((name) => !existsSync(casePath(name)))
  testUnless(absent.length === 0 ? null : `needs ../shared/cases: ${absent.join(', ')}`, title, run)
}

/** {@link testWithData}, for a test that needs the default model too. */
export function testWithModel(names: readonly string[], title: string, run: Body): void {
  if (existsSync(DEFAULT_MODEL_FILE)) testWithData(names, title, run)
  else testUnless(`needs ${fileURLToPath(DEFAULT_MODEL_FILE)}`, title, run)
}

function testUnless(lacking: string | null, title: string, run: Body): void {
  if (lacking === null || process.env.CI === 'true') ava(title, run)
  else ava.skip(`${title} (${lacking})`, run)
}
