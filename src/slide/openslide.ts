/**
 * Slides read through OpenSlide: Aperio, Hamamatsu, Leica, MIRAX, Philips, Sakura, Trestle,
 * Ventana and generic tiled TIFF, and what else the installed version knows.
 *
 * OpenSlide is loaded when the first slide is opened. The environment variable
 * CLERIC_OPENSLIDE names the library's file where it isn't found by its usual name.
 */
import sharp from 'sharp'
import { checkOneOf, checkSignal, checkString } from '../arguments.js'
import { untilAborted } from '../concurrency/abort.js'
import { ClericError, SlideError, throwIfAborted } from '../errors.js'
import { type Colour, WHITE } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { addon, asClericError, type NativePixels, type NativeSlide, type NativeSlideInfo } from '../native/addon.js'
import { absurdDicom } from './dicom.js'
import { absurdMirax, slideBytes } from './mirax.js'
import { sensible } from './resolution.js'
import { inspectTiff } from './size-limits.js'
import { checkImageRead, checkRead, type Level, type Region, type Resolution, type SlideSource } from './source.js'

/**
 * A slide that OpenSlide has open. Reads happen on libuv's threads; several at once are safe.
 *
 * A read that fails doesn't spoil the reads after it, although OpenSlide's own handle
 * refuses everything after a failure: the slide is opened anew.
 */
export class OpenSlideHandle implements SlideSource {
  readonly path: string
  readonly bytes: number
  /** OpenSlide's name of the format: "aperio", "hamamatsu", "mirax" ... */
  readonly vendor: string
  /** Version of the OpenSlide library, e.g. "3.4.1". */
  readonly libraryVersion: string
  readonly levels: readonly Level[]
  readonly properties: Readonly<Record<string, string>>
  readonly associatedImages: readonly string[]
  readonly mpp: Resolution | null
  readonly objectivePower: number | null
  /** The property openslide.background-color, white where there is none. */
  readonly background: Colour

  readonly #native: NativeSlide
  readonly #iccProfile: Uint8Array
  readonly #iccError: string
  readonly #pending = new Set<Promise<unknown>>()
  #jobs = 0
  #closed = false

  /** @internal Use {@link openOpenSlide}. */
  constructor(path: string, bytes: number, native: NativeSlide, info: NativeSlideInfo) {
    this.path = path
    this.bytes = bytes
    this.#native = native
    this.libraryVersion = info.libraryVersion
    this.levels = Array.from({ length: info.levels.length / 3 }, (_, i) => {
      const [width = 0, height = 0, downsample = 1] = info.levels.slice(3 * i, 3 * i + 3)
      return { width, height, downsample }
    })
    const properties: [string, string][] = []
    for (let i = 0; i + 1 < info.properties.length; i += 2) {
      properties.push([info.properties[i] ?? '', info.properties[i + 1] ?? ''])
    }
    // Defines each name, so that one called __proto__ is a property like any other.
    this.properties = Object.fromEntries(properties)
    this.associatedImages = info.associatedImages
    this.vendor = this.properties['openslide.vendor'] ?? 'unknown'
    this.background = parseColour(this.properties['openslide.background-color']) ?? WHITE
    const x = micrometres(this.properties, 'x')
    const y = micrometres(this.properties, 'y')
    this.mpp = x !== null && y !== null ? { x, y } : null
    this.objectivePower = positiveNumber(this.properties['openslide.objective-power'])
    this.#iccProfile = info.iccProfile
    this.#iccError = info.iccError
  }

  get format(): string {
    return this.vendor
  }

