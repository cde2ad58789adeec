/** Making folders. */
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder, and those above it that aren't there. Node.js's own way to do so never ends where a file system answers
 * that something is missing though the folder above is there, as Linux's /proc does.
 *
 * @throws the error of Node.js, for instance EEXIST where a file has the name, or ENOTDIR below a file
 */
export async function makeFolder(path: string): Promise<void> {
  const failure = await tryToMake(path)
  if (!failure) return
  const above = dirname(path)
  if (failure.code !== 'ENOENT' || above === path || (await isThere(above))) throw failure
  await makeFolder(above)
  const second = await tryToMake(path)
  if (second) throw second
}

/** Why there is no folder of that name now; null if there is one. */
async function tryToMake(path: string): Promise<NodeJS.ErrnoException | null> {
  try {
    await mkdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST' || !(await stat(path).catch(() => null))?.isDirectory()) return error as NodeJS.ErrnoException
  }
  return null
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
