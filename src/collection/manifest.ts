/**
 * What became of each slide of a collection: a file of JSON lines beside the archives, one line whenever a slide is begun,
 * done or has failed, of which the last of each slide holds, and a table (CSV) of the same when the run is over.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckSummary } from '../archive/tile-checks.js'
import { CorruptDataError } from '../errors.js'
import { writeWhole } from '../files/partial-file.js'

export const MANIFEST_NAME = 'cleric-manifest.jsonl'
export const TABLE_NAME = 'cleric-manifest.csv'
const FORMAT = 'cleric-manifest/1'

/** What tells whether a slide's archive is still the one that a run with these options would make. */
export interface SlideVersion {
  /** Bytes of all files of the slide. */
  readonly sourceBytes: number
  /** Milliseconds since 1970 at which the latest of them was changed. */
  readonly sourceModified: number
  /** What a store of objects knows the version by (ETag); absent for files. */
  readonly sourceTag?: string
  /** SHA-256 of the options that the archive's bytes depend on, and of the model. */
  readonly settings: string
}

/** What is known of a finished archive. */
export interface ArchiveFacts {
  readonly bytes: number
  /** Bits a pixel of all levels. */
  readonly bpp: number
  readonly quality: number
  readonly tiles: number
  readonly blankTiles: number
  readonly unreadableTiles: number
  /** dB of the tiles, null for what comes back unchanged; or null if they weren't checked. */
  readonly psnr: { readonly [Percentile in keyof CheckSummary['psnr']]: number | null } | null
  readonly codecs: CheckSummary['codecs']
  readonly sha256: string
  readonly model: { readonly name: string; readonly hash: string }
}

/** A slide of a collection. */
export interface ManifestRow extends SlideVersion {
  readonly source: string
  /** Path of the archive, relative to the manifest. */
  readonly archive: string
  readonly state: 'begun' | 'done' | 'failed'
  /** Version of the archive that was there when the slide was begun; null if none was, or the slide is done. */
  readonly replaces: string | null
  readonly device: string | null
  /** What it took, tiles of interrupted runs not counted. */
  readonly seconds: number | null
  readonly result: ArchiveFacts | null
  /** What of the slide isn't taken, and which values were converted, in words. */
  readonly warnings: readonly string[]
  readonly error: { readonly code: string; readonly message: string } | null
  /** Version of cleric. */
  readonly version: string
}

export class Manifest {
  readonly #folder: string
  readonly #handle: FileHandle
  readonly #rows: Map<string, ManifestRow>

  private constructor(folder: string, handle: FileHandle, rows: Map<string, ManifestRow>) {
    this.#folder = folder
    this.#handle = handle
    this.#rows = rows
  }

  /**
   * Opens the manifest of a folder, or begins one.
   *
   * @throws CorruptDataError ERR_ARCHIVE_CORRUPT if the file there is something else
   */
  static async open(folder: string): Promise<Manifest> {
    const path = join(folder, MANIFEST_NAME)
    const rows = await readManifest(path)
    // Written anew, each slide once: a run that was killed may have left half a line at the end.
    const lines = [JSON.stringify({ format: FORMAT }), ...[...rows.values()].map((row) => JSON.stringify(row))]
    await writeWhole(path, Buffer.from(`${lines.join('\n')}\n`))
    return new Manifest(folder, await open(path, 'a'), rows)
  }

  /** The slides, by the names of their archives. */
  get rows(): ReadonlyMap<string, ManifestRow> {
    return this.#rows
  }

  /** Notes what became of a slide; it is on disk when this is done. */
  async note(row: ManifestRow): Promise<void> {
    this.#rows.set(row.archive, row)
    await this.#handle.appendFile(`${JSON.stringify(row)}\n`)
    await this.#handle.datasync()
  }

  /** Writes the table and closes the file. */
  async close(): Promise<void> {
    await this.#handle.close()
    await writeWhole(join(this.#folder, TABLE_NAME), Buffer.from(manifestTable([...this.#rows.values()])))
  }
}

/**
 * The slides of a manifest, by the names of their archives; none if the file isn't there.
 *
 * @throws CorruptDataError ERR_ARCHIVE_CORRUPT
 */
export async function readManifest(path: string): Promise<Map<string, ManifestRow>> {
  const rows = new Map<string, ManifestRow>()
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return ''
  })
  if (text === '') return rows
  const [head, ...lines] = text.split('\n')
  if (parsed(head as string)?.format !== FORMAT) throw corrupt(path, 1)
  for (const [i, line] of lines.entries()) {
    const row = parsed(line)
    if (isRow(row)) rows.set(row.archive, row)
    // The last line is empty, or half a line of a run that was killed.
    else if (i < lines.length - 1) throw corrupt(path, i + 2)
  }
  return rows
}

function parsed(line: string): Partial<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null
  } catch {
    return null
  }
}

function isRow(value: unknown): value is ManifestRow {
  const row = value as Partial<ManifestRow> | null
  return (
    typeof row?.archive === 'string' &&
    typeof row.source === 'string' &&
    typeof row.settings === 'string' &&
    ['begun', 'done', 'failed'].includes(row.state as string)
  )
}

function corrupt(path: string, line: number): CorruptDataError {
  return new CorruptDataError('ERR_ARCHIVE_CORRUPT', `${path} is no manifest of cleric: line ${line}`)
}

const COLUMNS: Readonly<Record<string, (row: ManifestRow) => string | number | null | undefined>> = {
  source: (row) => row.source,
  archive: (row) => row.archive,
  state: (row) => row.state,
  source_bytes: (row) => row.sourceBytes,
  bytes: (row) => row.result?.bytes,
  bpp: (row) => row.result?.bpp,
  quality: (row) => row.result?.quality,
  tiles: (row) => row.result?.tiles,
  blank_tiles: (row) => row.result?.blankTiles,
  unreadable_tiles: (row) => row.result?.unreadableTiles,
  psnr_least: (row) => row.result?.psnr?.least,
  psnr_p1: (row) => row.result?.psnr?.p1,
  psnr_p10: (row) => row.result?.psnr?.p10,
  psnr_p50: (row) => row.result?.psnr?.p50,
  sha256: (row) => row.result?.sha256,
  model: (row) => row.result?.model.name,
  model_hash: (row) => row.result?.model.hash,
  device: (row) => row.device,
  seconds: (row) => row.seconds,
  cleric: (row) => row.version,
  warnings: (row) => row.warnings.join('; '),
  error_code: (row) => row.error?.code,
  error: (row) => row.error?.message,
}

/** The table (CSV) of a manifest, as RFC 4180 has it. */
export function manifestTable(rows: readonly ManifestRow[]): string {
  return [manifestTableHead(), ...rows.map(manifestTableLine)].join('')
}

/** The line of such a table that names its columns. */
export function manifestTableHead(): string {
  return tableLine(Object.keys(COLUMNS))
}

/** The line of a slide. */
export function manifestTableLine(row: ManifestRow): string {
  return tableLine(Object.values(COLUMNS).map((column) => column(row) ?? ''))
}

function tableLine(values: readonly (string | number)[]): string {
  return `${values.map((value) => cell(String(value))).join(',')}\r\n`
}

/** A name that begins as a formula does is no formula to a spreadsheet behind a quote. */
function cell(value: string): string {
  const text = /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