  /**
   * Pixels of a region, at most 2^28 of them. It may reach outside the slide: there, and wherever the slide has
   * no data, the pixels are {@link background}; half-transparent pixels are blended with it.
   *
   * @param region x, y in level-0 pixels; width, height in pixels of the level
   * @throws SlideError ERR_OPENSLIDE_READ with OpenSlide's own text
   * @throws AbortedError ERR_ABORTED; ClericError ERR_CLOSED
   */
  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    const { x, y, level, width, height } = checkRead(region, this.levels.length, signal)
    return this.#read(signal, (job) =>
      this.#native.readRegion(job, x, y, level, width, height, packed(this.background)),
    )
  }

  /**
   * The label, macro or thumbnail image, or whatever else {@link associatedImages} lists.
   *
   * @throws RangeError for a name that isn't there; else as {@link readRegion}
   */
  async readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    checkImageRead(name, signal)
    checkOneOf(name, 'name', this.associatedImages)
    return this.#read(signal, (job) => this.#native.readAssociatedImage(job, name, packed(this.background)))
  }

  /**
   * The ICC profile of the slide's colours, or null: it has none, or it is no TIFF and OpenSlide, older than 4.0, can't
   * tell.
   *
   * @throws SlideError ERR_OPENSLIDE_READ if it has one that can't be read
   */
  iccProfile(): Uint8Array | null {
    if (this.#iccError !== '') {
      throw new SlideError('ERR_OPENSLIDE_READ', `Can't read the ICC profile of ${this.path}: ${this.#iccError}`)
    }
    return this.#iccProfile.length > 0 ? this.#iccProfile : null
  }

  /**
   * Refuses further reads at once with ERR_CLOSED. Resolves when the reads under way, which finish as usual,
   * are done and the file is closed.
   */
  async close(): Promise<void> {
    this.#closed = true
    this.#native.close()
    await Promise.allSettled(this.#pending)
  }

  [Symbol.dispose](): void {
    void this.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #read(signal: AbortSignal | undefined, start: (job: number) => Promise<NativePixels>): Promise<Image> {
    if (this.#closed) throw new ClericError('ERR_CLOSED', `The slide ${this.path} is closed`)
    const job = this.#jobs++
    const reading = start(job)
    this.#pending.add(reading)
    try {
      const { data, width, height } = await untilAborted(reading, signal, () => this.#native.cancel(job))
      return { data, width, height, channels: 3 }
    } catch (error) {
      throw asClericError(error)
    } finally {
      // Still running if the caller gave up on it; close() waits for it all the same.
      const done = () => this.#pending.delete(reading)
      reading.then(done, done)
    }
  }
}

/**
 * Opens a slide with OpenSlide, off the main thread.
 *
 * @param path of the slide's file (for MIRAX and the like: of the main file)
 * @throws SlideError ERR_OPENSLIDE_MISSING if the library isn't installed; the message names the packages
 * @throws SlideError ERR_UNSUPPORTED_SLIDE if it is in no format that OpenSlide knows, or its tiles or tables are absurdly large
 * @throws SlideError ERR_OPENSLIDE_READ if there is no such file, or it is damaged
 * @example
 * await using slide = await openOpenSlide('slide.svs')
 * const { data } = await slide.readRegion({ x: 0, y: 0, level: 0, width: 512, height: 512 })
 */
export async function openOpenSlide(path: string, signal?: AbortSignal): Promise<OpenSlideHandle> {
  checkString(path, 'path')
  throwIfAborted(checkSignal(signal))
  await inspectTiff(path, signal)
  const what = absurdMirax(path) ?? (await absurdDicom(path, signal))
  if (what !== null) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path}: ${what}`)
  const native = new (addon().Slide)()
  const opening = native.open(path, process.env.CLERIC_OPENSLIDE ?? '')
  try {
    const info = await untilAborted(opening, signal, () => opening.then(() => native.close()).catch(() => {}))
    const isOld = Number.parseInt(info.libraryVersion, 10) < 4
    const iccProfile = isOld ? await tiffProfile(path) : withoutPadding(info.iccProfile)
    return new OpenSlideHandle(path, slideBytes(path), native, { ...info, iccProfile })
  } catch (error) {
    throw asClericError(error)
  }
}

/**
 * OpenSlide before 4.0 knows no ICC profiles; that of a slide that is a TIFF can be had without it. Empty if there is
 * none.
 */
async function tiffProfile(path: string): Promise<Uint8Array> {
  const facts = await sharp(path, { limitInputPixels: false })
    .metadata()
    .catch(() => null)
  return new Uint8Array(facts?.format === 'tiff' && facts.icc ? facts.icc : [])
}

/** DICOM has values of an even length only; a profile says its own in its first four bytes. */
function withoutPadding(profile: Uint8Array): Uint8Array {
  if (profile.length < 4) return profile
  const length = new DataView(profile.buffer, profile.byteOffset).getUint32(0)
  return length === profile.length - 1 ? profile.subarray(0, length) : profile
}

/** "rrggbb" in hexadecimal. */
function parseColour(text: string | undefined): Colour | null {
  if (text === undefined || !/^[0-9a-f]{6}$/i.test(text)) return null
  const value = Number.parseInt(text, 16)
  return { red: value >> 16, green: (value >> 8) & 255, blue: value & 255 }
}

function packed({ red, green, blue }: Colour): number {
  return (red << 16) | (green << 8) | blue
}

/** Micrometres a pixel. OpenSlide before 4.0 leaves it to us to work it out from the resolution of a generic TIFF. */
function micrometres(properties: Readonly<Record<string, string>>, axis: 'x' | 'y'): number | null {
  const stated = positiveNumber(properties[`openslide.mpp-${axis}`])
  if (stated !== null || properties['openslide.vendor'] !== 'generic-tiff') return stated
  const unit = { centimeter: 10_000, inch: 25_400 }[properties['tiff.ResolutionUnit'] ?? '']
  const resolution = positiveNumber(properties[`tiff.${axis.toUpperCase()}Resolution`])
  const length = unit !== undefined && resolution !== null ? unit / resolution : 0
  return sensible({ x: length, y: length })?.x ?? null
}

function positiveNumber(text: string | undefined): number | null {
  const value = Number.parseFloat(text ?? '')
  return Number.isFinite(value) && value > 0 ? value : null
}
