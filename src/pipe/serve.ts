/**
 * Answers the requests of another program, such as the Python package, over a pair of streams. Requests are worked on side by side, so
 * that a device has many tiles at a time, and answered as they are done, each by its number.
 */
import type { Readable, Writable } from 'node:stream'
import { Archive } from '../archive/archive.js'
import { openAny } from '../archive/open-any.js'
import { outOfRange } from '../arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import { LinkedAbort } from '../concurrency/abort.js'
import { Turns } from '../concurrency/turns.js'
import { ClericError, throwIfAborted, UnsupportedError } from '../errors.js'
import type { Image } from '../image/image.js'
import { checkRegion, type Region, type SlideSource } from '../slide/source.js'
import { factsOf, toldError } from './answers.js'
import { encodeFrame, headersOf } from './frames.js'
import type { PixelMemory } from './pixel-memory.js'
import { idOf, parseRequest, type Request } from './requests.js'
import { Room } from './room.js'

/** Version of what is said; the other side refuses one that it doesn't know. */
export const PROTOCOL_VERSION = 1
/** Requests that may be under way. */
export const MAX_REQUESTS = 4096
/** Slides that may be open. */
export const MAX_SLIDES = 4096
/** Bytes of pixels that may be held for regions under way. */
const PIXEL_BYTES = 2 ** 29
/** Regions that are read at a time: enough tiles for every device, and a bound for their memory. */
const REGIONS_AT_ONCE = 256

export interface PipeOptions {
  readonly input: Readable
  readonly output: Writable
  /** The version of this package, for the greeting. */
  readonly version: string
  /** Where pixels go that have a place in it. */
  readonly memory?: PixelMemory | undefined
  /** Used instead of opening a model on a device. */
  readonly codec?: PayloadCodec | undefined
  /** Ends it. */
  readonly signal: AbortSignal
}

/** About what is held for latents: 256 floats for 256 pixels, twice, and whether each is stored. */
const LATENT_BYTES_A_PIXEL = 9

/** Sends a result, and the pixels or latents that go with it; resolves when they are written, or can't be. */
type Tell = (result: object, body?: Uint8Array) => Promise<void>

/**
 * Greets, and answers until the input ends. What is under way then is stopped, and every slide closed.
 *
 * @throws ClericError ERR_PIPE_PROTOCOL if what comes in is no stream of requests; it has been told to the other side
 */
export async function servePipe(options: PipeOptions): Promise<void> {
  using stop = new LinkedAbort(options.signal)
  const { input, output, version, memory } = options
  const end = () => {
    stop.abort()
    input.destroy()
  }
  options.signal.addEventListener('abort', end, { once: true })
  // Whoever reads no more gets no more.
  output.on('error', end)
  const pipe = new Pipe(options, stop.signal)
  try {
    await pipe.send({ protocol: PROTOCOL_VERSION, version, memory: memory?.size ?? 0 })
    for await (const header of headersOf(input)) pipe.take(header)
  } catch (error) {
    if (stop.signal.aborted) return
    if (error instanceof ClericError) await pipe.send({ id: null, error: toldError(error) })
    throw error
  } finally {
    stop.abort()
    options.signal.removeEventListener('abort', end)
    await pipe.end()
    output.off('error', end)
  }
}

interface UnderWay {
  readonly stop: LinkedAbort
  /** Number of the slide that it reads; null if it reads none. */
  readonly slide: number | null
  readonly done: Promise<void>
}

class Pipe {
  readonly #output: Writable
  readonly #memory: PixelMemory | undefined
  readonly #codec: PayloadCodec | undefined
  readonly #signal: AbortSignal
  readonly #slides = new Map<number, SlideSource>()
  readonly #underWay = new Map<number, UnderWay>()
  readonly #room = new Room(PIXEL_BYTES)
  readonly #turns = new Turns(REGIONS_AT_ONCE)
  #opened = 0
  #opening = 0

  constructor({ output, memory, codec }: PipeOptions, signal: AbortSignal) {
    this.#output = output
    this.#memory = memory
    this.#codec = codec
    this.#signal = signal
  }

