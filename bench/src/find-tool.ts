/** Where command-line tools are, and files that come with them. */
import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** The path of the first program on the PATH that has one of these names; null if there is none. */
export function findTool(names: readonly string[]): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const paths = names.flatMap((name) => folders.map((folder) => join(folder, name)))
  return paths.find(isProgram) ?? null
}

/**
 * A file such as "cfg/intra.cfg" that lies in the program's folder or in one above it, nearest first; links to the
 * program are followed, as the file lies where it was built. null if there is none.
 */
export function fileAbove(program: string, file: string): string | null {
  let folder = dirname(realpathSync(program))
  while (true) {
    const path = join(folder, file)
    if (existsSync(path)) return path
    if (folder === dirname(folder)) return null
    folder = dirname(folder)
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
