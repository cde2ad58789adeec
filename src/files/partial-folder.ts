/**
 * A folder that is written so that there is never half of it under its name: its files go to OUT.partial, which gets the
 * name when all are there. Of two runs that write the same folder the later one has it, as with `PartialFile`.
 */
import { type BigIntStats, lstatSync, readdirSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ClericError } from '../errors.js'
import { mustBeWritable, refuseExisting, refuseReading } from './output.js'
import { partialOf, syncFolder, takenOver } from './partial-file.js'

export interface FolderOutput {
  readonly output: string
  /** Paths that are read for it. */
  readonly reads: readonly (string | undefined)[]
  readonly overwrite: boolean
  /** Whether a name is that of a file such as the folder is to hold. */
  readonly isName: (name: string) => boolean
  /** Whether a file is one that an earlier run wrote. */
  readonly isOwn: (path: string) => Promise<boolean>
}

/**
 * Whether a folder may be written, found out before any work is done for it: there is nothing of the name, or an empty folder;
 * or, to be overwritten, one that holds nothing but what an earlier run wrote.
 *
 * @throws ClericError ERR_FILE_EXISTS, ERR_NOT_WRITABLE
 */
export async function checkOutputFolder({ output, reads, overwrite, isName, isOwn }: FolderOutput): Promise<void> {
  const inside = (folder: string) => (isFolder(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [])
  // First, as nothing can be looked for below a file.
  mustBeWritable(output)
  refuseReading({ names: [output, ...inside(output), ...inside(partialOf(output)), ...inside(oldOf(output))], reads })
  if (lstatSync(output, { throwIfNoEntry: false }) && !(isFolder(output) && inside(output).length === 0)) {
    refuseExisting(output, overwrite)
    await mustBeOwn(output, isName, isOwn)
    await mustBeOwn(oldOf(output), isName, isOwn)
  }
  await mustBeOwn(partialOf(output), isName)
}

/** Where a folder is for the moment in which its successor gets its name. */
function oldOf(output: string): string {
  return `${output}.old`
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** What is removed must be nothing else than what a run has written. @throws ClericError ERR_FILE_EXISTS */
async function mustBeOwn(
  folder: string,
  isName: FolderOutput['isName'],
  isOwn: FolderOutput['isOwn'] = async () => true,
): Promise<void> {
  const there = lstatSync(folder, { throwIfNoEntry: false })
  if (!there) return
  if (!there.isDirectory()) {
    throw new ClericError('ERR_FILE_EXISTS', `${folder} is there, and no folder; choose another name`)
  }
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isFile() && isName(entry.name) && (await isOwn(join(folder, entry.name)))) continue
    const what = `${folder} holds ${entry.name}, which is not what cleric would write there; choose another name`
    throw new ClericError('ERR_FILE_EXISTS', what)
  }
}

export class PartialFolder {
  /** The name that the folder is to have. */
  readonly path: string
  readonly #check: () => Promise<void>
  readonly #made: BigIntStats
  /** While it is open no other folder gets this one's number. Null where folders can't be opened. */
  readonly #handle: FileHandle | null

  private constructor(path: string, check: () => Promise<void>, made: BigIntStats, handle: FileHandle | null) {
    this.path = path
    this.#check = check
    this.#made = made
    this.#handle = handle
  }

  /** Begins a folder, in place of what an interrupted run left or another is still writing to. */
  static async create(output: FolderOutput): Promise<PartialFolder> {
    const partial = partialOf(output.output)
    await mustBeOwn(partial, output.isName)
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? takenOver(output.output) : error
    })
    const handle = await open(partial, 'r').catch(() => null)
    return new PartialFolder(
      output.output,
      () => checkOutputFolder(output),
      await stat(partial, { bigint: true }),
      handle,
    )
  }

  /** Path of a file while the folder hasn't its name. */
  at(name: string): string {
    return join(partialOf(this.path), name)
  }

  /**
   * Gives the folder, whose files are on the disk, its name; one that had it before goes only then.
   *
   * @param check called when the folder hasn't its name yet; if it throws it won't have it
   */
  async publish(check?: () => Promise<void>): Promise<void> {
    await syncFolder(partialOf(this.path))
    try {
      await check?.()
    } catch (error) {
      // What was looked at may have been another run's by then.
      throw (await this.#hasName()) ? error : takenOver(this.path)
    }
    if (!(await this.#hasName())) throw takenOver(this.path)
    await this.#check()
    const old = oldOf(this.path)
    const isThere = isFolder(this.path)
    const isEmpty = isThere && readdirSync(this.path).length === 0
    if (isEmpty) await rmdir(this.path)
    else if (isThere) {
      // A run that was killed just here may have left one.
      await rm(old, { recursive: true, force: true })
      await rename(this.path, old)
    }
    await rename(partialOf(this.path), this.path).catch(async (error: unknown) => {
      if (isThere && !isEmpty) await rename(old, this.path)
      throw error
    })
    await syncFolder(dirname(this.path))
    if (isThere && !isEmpty) await rm(old, { recursive: true, force: true })
  }

  /** Removes the folder, unless it is another run's by now. Harmless after {@link publish}. */
  async discard(): Promise<void> {
    if (await this.#hasName()) await rm(partialOf(this.path), { recursive: true, force: true })
    await this.#handle?.close()
  }

  async #hasName(): Promise<boolean> {
    const named = await stat(partialOf(this.path), { bigint: true }).catch(() => null)
    return named?.ino === this.#made.ino && named.dev === this.#made.dev
  }
}
