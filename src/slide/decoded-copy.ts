/**
 * An image decoded once into a file of tiles, from which any region is read at the same cost. PNG, JPEG and WebP can
 * only be decoded from the top down, so that of a large one each region at the bottom would cost all that is above it.
 *
 * Another process decodes, in bounded memory: it can be stopped at any moment, and if a hostile file makes a decoder
 * crash, nothing else goes with it. Where the system has /proc/self/fd (Linux) the file has no name while it is used,
 * and so is gone with the processes that use it, whatever ends them. Elsewhere its name has the number of the process:
 * who makes the next one removes those whose process is gone.
 */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, open, readdir, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AbortedError, ClericError, SlideError, throwIfAborted } from '../errors.js'
import { type ByteSource, openBytes } from '../files/byte-source.js'
import { fill, paste, WHITE } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import { TiffFile } from '../tiff/file.js'
import { TAGS } from '../tiff/tags.js'
import type { DecodeAnswer } from './decode-process.js'
import type { DecodeJob } from './decode-tiles.js'

/** The side of the tiles that most readers ask for. */
const TILE_SIDE = 512
/** Pixels of a row of tiles, of which the decoder holds a few: of wide images the tiles are lower. */
const ROW_PIXELS = 2 ** 26
/** TIFF has no tiles of other sides than multiples of this. */
const TILE_MULTIPLE = 16
const MAX_TILES = 2 ** 24

/** Where file descriptors have paths. */
const DESCRIPTORS = '/proc/self/fd'
/** Which of its descriptors the decoding process gets the file as: after the standard ones and the channel. */
const OUTPUT_DESCRIPTOR = 4

/** What libvips says when the disk is full, the quota is used up or a file may not be that large. */
const DISK_FULL = /No space left on device|Disk quota exceeded|File too large/

export interface DecodedCopyOptions {
  /** Folder for the file; default: the system's for temporary files. */
  readonly folder?: string | undefined
  /** Whether the file loses its name at once. Default: where that can be. */
  readonly isNameless?: boolean
  /** Leaves values as they are stored, whatever the image's ICC profile says; default false: they become sRGB. */
  readonly ignoreIcc?: boolean
  /** Default: decode-process.ts, run as a process of its own. */
  readonly decode?: Decode
}

/**
 * Decodes into a file that is open, and maybe nameless. Resolves to why it failed, to null if it didn't; to whatever it
 * likes once the signal fires.
 */
export type Decode = (job: DecodeJob, output: FileHandle, signal?: AbortSignal) => Promise<string | null>

export class DecodedCopy {
  readonly #size: Size
  readonly #tile: Size
  readonly #channels: number
  readonly #source: ByteSource
  readonly #offsets: Float64Array
  readonly #name: string | null

  private constructor(size: Size, tile: Size, tiff: OpenedTiff, name: string | null) {
    this.#size = size
    this.#tile = tile
    this.#channels = tiff.channels
    this.#source = tiff.source
    this.#offsets = tiff.offsets
    this.#name = name
  }

  /**
   * Decodes an image of that size, as it is stored: without turning it the way its orientation says.
   *
   * @throws SlideError ERR_UNSUPPORTED_SLIDE if it can't be decoded; ClericError ERR_DISK_FULL, ERR_NOT_WRITABLE for the
   * folder; AbortedError
   */
  static async make(path: string, size: Size, options: DecodedCopyOptions, signal?: AbortSignal): Promise<DecodedCopy> {
    const { folder = tmpdir(), isNameless = existsSync(DESCRIPTORS), ignoreIcc = false, decode = decodeApart } = options
    throwIfAborted(signal)
    const tile = tileOf(size)
    await removeOrphans(folder)
    await mustHaveRoom(folder, path, size, tile)
    const name = join(folder, `cleric-decoded-${process.pid}-${randomUUID()}.tif`)
    const handle = await open(name, 'wx+', 0o600).catch((cause: Error) => {
      const what = `${folder} can't take a decoded copy of ${path} (--cache-dir, TMPDIR): ${cause.message}`
      throw new ClericError('ERR_NOT_WRITABLE', what, { cause })
    })
    let isKept = false
    try {
      if (isNameless) await rm(name)
      const output = isNameless ? `${DESCRIPTORS}/${OUTPUT_DESCRIPTOR}` : name
      const job = { path, output, tileWidth: tile.width, tileHeight: tile.height, ignoreIcc }
      const error = await decode(job, handle, signal)
      if (signal?.aborted) throw new AbortedError(signal.reason)
      if (error !== null) throw undecodable(path, error)
      const tiff = await openTiff(isNameless ? `${DESCRIPTORS}/${handle.fd}` : name)
      const copy = new DecodedCopy(size, tile, tiff, isNameless ? null : name)
      isKept = true
      if (!signal?.aborted) return copy
      copy.close()
      throw new AbortedError(signal.reason)
    } finally {
      await handle.close()
      if (!isKept && !isNameless) await rm(name, { force: true })
    }
  }

