/**
 * Finds the file of the addon: the one place that knows where it may lie.
 *
 * - What the environment variable CLERIC_ADDON names (the sanitizer build, for one), and then nothing else.
 * - The prebuilt one, of the package for this platform, such as `@cleric/linux-x64`, where npm has installed it.
 * - `build/Release/cleric.node` under the package, which was compiled on this machine.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { ClericError } from '../errors.js'

/** The package with the prebuilt addon for this platform, whether there is one or not. */
const PREBUILT = `@cleric/${process.platform}-${process.arch}`
const BUILT = fileURLToPath(new URL('../../build/Release/cleric.node', import.meta.url))

/** The sentence that says how the addon is compiled here, which begins with `what`. */
export function howToBuild(what = 'Build it'): string {
  // Only a clone has it, and builds by a script of its own; an installed package is built again by npm.
  const isClone = existsSync(fileURLToPath(new URL('../../scripts/setup', import.meta.url)))
  const command = isClone ? 'npm run build:addon' : 'npm rebuild cleric'
  return `${what} with \`${command}\` (needs a C++20 compiler and CMake; on Debian: apt-get install g++ cmake make)`
}

/**
 * Loads the first of these files that can be loaded. A prebuilt addon that can't, as its C library is too old, say, gives
 * way to one that was compiled here.
 *
 * @throws ClericError ERR_ADDON_MISSING with what is wrong with each
 */
export function loadAddonFile(files: readonly string[] = addonFiles()): { file: string; exports: unknown } {
  const require = createRequire(import.meta.url)
  const reasons: string[] = []
  let cause: unknown
  for (const file of files) {
    try {
      return { file, exports: require(file) }
    } catch (error) {
      cause = error
      reasons.push(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error))
    }
  }
  const platform = `${process.platform}-${process.arch}, Node ${process.version}`
  throw new ClericError(
    'ERR_ADDON_MISSING',
    `Can't load the native addon for ${platform}: ${reasons.join('; ')}. ${howToBuild()}`,
    { cause },
  )
}

function addonFiles(): readonly string[] {
  return process.env.CLERIC_ADDON ? [process.env.CLERIC_ADDON] : [PREBUILT, BUILT]
}
