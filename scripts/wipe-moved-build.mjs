/**
 * Removes the build folders named (default: build) that were configured at another path.
 *
 * CMake writes the path of a build folder into its cache, and refuses to go on with the cache in a clone that was
 * moved or copied since. Plain JavaScript, as it runs before anything is installed.
 */
import { readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const folders = process.argv.slice(2)
for (const folder of folders.length > 0 ? folders : ['build']) {
  const configured = configuredPath(folder)
  if (configured !== undefined && !samePath(configured, folder)) {
    console.error(`${folder}/ was made at ${configured}, where this clone isn't any more: building it anew`)
    rmSync(folder, { recursive: true })
  }
}

/** Where CMake made the folder; undefined where it has made none. */
function configuredPath(folder) {
  try {
    return /^CMAKE_CACHEFILE_DIR:INTERNAL=(.*)$/m.exec(readFileSync(join(folder, 'CMakeCache.txt'), 'utf8'))?.[1]
  } catch {
    return undefined
  }
}

/** Whether both lead to one folder, through links too. A path that is gone is another one. */
function samePath(a, b) {
  try {
    return realpathSync(a) === realpathSync(b)
  } catch {
    return false
  }
}
