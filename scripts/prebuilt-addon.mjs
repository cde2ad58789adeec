/**
 * The first half of npm's install script: ends with status 0 if the prebuilt addon, of the package for this platform, can
 * be loaded; then nothing is compiled. Else it says why, and ends with 1: the second half compiles the addon.
 *
 * Plain JavaScript, as it runs where cleric is installed. Which files the addon may be, and in which order they are tried
 * later, is in src/native/addon-file.ts.
 */
import { createRequire } from 'node:module'

const name = `@cleric/${process.platform}-${process.arch}`
try {
  createRequire(import.meta.url)(name)
} catch (error) {
  const reason = error.code === 'MODULE_NOT_FOUND' ? `${name} is not installed` : error.message.split('\n')[0]
  console.error(`cleric: no prebuilt addon fits (${reason}): compiling it, which needs CMake and a C++20 compiler`)
  process.exitCode = 1
}
