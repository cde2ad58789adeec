/** One slide of a collection: whether it is still what its archive was made of, and the making of it. */
import { createReadStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Archive, openArchive } from '../archive/archive.js'
import type { ArchiveTarget } from '../compress/archive-store.js'
import { type CompressOptions, compressTo } from '../compress/compress.js'
import { archiveNames } from '../compress/file-store.js'
import type { Division } from '../compress/part.js'
import type { ClericError } from '../errors.js'
import { makeFolder } from '../files/make-folder.js'
import { Sha256 } from '../files/sha256.js'
import { versionOf } from '../files/version.js'
import { packageVersion } from '../package.js'
import { slideFiles } from '../slide/mirax.js'
import type { SlideSource } from '../slide/source.js'
import type { CollectionSlide } from './find-slides.js'
import type { ArchiveFacts, ManifestRow, SlideVersion } from './manifest.js'

/** What a slide is before it is known what becomes of it. */
export function rowOf({ path, archive }: CollectionSlide, slideVersion: SlideVersion): ManifestRow {
  const facts = { replaces: null, device: null, seconds: null, result: null, warnings: [], error: null }
  return { source: path, archive, state: 'begun', ...slideVersion, ...facts, version: packageVersion() }
}

/** The row of a slide that failed. */
export function failedRow(row: ManifestRow, error: unknown): ManifestRow {
  const { code = 'ERR_INTERNAL', message = String(error) } = error as { code?: string; message?: string }
  return { ...row, state: 'failed', replaces: null, error: { code, message } }
}

/** Where an archive goes, and what is known of it there. */
export interface ArchivePlace {
  readonly output: string | ArchiveTarget
  /** Changes when the archive does; null if there is none. */
  version(): Promise<string | null>
  /** Makes what must be there before it can be written. */
  prepare(): Promise<void>
  /** Removes what a run that was killed once the archive had its name may have left beside it. */
  tidy(): Promise<void>
  facts(): Promise<ArchiveFacts>
}

export function filePlace(path: string): ArchivePlace {
  return {
    output: path,
    version: () => archiveVersion(path),
    prepare: async () => {
      await makeFolder(dirname(path))
    },
    tidy: async () => {
      for (const name of archiveNames(path).slice(1)) await rm(name, { force: true })
    },
    facts: async () => {
      using archive = await openArchive(path)
      return factsOf(archive, await sha256Of(path))
    },
  }
}

/**
 * Compresses a slide into `place`, or goes on with what an earlier run left, if it is of the same slide and options.
 *
 * @param slide open, or its path
 * @param begun what that run noted before it began: if it was killed between giving the archive its name and the note
 * that it is done, the archive is whole. Null if there was none, or of something else
 * @param begin notes the row that is given to it; awaited before anything is written
 * @param division what of it was encoded apart
 * @throws what `compressSlide` throws
 */
export async function compressOne(
  row: ManifestRow,
  slide: SlideSource | string,
  place: ArchivePlace,
  options: CompressOptions,
  begun: ManifestRow | null,
  begin: (row: ManifestRow) => Promise<void>,
  division: Division = {},
): Promise<ManifestRow> {
  const there = await place.version()
  if (begun !== null && there !== null && there !== begun.replaces) {
    await place.tidy()
    return { ...row, state: 'done', result: await place.facts() }
  }
  await begin({ ...row, replaces: there })
  await place.prepare()
  const { device, seconds, warnings } = await compressTo(slide, place.output, options, division)
  return { ...row, state: 'done', device, seconds, warnings, result: await place.facts() }
}

/**
 * Goes on with what is there, or starts over where another kind of device or version of this package began it, whose tiles
 * may differ in the last bit.
 */
export function resuming<T>(compress: (resume: boolean) => Promise<T>): Promise<T> {
  return compress(true).catch((error: ClericError) => {
    if (error.code !== 'ERR_RESUME_MISMATCH') throw error
    return compress(false)
  })
}

/** @param settings see {@link settingsOf} */
export async function slideVersionOf(slide: string, settings: string): Promise<SlideVersion> {
  const all = await Promise.all(slideFiles(slide).map((file) => stat(file).catch(() => null)))
  const [sizes, times] = [all.map((file) => file?.size ?? 0), all.map((file) => file?.mtimeMs ?? 0)]
  return { sourceBytes: sizes.reduce((sum, size) => sum + size, 0), sourceModified: Math.max(...times), settings }
}

export function isSameVersion(a: SlideVersion, b: SlideVersion): boolean {
  const isSameTag = (a.sourceTag ?? null) === (b.sourceTag ?? null)
  const isSameSource = a.sourceBytes === b.sourceBytes && a.sourceModified === b.sourceModified && isSameTag
  return isSameSource && a.settings === b.settings
}

/** A hash of the options that an archive's bytes depend on, and of the model's hash. */
export function settingsOf(options: CompressOptions, model: string): string {
  const { codec, device, adapter, cacheDir, resume, overwrite, signal, onProgress, onSearch, onUnreadable, ...others } =
    options
  const settings: object = { ...others, model }
  const sorted = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1))
  return new Sha256().update(Buffer.from(JSON.stringify(sorted.filter(([, value]) => value !== undefined)))).hex()
}

/** Null if there is no archive. */
async function archiveVersion(path: string): Promise<string | null> {
  const stats = await stat(path, { bigint: true }).catch(() => null)
  return stats && versionOf(stats)
}

/** Size of a file; 0 if there is none. */
export function sizeOf(path: string): Promise<number> {
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
export function factsOf(archive: Archive, sha256: string): ArchiveFacts {
  const { bytes, levels, quality, model, checks } = archive
  const sum = (of: (level: (typeof levels)[number]) => number) => levels.reduce((total, level) => total + of(level), 0)
  return {
    bytes,
    bpp: (8 * bytes) / sum(({ width, height }) => width * height),
    quality,
    tiles: sum(({ tiles }) => tiles),
    blankTiles: sum(({ blankTiles }) => blankTiles),
    unreadableTiles: sum(({ unreadableTiles }) => unreadableTiles),
    psnr: checks && (mapped(checks.psnr) as ArchiveFacts['psnr']),
    codecs: checks?.codecs ?? {},
    sha256,
    model,
  }
}

/** SHA-256 of a file, in hex digits. */
export async function sha256Of(path: string): Promise<string> {
  const hash = new Sha256()
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return hash.hex()
}
