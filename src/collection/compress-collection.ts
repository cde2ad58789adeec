/** Compresses a collection of slides into a folder, one archive each, with a manifest that tells what became of them. */
import { join } from 'node:path'
import { checkCallback, checkInteger, checkOptions, checkString, type OptionChecks, wrongType } from '../arguments.js'
import { lend } from '../codec/default-codec.js'
import { COMPRESS_CHECKS, type CompressOptions } from '../compress/compress.js'
import type { CompressProgress } from '../compress/progress.js'
import { ClericError, type ErrorCode, throwIfAborted } from '../errors.js'
import { makeFolder } from '../files/make-folder.js'
import { mustBeWritable, notWritable } from '../files/output.js'
import { type CollectionSlide, findSlides } from './find-slides.js'
import { MANIFEST_NAME, Manifest, type ManifestRow } from './manifest.js'
import {
  compressOne,
  failedRow,
  filePlace,
  isSameVersion,
  resuming,
  rowOf,
  settingsOf,
  sizeOf,
  slideVersionOf,
} from './one-slide.js'

/** Options of `compressSlide` that are of one slide only. */
type OfOneSlide = 'page' | 'series' | 'range' | 'onProgress' | 'onSearch' | 'onUnreadable'

export interface CollectionOptions extends Omit<CompressOptions, OfOneSlide> {
  /** Slides at work at the same time, 1 (default) to 64: more help where reading them takes longer than encoding. */
  readonly jobs?: number | undefined
  /**
   * Goes on from an earlier run: slides that are done with the same options and haven't changed since are left as they
   * are, interrupted ones go on where they were, failed ones are tried again.
   */
  readonly resume?: boolean | undefined
  /** Called with the number of slides, before the first. */
  readonly onStart?: ((slides: number) => void) | undefined
  /** Called with the progress of a slide. */
  readonly onProgress?: ((progress: CompressProgress, slide: CollectionSlide) => void) | undefined
  /** Called with what became of each slide, those left as they are included. */
  readonly onRow?: ((row: ManifestRow) => void) | undefined
}

export interface CollectionResult {
  readonly manifest: string
  /** One a slide, in the order of the archives' names. */
  readonly rows: readonly ManifestRow[]
  readonly done: number
  readonly failed: number
  /** How many of `done` an earlier run did. */
  readonly kept: number
  /** Sums over the slides that are done. */
  readonly sourceBytes: number
  readonly bytes: number
  readonly seconds: number
}

/** What every other slide would fail by too, so that the run ends. */
const OF_THE_RUN: readonly ErrorCode[] = [
  'ERR_ABORTED',
  'ERR_DISK_FULL',
  'ERR_NO_DEVICE',
  'ERR_WEBGPU_MISSING',
  'ERR_MODEL_MISSING',
]

/**
 * Compresses slides, files and folders of them, into a folder that is made where it isn't there: `scans/a/b.svs` of the
 * input `scans` becomes `folder/a/b.cleric.tif`. A slide that fails doesn't end the run. What became of each stands in
 * `cleric-manifest.jsonl` there, and when the run is over in `cleric-manifest.csv`.
 *
 * @param inputs paths of slides and folders; of folders, what has an ending of OpenSlide's formats
 * @throws ClericError ERR_FILE_EXISTS if the folder has a manifest and neither `resume` nor `overwrite` is given;
 * ERR_NOT_WRITABLE, ERR_DISK_FULL, DeviceError ERR_NO_DEVICE, AbortedError: a later call with `resume` goes on
 * @example
 * const { done, failed } = await compressCollection(['scans'], 'archives', { quality: 50, resume: true })
 */
