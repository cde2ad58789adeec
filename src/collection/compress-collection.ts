/** Compresses a collection of slides into a folder, one archive each, with a manifest that tells what became of them. */
import { createReadStream, readFileSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { openArchive } from '../archive/archive.js'
import { checkCallback, checkInteger, checkOptions, checkString, type OptionChecks, wrongType } from '../arguments.js'
import { lend } from '../codec/default-codec.js'
import { COMPRESS_CHECKS, type CompressOptions, compressSlide } from '../compress/compress.js'
import type { CompressProgress } from '../compress/progress.js'
import { ClericError, type ErrorCode, throwIfAborted } from '../errors.js'
import { Sha256 } from '../files/sha256.js'
import { versionOf } from '../files/version.js'
import { slideFiles } from '../slide/mirax.js'
import { type CollectionSlide, findSlides } from './find-slides.js'
import { type ArchiveFacts, MANIFEST_NAME, Manifest, type ManifestRow, type SlideVersion } from './manifest.js'

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
  /** Of `done`, those that an earlier run did. */
  readonly kept: number
  /** Of the slides that are done. */
  readonly sourceBytes: number
  readonly bytes: number
  readonly seconds: number
}

/** What every other slide would fail by too, so that the run ends. */
const OF_THE_RUN: readonly ErrorCode[] = ['ERR_ABORTED', 'ERR_DISK_FULL', 'ERR_NO_DEVICE', 'ERR_MODEL_MISSING']

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/**
 * Compresses slides, files and folders of them, into a folder that is made where it isn't there: `scans/a/b.svs` of the
 * input `scans` becomes `folder/a/b.cleric.tif`. A slide that fails doesn't end the run. What became of each stands in
 * `cleric-manifest.jsonl` there, and when the run is over in `cleric-manifest.csv`.
 *
 * @param inputs paths of slides and folders; of folders, what has an ending of OpenSlide's formats
 * @throws ClericError ERR_FILE_EXISTS if the folder has a manifest and neither `resume` nor `overwrite` is given;
 * ERR_DISK_FULL, DeviceError ERR_NO_DEVICE, AbortedError: a later call with `resume` goes on
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
  await mkdir(folder, { recursive: true })
  if (!each.resume && !each.overwrite) await refuseManifest(folder)
  const { codec, model, device: kind, adapter, ...settings } = each
  using loan = await lend({ codec, model, device: kind, adapter, signal })
  const hash = hashOf({ ...settings, resume: undefined, overwrite: undefined, model: loan.codec.model.hash })
  const manifest = await Manifest.open(folder)
  let kept = 0
  onStart?.(slides.length)
  const work = async (slide: CollectionSlide): Promise<void> => {
    throwIfAborted(signal)
    const before = manifest.rows.get(slide.archive)
    const path = join(folder, slide.archive)
    const slideVersion = { ...(await slideVersionOf(slide.path)), settings: hash }
    const isSame = before !== undefined && before.source === slide.path && isSameVersion(before, slideVersion)
    if (each.resume && isSame && before.state === 'done' && (await sizeOf(path)) === before.result?.bytes) {
      kept++
      return onRow?.(before)
    }
    const row = { source: slide.path, archive: slide.archive, ...slideVersion, version }
    const facts = { replaces: null, device: null, seconds: null, result: null, warnings: [], error: null }
    const there = await archiveVersion(path)
    // A run that was killed between giving an archive its name and the note of it left an archive that is whole.
    if (each.resume && isSame && before.state === 'begun' && there !== null && there !== before.replaces) {
      const done: ManifestRow = { ...row, ...facts, state: 'done', result: await factsOf(path) }
      await manifest.note(done)
      return onRow?.(done)
    }
    await manifest.note({ ...row, ...facts, state: 'begun', replaces: there })
    try {
      await mkdir(dirname(path), { recursive: true })
      const report = onProgress && ((progress: CompressProgress) => onProgress(progress, slide))
      const { device, seconds, warnings } = await compressSlide(slide.path, path, {
        ...each,
        signal,
        onProgress: report,
      })
      const done: ManifestRow = {
        ...row,
        ...facts,
        state: 'done',
        device,
        seconds,
        warnings,
        result: await factsOf(path),
      }
      await manifest.note(done)
      onRow?.(done)
    } catch (error) {
      if (OF_THE_RUN.includes((error as ClericError).code)) throw error
      const { code = 'ERR_INTERNAL', message = String(error) } = error as Partial<ClericError>
      const failed: ManifestRow = { ...row, ...facts, state: 'failed', error: { code, message } }
      await manifest.note(failed)
      onRow?.(failed)
    }
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

async function slideVersionOf(slide: string): Promise<Pick<SlideVersion, 'sourceBytes' | 'sourceModified'>> {
  const all = await Promise.all(slideFiles(slide).map((file) => stat(file).catch(() => null)))
  const [sizes, times] = [all.map((file) => file?.size ?? 0), all.map((file) => file?.mtimeMs ?? 0)]
  return { sourceBytes: sizes.reduce((sum, size) => sum + size, 0), sourceModified: Math.max(...times) }
}

function isSameVersion(a: SlideVersion, b: SlideVersion): boolean {
  return a.sourceBytes === b.sourceBytes && a.sourceModified === b.sourceModified && a.settings === b.settings
}

function hashOf(settings: object): string {
  const sorted = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1))
  return new Sha256().update(Buffer.from(JSON.stringify(sorted.filter(([, value]) => value !== undefined)))).hex()
}

/** Null if there is no archive. */
async function archiveVersion(path: string): Promise<string | null> {
  const stats = await stat(path, { bigint: true }).catch(() => null)
  return stats && versionOf(stats)
}

/** Size of a file; 0 if there is none. */
function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

/** JSON has no infinity. */
function mapped(psnr: Readonly<Record<string, number>>): Record<string, number | null> {
  return Object.fromEntries(Object.entries(psnr).map(([name, dB]) => [name, Number.isFinite(dB) ? dB : null]))
}

/** What is known of an archive without decoding it. */
async function factsOf(path: string): Promise<ArchiveFacts> {
  using archive = await openArchive(path)
  const { bytes, levels, quality, model, checks } = archive
  const sum = (of: (level: (typeof levels)[number]) => number) => levels.reduce((total, level) => total + of(level), 0)
  const sha256 = new Sha256()
  for await (const piece of createReadStream(path)) sha256.update(piece as Buffer)
  return {
    bytes,
    bpp: (8 * bytes) / sum(({ width, height }) => width * height),
    quality,
    tiles: sum(({ tiles }) => tiles),
    blankTiles: sum(({ blankTiles }) => blankTiles),
    unreadableTiles: sum(({ unreadableTiles }) => unreadableTiles),
    psnr: checks && (mapped(checks.psnr) as ArchiveFacts['psnr']),
    codecs: checks?.codecs ?? {},
    sha256: sha256.hex(),
    model,
  }
}
