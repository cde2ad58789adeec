/**
 * What may be asked for, and the check that a frame asks for just that. Who is at the other end may be a program with a fault:
 * nothing of a header is taken for granted.
 */
import type { ArchiveOptions } from '../archive/archive.js'
import { checkInteger, checkOneOf, checkString, outOfRange, wrongType } from '../arguments.js'
import { MISSING_LATENTS, type MissingLatents } from '../codec/arguments.js'
import type { OpenSlideOptions } from '../slide/open.js'
import type { Region } from '../slide/source.js'

/** Most regions of a request. */
export const MAX_REGIONS = 4096
/** Most bytes of pixels of a request: those of the largest region, of 2^28 pixels. */
const MAX_PIXEL_BYTES = 3 * 2 ** 28

export type Request =
  | { readonly op: 'open'; readonly path: string; readonly options: OpenOptions }
  | { readonly op: 'detect'; readonly path: string }
  | {
      readonly op: 'regions'
      readonly slide: number
      readonly regions: readonly Region[]
      /** Bytes of their pixels. */
      readonly bytes: number
      /** Where in the shared memory they go, one behind the other; null: into the body of the answer. */
      readonly at: number | null
    }
  | {
      readonly op: 'latents'
      readonly slide: number
      readonly region: Region
      readonly missing: MissingLatents | undefined
    }
  | { readonly op: 'associated'; readonly slide: number; readonly name: string }
  | { readonly op: 'profile'; readonly slide: number }
  | { readonly op: 'cancel'; readonly request: number }
  | { readonly op: 'close'; readonly slide: number }

export type OpenOptions = Omit<ArchiveOptions & OpenSlideOptions, 'codec' | 'cache' | 'signal'>

/** The names of all of these; `openArchive` and `openSlide` check their values. */
const OPEN_OPTIONS = ['model', 'device', 'adapter', 'cacheBytes', 'icc', 'cacheDir', 'page', 'series', 'range']

type Header = Readonly<Record<string, unknown>>

/** The number of a request, by which its answer is told. @throws TypeError, RangeError */
export function idOf({ id }: Header): number {
  return checkInteger(id, 'id', 0, Number.MAX_SAFE_INTEGER)
}

/**
 * @param memory bytes of the shared memory
 * @throws TypeError, RangeError that say what is wrong
 */
export function parseRequest(header: Header, memory: number): Request {
  const parse = typeof header.op === 'string' && Object.hasOwn(OPS, header.op) ? OPS[header.op] : undefined
  if (!parse) throw outOfRange(`one of ${Object.keys(OPS).join(', ')}`, 'op', header.op)
  return parse(header, memory)
}

const OPS: Readonly<Record<string, (header: Header, memory: number) => Request>> = {
  open: ({ path, options = {} }) => ({ op: 'open', path: checkString(path, 'path'), options: openOptions(options) }),
  detect: ({ path }) => ({ op: 'detect', path: checkString(path, 'path') }),
  regions: ({ slide, regions, at }, memory) => {
    const parsed = regionList(regions)
    const bytes = parsed.reduce((sum, { width, height }) => sum + 3 * width * height, 0)
    if (bytes > MAX_PIXEL_BYTES)
      throw outOfRange(`regions of at most ${MAX_PIXEL_BYTES} bytes of pixels`, 'regions', bytes)
    const place = at === undefined ? null : checkInteger(at, 'at', 0, memory - bytes)
    return { op: 'regions', slide: slideNumber(slide), regions: parsed, bytes, at: place }
  },
  latents: ({ slide, region, missing }) => {
    const [parsed] = regionList([region]) as [Region]
    if (missing !== undefined) checkOneOf(missing, 'missing', MISSING_LATENTS)
    return { op: 'latents', slide: slideNumber(slide), region: parsed, missing: missing as MissingLatents | undefined }
  },
  associated: ({ slide, name }) => ({ op: 'associated', slide: slideNumber(slide), name: checkString(name, 'name') }),
  profile: ({ slide }) => ({ op: 'profile', slide: slideNumber(slide) }),
  cancel: ({ request }) => ({ op: 'cancel', request: checkInteger(request, 'request', 0, Number.MAX_SAFE_INTEGER) }),
  close: ({ slide }) => ({ op: 'close', slide: slideNumber(slide) }),
}

function slideNumber(slide: unknown): number {
  return checkInteger(slide, 'slide', 0, Number.MAX_SAFE_INTEGER)
}

function openOptions(options: unknown): OpenOptions {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw wrongType('an object', 'options', options)
  }
  for (const key of Object.keys(options)) {
    if (!OPEN_OPTIONS.includes(key)) throw outOfRange(`one of ${OPEN_OPTIONS.join(', ')}`, 'an option', key)
  }
  return options
}

/** Each is [x, y, level, width, height]; how large a region may be `readRegion` knows, as which levels there are. */
function regionList(regions: unknown): Region[] {
  if (!Array.isArray(regions)) throw wrongType('a list of regions', 'regions', regions)
  if (regions.length < 1 || regions.length > MAX_REGIONS) {
    throw outOfRange(`a list of 1 to ${MAX_REGIONS} regions`, 'regions', regions)
  }
  return regions.map((region: unknown) => {
    if (!Array.isArray(region) || region.length !== 5)
      throw wrongType('[x, y, level, width, height]', 'a region', region)
    const [x, y, level, width, height] = region as unknown[]
    return {
      x: x as number,
      y: y as number,
      level: level as number,
      width: checkInteger(width, 'width', 1, MAX_PIXEL_BYTES),
      height: checkInteger(height, 'height', 1, MAX_PIXEL_BYTES),
    }
  })
}