  /** The pixels of a rectangle, which may reach outside the image: there they are white. */
  async read(left: number, top: number, { width, height }: Size, signal?: AbortSignal): Promise<Image> {
    const image = fill(width, height, WHITE)
    const { width: across, height: down } = this.#tile
    const columns = Math.ceil(this.#size.width / across)
    const rows = Math.ceil(this.#size.height / down)
    const [firstColumn, firstRow] = [Math.max(0, Math.floor(left / across)), Math.max(0, Math.floor(top / down))]
    for (let row = firstRow; row < rows && row * down < top + height; row++) {
      for (let column = firstColumn; column < columns && column * across < left + width; column++) {
        const offset = this.#offsets[row * columns + column] as number
        const bytes = await this.#source.read(offset, across * down * this.#channels, signal)
        const w = Math.min(across, this.#size.width - column * across)
        const h = Math.min(down, this.#size.height - row * down)
        paste(this.#toImage(bytes, w, h), image, column * across - left, row * down - top)
      }
    }
    return image
  }

  /** Removes the file. */
  close(): void {
    this.#source.close()
    if (this.#name !== null) rm(this.#name, { force: true }).catch(() => {})
  }

  /** The part of a tile that lies within the image. */
  #toImage(bytes: Uint8Array, width: number, height: number): Image {
    const image = fill(width, height, WHITE)
    const stride = this.#tile.width * this.#channels
    for (let y = 0; y < height; y++) {
      const row = bytes.subarray(y * stride, y * stride + width * this.#channels)
      const at = y * width * 3
      if (this.#channels === 3) image.data.set(row, at)
      else
        for (let x = 0; x < width; x++) image.data.fill(row[x * this.#channels] as number, at + 3 * x, at + 3 * x + 3)
    }
    return image
  }
}

function tileOf({ width, height }: Size): Size {
  const within = (side: number, most: number) => Math.min(most, Math.ceil(side / TILE_MULTIPLE) * TILE_MULTIPLE)
  const low = 2 ** Math.floor(Math.log2(ROW_PIXELS / width))
  return {
    width: within(width, TILE_SIDE),
    height: within(height, Math.max(TILE_MULTIPLE, Math.min(TILE_SIDE, low))),
  }
}

async function mustHaveRoom(folder: string, path: string, size: Size, tile: Size): Promise<void> {
  const tiles = Math.ceil(size.width / tile.width) * Math.ceil(size.height / tile.height)
  const needed = tiles * tile.width * tile.height * 3
  const disk = await statfs(folder).catch(() => null)
  // What isn't there, or has no end, shows when the file is made.
  if (!disk || disk.blocks === 0 || needed <= disk.bavail * disk.bsize) return
  const [wanted, free] = [needed, disk.bavail * disk.bsize].map((bytes) => `${(bytes / 1e9).toFixed(1)} GB`)
  const what = `${path} takes ${wanted} once it is decoded, and ${folder} has ${free} left (--cache-dir, TMPDIR)`
  throw new ClericError('ERR_DISK_FULL', what)
}

/** Removes the files of processes that were killed. */
async function removeOrphans(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, pid] = /^cleric-decoded-(\d+)-[0-9a-f-]{36}\.tif$/.exec(name) ?? []
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(folder, name), { force: true }).catch(() => {})
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

const decodeApart: Decode = async (job, output, signal) => {
  const program = fileURLToPath(new URL(`./decode-process${extname(import.meta.url)}`, import.meta.url))
  const child = fork(program, {
    // Loaders, such as one of TypeScript, and nothing else: what `node --eval` was given must not run again.
    execArgv: process.execArgv.filter((argument) => argument.startsWith('--import=')),
    stdio: ['ignore', 'ignore', 'ignore', 'ipc', output.fd],
  })
  const stop = () => child.kill('SIGKILL')
  signal?.addEventListener('abort', stop, { once: true })
  try {
    return await new Promise<string | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('message', ({ error }: DecodeAnswer) => resolve(error))
      child.once('exit', (status, name) => resolve(`the decoder ended with ${name ?? `status ${status}`}`))
      child.send(job, (error) => error && resolve(error.message))
    })
  } finally {
    signal?.removeEventListener('abort', stop)
    stop()
  }
}

function undecodable(path: string, error: string): ClericError {
  const full = DISK_FULL.exec(error)
  if (full) return new ClericError('ERR_DISK_FULL', `${path} can't be decoded into a file: ${full[0]}`)
  return new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} can't be decoded: ${error.split('\n')[0]}`)
}

interface OpenedTiff {
  readonly source: ByteSource
  readonly channels: number
  readonly offsets: Float64Array
}

async function openTiff(name: string): Promise<OpenedTiff> {
  const source = await openBytes(name)
  try {
    const file = await TiffFile.open(source)
    const directory = file.pages[0]?.directory
    const offsets = directory ? await file.integers(directory, TAGS.TileOffsets, MAX_TILES) : null
    if (!directory || !offsets) throw new Error(`${name} is not as libvips writes it: ${file.fault}`)
    return { source, offsets, channels: directory.number(TAGS.SamplesPerPixel) ?? 1 }
  } catch (error) {
    source.close()
    throw error
  }
}
