/** Removes a slide once its archive was found whole, and keeps account of it. */
import { open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ClericError, CorruptDataError, openArchive, SlideError, validateArchive } from 'cleric'
import {
  isSameVersion,
  type ManifestRow,
  type PayloadCodec,
  sha256Of,
  slideFiles,
  slideVersionOf,
} from 'cleric/internal'
import type { DeletionResult } from './queue.js'

export interface Validator {
  readonly codec: PayloadCodec
  readonly madeBy: string
  readonly validatedBy: string
  readonly signal: AbortSignal
}

/** In the folder of each archive; each worker adds to a file of its own, as network file systems mix lines of several. */
export function ledgerName(worker: string): string {
  return `cleric-deletions-${worker}.jsonl`
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
  { codec, madeBy, validatedBy, signal }: Validator,
): Promise<DeletionResult> {
  const { source, archive, sourceBytes, result } = row
  if (!result || result.unreadableTiles > 0) {
    const what = `${source} could not be read everywhere: its archive holds less than it does`
    throw new SlideError('ERR_OPENSLIDE_READ', what)
  }
  const { sha256 } = result
  if (!isSameVersion(row, await slideVersionOf(source, row.settings))) {
    throw new ClericError('ERR_FILE_CHANGED', `${source} has changed since it was compressed`)
  }
  if ((await sha256Of(archive)) !== sha256) {
    throw new ClericError('ERR_FILE_CHANGED', `${archive} is not the file that was made of ${source}`)
  }
  const { bad, counts } = await badTilesOf(archive, codec, signal)
  const [first] = bad
  if (first) {
    const where = `level ${first.level}, column ${first.column}, row ${first.row}`
    throw new CorruptDataError(
      'ERR_CORRUPT_TILE',
      `${archive} has ${counts.bad} bad tiles, the first at ${where}: ${first.reason}`,
    )
  }
  const entry: DeletionResult = {
    ...{ source, sourceBytes, archive, sha256, madeBy, validatedBy },
    deleted: new Date().toISOString(),
  }
  await note(join(dirname(archive), ledgerName(validatedBy)), entry)
  for (const file of slideFiles(source)) await rm(file, { force: true })
  return entry
}

async function badTilesOf(path: string, codec: PayloadCodec, signal: AbortSignal) {
  using archive = await openArchive(path, { codec, signal })
  return await validateArchive(archive, { signal })
}

async function note(ledger: string, entry: DeletionResult): Promise<void> {
  const file = await open(ledger, 'a')
  try {
    await file.appendFile(`${JSON.stringify(entry)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}
