/** One slide of a collection: whether it is still what its archive was made of, and the making of it. */
import { createReadStream, readFileSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { openArchive } from '../archive/archive.js'
import { type CompressOptions, compressSlide } from '../compress/compress.js'
import { Sha256 } from '../files/sha256.js'
import { versionOf } from '../files/version.js'
import { slideFiles } from '../slide/mirax.js'
import type { CollectionSlide } from './find-slides.js'
import type { ArchiveFacts, ManifestRow, SlideVersion } from './manifest.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** What a slide is before it is known what becomes of it. */
export function rowOf({ path, archive }: CollectionSlide, slideVersion: SlideVersion): ManifestRow {
  const facts = { replaces: null, device: null, seconds: null, result: null, warnings: [], error: null }
  return { source: path, archive, state: 'begun', ...slideVersion, ...facts, version }
}

/** The row of a slide that failed. */
export function failedRow(row: ManifestRow, error: unknown): ManifestRow {
  const { code = 'ERR_INTERNAL', message = String(error) } = error as { code?: string; message?: string }
  return { ...row, state: 'failed', replaces: null, error: { code, message } }
}

/**
 * Compresses a slide into `path`, or goes on with what an earlier run left, if it is of the same slide and options.
 *
 * @param begun what that run noted before it began: if it was killed between giving the archive its name and the note
 * that it is done, the archive is whole. Null if there was none, or of something else
 * @param begin notes the row that is given to it; awaited before anything is written
 * @throws what `compressSlide` throws
 */
export async function compressOne(
  row: ManifestRow,
  path: string,
  options: CompressOptions,
  begun: ManifestRow | null,
  begin: (row: ManifestRow) => Promise<void>,
): Promise<ManifestRow> {
  const there = await archiveVersion(path)
  if (begun !== null && there !== null && there !== begun.replaces) {
    return { ...row, state: 'done', result: await factsOf(path) }
  }
  await begin({ ...row, replaces: there })
  await mkdir(dirname(path), { recursive: true })
  const { device, seconds, warnings } = await compressSlide(row.source, path, options)
  return { ...row, state: 'done', device, seconds, warnings, result: await factsOf(path) }
}

/** @param settings see {@link settingsOf} */
export async function slideVersionOf(slide: string, settings: string): Promise<SlideVersion> {
  const all = await Promise.all(slideFiles(slide).map((file) => stat(file).catch(() => null)))
  const [sizes, times] = [all.map((file) => file?.size ?? 0), all.map((file) => file?.mtimeMs ?? 0)]
  return { sourceBytes: sizes.reduce((sum, size) => sum + size, 0), sourceModified: Math.max(...times), settings }
}

export function isSameVersion(a: SlideVersion, b: SlideVersion): boolean {
  return a.sourceBytes === b.sourceBytes && a.sourceModified === b.sourceModified && a.settings === b.settings
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
export async function factsOf(path: string): Promise<ArchiveFacts> {
  using archive = await openArchive(path)
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
    sha256: await sha256Of(path),
    model,
  }
}

/** SHA-256 of a file, in hex digits. */
export async function sha256Of(path: string): Promise<string> {
  const hash = new Sha256()
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return hash.hex()
}
