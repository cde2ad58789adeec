/** Removes a slide once its archive was found whole, and keeps account of it. */
import { ClericError, CorruptDataError, SlideError, validateArchive } from 'cleric'
import { counted, isSameVersion, type ManifestRow, type PayloadCodec } from 'cleric/internal'
import type { Places } from './places.js'
import type { DeletionResult } from './queue.js'

export interface Validator {
  readonly codec: PayloadCodec
  readonly places: Places
  /** The job's. */
  readonly id: string
  readonly madeBy: string
  readonly validatedBy: string
  readonly signal: AbortSignal
}

/**
 * Beside each archive: a file of lines, one for each worker, as network file systems mix lines of several; in a store a
 * folder of objects.
 */
export function ledgerName(worker: string): string {
  return `cleric-deletions-${worker}`
}

/**
 * Decodes all of an archive, compares it with what was noted of it when it was made, and removes the files of its
 * slide. A line in the ledger says so before anything is removed.
 *
 * @throws SlideError ERR_OPENSLIDE_READ if a part of the slide could not be read when the archive was made; ClericError
 * ERR_FILE_CHANGED if the slide or the archive isn't what it was; CorruptDataError ERR_CORRUPT_TILE if it has a bad tile
 */
export async function validateThenDelete(
  row: ManifestRow,
  { codec, places, id, madeBy, validatedBy, signal }: Validator,
): Promise<DeletionResult> {
  const { source, archive, sourceBytes, result } = row
  if (!result || result.unreadableTiles > 0) {
    const what = `${source} could not be read everywhere: its archive holds less than it does`
    throw new SlideError('ERR_OPENSLIDE_READ', what)
  }
  const { sha256 } = result
  if (!isSameVersion(row, await places.sourceVersion(source, row.settings))) {
    throw new ClericError('ERR_FILE_CHANGED', `${source} has changed since it was compressed`)
  }
  if ((await places.sha256(archive)) !== sha256) {
    throw new ClericError('ERR_FILE_CHANGED', `${archive} is not the file that was made of ${source}`)
  }
  using opened = await places.openArchive(archive, { codec, signal })
  const { bad, counts } = await validateArchive(opened, { signal })
  const [first] = bad
  if (first) {
    const where = `level ${first.level}, column ${first.column}, row ${first.row}`
    throw new CorruptDataError(
      'ERR_CORRUPT_TILE',
      `${archive} has ${counted(counts.bad, 'bad tile')}, the first at ${where}: ${first.reason}`,
    )
  }
  const entry: DeletionResult = {
    ...{ source, sourceBytes, archive, sha256, madeBy, validatedBy },
    deleted: new Date().toISOString(),
  }
  await places.noteBeside(archive, ledgerName(validatedBy), id, entry)
  await places.removeSource(source, row)
  return entry
}