  /** Resolves when the frame is written, or can't be. */
  send(header: object, body?: Uint8Array): Promise<void> {
    const parts = encodeFrame(header, body)
    const last = parts.pop() as Uint8Array
    for (const part of parts) this.#output.write(part)
    return new Promise((resolve) => this.#output.write(last, () => resolve()))
  }

  /** Begins what a header asks for. */
  take(header: Readonly<Record<string, unknown>>): void {
    let id: number | null = null
    try {
      id = idOf(header)
      if (this.#underWay.has(id)) throw outOfRange('a number that no request under way has', 'id', id)
      const request = parseRequest(header, this.#memory?.size ?? 0)
      if (request.op !== 'cancel' && this.#underWay.size >= MAX_REQUESTS) {
        throw outOfRange(`at most ${MAX_REQUESTS} requests under way`, 'requests', this.#underWay.size + 1)
      }
      this.#begin(id, request)
    } catch (error) {
      this.send({ id, error: toldError(error) })
    }
  }

  #begin(id: number, request: Request): void {
    const stop = new LinkedAbort(this.#signal)
    const tell: Tell = (result, body) => this.send({ id, result }, body)
    const done = this.#answer(request, stop, tell)
      .catch((error: unknown) => this.send({ id, error: toldError(whyStopped(stop) ?? error) }))
      .finally(() => {
        this.#underWay.delete(id)
        stop[Symbol.dispose]()
      })
    this.#underWay.set(id, { stop, slide: 'slide' in request ? request.slide : null, done })
  }

  async #answer(request: Request, stop: LinkedAbort, tell: Tell): Promise<void> {
    const { signal } = stop
    switch (request.op) {
      case 'open':
        return tell(await this.#open(request, signal))
      case 'detect':
        return tell({ format: await formatOf(request.path, signal) })
      case 'regions':
        return this.#regions(request, stop, tell)
      case 'latents':
        return this.#latents(request, signal, tell)
      case 'associated': {
        const { width, height, data } = await this.#slide(request.slide).readAssociatedImage(request.name, signal)
        return tell({ width, height }, data)
      }
      case 'profile':
        return tell({}, this.#slide(request.slide).iccProfile?.() ?? new Uint8Array(0))
      case 'cancel':
        this.#underWay.get(request.request)?.stop.abort()
        return tell({})
      case 'close':
        this.#close(request.slide)
        return tell({})
    }
  }

  async #open({ path, options }: Request & { op: 'open' }, signal: AbortSignal): Promise<object> {
    if (this.#slides.size + this.#opening >= MAX_SLIDES) {
      throw outOfRange(`at most ${MAX_SLIDES} open slides`, 'slides', MAX_SLIDES + 1)
    }
    this.#opening++
    try {
      const slide = await openAny(path, { ...options, ...(this.#codec && { codec: this.#codec }), signal })
      const number = this.#opened++
      this.#slides.set(number, slide)
      return { slide: number, ...factsOf(slide) }
    } finally {
      this.#opening--
    }
  }

  /** Reads all regions side by side; after a failure none is begun any more, and those under way are waited for. */
  async #regions(
    { slide: number, regions, bytes, at }: Request & { op: 'regions' },
    stop: LinkedAbort,
    tell: Tell,
  ): Promise<void> {
    const slide = this.#slide(number)
    // Levels are known now: a region of a wrong one must not wait for its turn to be refused.
    for (const region of regions) checkRegion(region, slide.levels.length)
    const { signal } = stop
    let failure: unknown
    const readAll = async (use: (image: Image, offset: number) => Promise<void>, isInMemory: boolean) => {
      let offset = 0
      const reading = regions.map(async (region) => {
        const start = offset
        const length = 3 * region.width * region.height
        offset += length
        const read = async () => use(await this.#turns.run(() => readUnless(signal, slide, region)), start)
        try {
          await (isInMemory ? this.#room.with(length, read) : read())
        } catch (error) {
          failure ??= error
          stop.abort()
        }
      })
      await Promise.all(reading)
      if (failure !== undefined) throw failure
    }
    const { width, height } = regions[0] as Region
    if (at !== null) {
      await readAll((image, offset) => (this.#memory as PixelMemory).write(image.data, at + offset), true)
      return tell({ width, height, at })
    }
    // The room is left when the answer is written: pixels take memory while they wait for a slow reader, too.
    return this.#room.with(bytes, async () => {
      const body = new Uint8Array(bytes)
      await readAll(async ({ data }, offset) => body.set(data, offset), false)
      await tell({ width, height }, body)
    })
  }

  async #latents(
    { slide: number, region, missing }: Request & { op: 'latents' },
    signal: AbortSignal,
    tell: Tell,
  ): Promise<void> {
    const slide = this.#slide(number)
    if (!(slide instanceof Archive)) {
      throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${slide.path} is no archive: only those have latents`)
    }
    checkRegion(region, slide.levels.length)
    return this.#room.with(LATENT_BYTES_A_PIXEL * region.width * region.height, async () => {
      const { data, stored, ...result } = await slide.readLatents(region, { missing, signal })
      await tell(result, Buffer.concat([asBytes(data), stored]))
    })
  }

  #slide(number: number): SlideSource {
    const slide = this.#slides.get(number)
    if (!slide) throw new ClericError('ERR_CLOSED', `Slide ${number} is closed, or never was open`)
    return slide
  }

  #close(number: number): void {
    const slide = this.#slide(number)
    this.#slides.delete(number)
    for (const other of this.#underWay.values()) {
      if (other.slide === number) other.stop.abort(new ClericError('ERR_CLOSED', `${slide.path} is closed`))
    }
    slide.close()
  }

  /** Waits for all that is under way, and closes every slide. */
  async end(): Promise<void> {
    await Promise.all(Array.from(this.#underWay.values(), ({ done }) => done))
    for (const slide of this.#slides.values()) slide.close()
  }
}

function asBytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Why a request was stopped, where that says more than that it was; null otherwise. */
function whyStopped({ signal }: LinkedAbort): ClericError | null {
  return signal.reason instanceof ClericError ? signal.reason : null
}

async function readUnless(signal: AbortSignal, slide: SlideSource, region: Region): Promise<Image> {
  throwIfAborted(signal)
  return slide.readRegion(region, signal)
}

/** Errors that say nothing of what a file is. */
const PASSING: readonly string[] = ['ERR_ABORTED', 'ERR_NETWORK', 'ERR_ADDON_MISSING', 'ERR_OPENSLIDE_MISSING']
/** What the operating system says where there is no file. */
const ABSENT: readonly string[] = ['ENOENT', 'ENOTDIR', 'EISDIR']

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code)
}

/** The format of a file that can be opened: "cleric" for an archive, else that of the slide; null if it can't be. */
async function formatOf(path: string, signal: AbortSignal): Promise<string | null> {
  try {
    const slide = await openAny(path, { signal })
    slide.close()
    return slide.format === 'archive' ? 'cleric' : slide.format
  } catch (error) {
    const isNoSlide = error instanceof ClericError ? !PASSING.includes(error.code) : ABSENT.includes(codeOf(error))
    if (isNoSlide) return null
    throw error
  }
}