export async function compressCollection(
  inputs: readonly string[],
  folder: string,
  options: CollectionOptions = {},
): Promise<CollectionResult> {
  if (!Array.isArray(inputs)) throw wrongType('a list of paths', 'inputs', inputs)
  for (const input of inputs) checkString(input, 'an input')
  checkString(folder, 'folder')
  const { jobs = 1, onStart, onProgress, onRow, signal, ...each } = checkOptions(options, COLLECTION_CHECKS)
  throwIfAborted(signal)
  const started = performance.now()
  const slides = await findSlides(inputs)
  await makeFolder(folder).catch((cause: Error) => {
    throw notWritable(folder, cause.message, cause)
  })
  mustBeWritable(join(folder, MANIFEST_NAME))
  if (!each.resume && !each.overwrite) await refuseManifest(folder)
  const { codec, model, device, adapter } = each
  // Held to the end, so that it isn't closed between two slides.
  using loan = await lend({ codec, model, device, adapter, signal })
  const settings = settingsOf(each, loan.codec.model.hash)
  const manifest = await Manifest.open(folder)
  let kept = 0
  onStart?.(slides.length)
  const work = async (slide: CollectionSlide): Promise<void> => {
    throwIfAborted(signal)
    const before = manifest.rows.get(slide.archive)
    const path = join(folder, slide.archive)
    const row = rowOf(slide, await slideVersionOf(slide.path, settings))
    const isSame = each.resume && before?.source === slide.path && isSameVersion(before, row)
    if (isSame && before.state === 'done' && (await sizeOf(path)) === before.result?.bytes) {
      kept++
      return onRow?.(before)
    }
    const report = onProgress && ((progress: CompressProgress) => onProgress(progress, slide))
    const begun = isSame && before.state === 'begun' ? before : null
    let end: ManifestRow
    try {
      const compress = (resume = each.resume): Promise<ManifestRow> => {
        const options = { ...each, resume, signal, onProgress: report }
        return compressOne(row, row.source, filePlace(path), options, begun, (noted) => manifest.note(noted))
      }
      end = await (isSame ? resuming(compress) : compress())
    } catch (error) {
      if (OF_THE_RUN.includes((error as ClericError).code)) throw error
      end = failedRow(row, error)
    }
    await manifest.note(end)
    onRow?.(end)
  }
  try {
    await atOnce(slides, jobs, work)
  } finally {
    await manifest.close()
  }
  const rows = slides.map(({ archive }) => manifest.rows.get(archive) as ManifestRow)
  const done = rows.filter(({ state }) => state === 'done')
  const sum = (of: (row: ManifestRow) => number) => done.reduce((total, row) => total + of(row), 0)
  return {
    manifest: join(folder, MANIFEST_NAME),
    rows,
    done: done.length,
    failed: rows.length - done.length,
    kept,
    sourceBytes: sum((row) => row.sourceBytes),
    bytes: sum((row) => row.result?.bytes ?? 0),
    seconds: (performance.now() - started) / 1000,
  }
}

const { page: _p, series: _s, range: _r, onSearch: _o, onUnreadable: _u, ...EACH_CHECKS } = COMPRESS_CHECKS
const COLLECTION_CHECKS: OptionChecks<CollectionOptions> = {
  ...EACH_CHECKS,
  jobs: (value, name) => checkInteger(value, name, 1, 64),
  onStart: checkCallback,
  onRow: checkCallback,
}

async function refuseManifest(folder: string): Promise<void> {
  const path = join(folder, MANIFEST_NAME)
  if ((await sizeOf(path)) === 0) return
  const remedy = 'go on from that run (--resume), overwrite its archives (--overwrite), or choose another folder'
  throw new ClericError('ERR_FILE_EXISTS', `${path} is there already: ${remedy}`)
}

/** Works on all items, so many at once; after a failure none is begun, and it is thrown when those under way have ended. */
async function atOnce<T>(items: readonly T[], jobs: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values()
  let failure: { readonly error: unknown } | null = null
  const worker = async () => {
    for (const item of left) {
      if (failure) return
      try {
        await work(item)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  if (failure) throw (failure as { readonly error: unknown }).error
}
