/**
 * The IIIF Image API 3.0 (https://iiif.io/api/image/3.0/) at level 2: what its addresses ask for, in numbers. Nothing here
 * knows of slides or servers.
 */
import { levelSize, maxLevel, PYRAMID_TILE } from '../archive/pyramid.js'
import type { Size } from '../image/image.js'
import type { Area } from './area.js'
import { badRequest, tooLarge } from './refusal.js'

export const CONTEXT = 'http://iiif.io/api/image/3/context.json'
export const PROFILE = 'http://iiif.io/api/image/3/level2.json'

/** Pixels of the largest picture, and of its longer side: what bounds the work of one request. */
const MAX_AREA = 2 ** 23
const MAX_SIDE = 8192

export const QUALITIES = ['default', 'color', 'gray', 'bitonal'] as const
export type Quality = (typeof QUALITIES)[number]
export const FORMATS = { jpg: 'jpeg', png: 'png', webp: 'webp' } as const
export type Format = keyof typeof FORMATS

/** What an address asks for. */
export interface ImageRequest {
  readonly region: Area
  readonly size: Size
  /** Degrees clockwise, from 0 to below 360. */
  readonly rotation: number
  /** Mirrored from left to right, before it is turned. */
  readonly isMirrored: boolean
  readonly quality: Quality
  readonly format: Format
  /** The same request as the standard writes it, REGION/SIZE/ROTATION/QUALITY.FORMAT. */
  readonly canonical: string
}

/** The parts of an address. */
export interface ImageAddress {
  readonly region: string
  readonly size: string
  readonly rotation: string
  /** QUALITY.FORMAT */
  readonly file: string
}

/**
 * @param full size of the image
 * @throws Refusal ERR_BAD_REQUEST for what the standard doesn't have, or the image not; ERR_TOO_LARGE
 */
export function parseImageRequest(full: Size, address: ImageAddress): ImageRequest {
  const [, quality = '', format = ''] = /^([a-z]+)\.([a-z0-9]+)$/.exec(address.file) ?? []
  if (!isOneOf(QUALITIES, quality)) throw badRequest(`Expected one of ${QUALITIES.join(', ')} for the quality`)
  if (!isOneOf(Object.keys(FORMATS) as Format[], format)) {
    throw badRequest(`Expected one of ${Object.keys(FORMATS).join(', ')} for the format`)
  }
  const region = parseRegion(full, address.region)
  const size = parseSize(region, address.size)
  const { rotation, isMirrored } = parseRotation(address.rotation)
  const isFull = region.width === full.width && region.height === full.height
  const isUpscaled = size.width > region.width || size.height > region.height
  const isMax = !isUpscaled && isSame(size, largest(region))
  const canonical = [
    isFull ? 'full' : [region.x, region.y, region.width, region.height].join(','),
    isMax ? 'max' : `${isUpscaled ? '^' : ''}${size.width},${size.height}`,
    `${isMirrored ? '!' : ''}${plain(rotation)}`,
    `${quality === 'color' ? 'default' : quality}.${format}`,
  ].join('/')
  return { region, size, rotation, isMirrored, quality, format, canonical }
}

/** The document that describes an image, at that address. */
export function describeImage(full: Size, id: string) {
  const top = maxLevel(full)
  const levels = Array.from({ length: top + 1 }, (_, i) => levelSize(full, i))
  return {
    '@context': CONTEXT,
    id,
    type: 'ImageService3',
    protocol: 'http://iiif.io/api/image',
    profile: 'level2',
    width: full.width,
    height: full.height,
    maxWidth: MAX_SIDE,
    maxHeight: MAX_SIDE,
    maxArea: MAX_AREA,
    sizes: levels.filter((size) => Math.max(size.width, size.height) >= 64 && isAllowed(size)),
    tiles: [
      {
        width: PYRAMID_TILE,
        height: PYRAMID_TILE,
        scaleFactors: Array.from({ length: top + 1 }, (_, i) => 2 ** i).filter((factor) => {
          return factor === 1 || PYRAMID_TILE * factor < 2 * Math.max(full.width, full.height)
        }),
      },
    ],
    extraFormats: ['webp'],
    extraQualities: ['color', 'gray', 'bitonal'],
    extraFeatures: ['canonicalLinkHeader', 'mirroring', 'profileLinkHeader', 'rotationArbitrary', 'sizeUpscaling'],
  }
}

function parseRegion(full: Size, text: string): Area {
  const { width, height } = full
  if (text === 'full') return { x: 0, y: 0, width, height }
  if (text === 'square') {
    const side = Math.min(width, height)
    return { x: Math.floor((width - side) / 2), y: Math.floor((height - side) / 2), width: side, height: side }
  }
  const isPercent = text.startsWith('pct:')
  const numbers = (isPercent ? text.slice(4) : text).split(',')
  const form = isPercent ? DECIMAL : INTEGER
  if (numbers.length !== 4 || !numbers.every((number) => form.test(number))) {
    throw badRequest('Expected full, square, X,Y,WIDTH,HEIGHT or pct:X,Y,WIDTH,HEIGHT for the region')
  }
  const [x, y, w, h] = numbers.map(Number) as [number, number, number, number]
  const along = (start: number, length: number, side: number): [number, number] => {
    if (!isPercent) return [start, Math.min(side, start + length)]
    const scale = side / 100
    return [Math.round(start * scale), Math.min(side, Math.round((start + length) * scale))]
  }
  const [left, right] = along(x, w, width)
  const [top, bottom] = along(y, h, height)
  if (right <= left || bottom <= top) throw badRequest('The region holds no pixel of the image')
  return { x: left, y: top, width: right - left, height: bottom - top }
}

function parseSize(region: Area, text: string): Size {
  const mayGrow = text.startsWith('^')
  const asked = mayGrow ? text.slice(1) : text
  if (asked === 'max') return largest(region, mayGrow)
  const size = sizeOf(region, asked)
  if (size.width < 1 || size.height < 1) throw badRequest('The size holds no pixel')
  // The standard lets a box be larger than the region; its validator wants that refused, as upscaling.
  if (!mayGrow && (size.width > region.width || size.height > region.height)) {
    throw badRequest('The size is larger than the region; ^ before it enlarges')
  }
  if (!isAllowed(size)) {
    throw tooLarge(`Expected at most ${MAX_AREA} pixels and ${MAX_SIDE} a side for the size`)
  }
  return size
}

function sizeOf({ width, height }: Size, text: string): Size {
  const scaled = (scale: number) => ({
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  })
  const [, percent] = /^pct:(.+)$/.exec(text) ?? []
  if (percent !== undefined && DECIMAL.test(percent) && Number(percent) > 0) return scaled(Number(percent) / 100)
  const [, box, w = '', h = ''] = /^(!?)(\d{0,9}),(\d{0,9})$/.exec(text) ?? []
  const [askedWidth, askedHeight] = [Number(w), Number(h)]
  if (box === '!' && w !== '' && h !== '') {
    if (askedWidth === 0 || askedHeight === 0) return { width: 0, height: 0 }
    return scaled(Math.min(askedWidth / width, askedHeight / height))
  }
  if (box === '' && w !== '' && h !== '') return { width: askedWidth, height: askedHeight }
  if (box === '' && w !== '') return { width: askedWidth, height: scaled(askedWidth / width).height }
  if (box === '' && h !== '') return { width: scaled(askedHeight / height).width, height: askedHeight }
  throw badRequest('Expected max, W,H or W, or ,H or !W,H or pct:N for the size, ^ before it to enlarge')
}

/** The region's own size, or what the limits leave of it; with `grow`, the largest that they allow. */
function largest({ width, height }: Size, grow = false): Size {
  const most = Math.min(Math.sqrt(MAX_AREA / (width * height)), MAX_SIDE / Math.max(width, height))
  if (most >= 1 && !grow) return { width, height }
  const scaled = (length: number) => Math.max(1, Math.floor(length * most))
  return { width: scaled(width), height: scaled(height) }
}

function isAllowed({ width, height }: Size): boolean {
  return width * height <= MAX_AREA && Math.max(width, height) <= MAX_SIDE
}

function parseRotation(text: string): { rotation: number; isMirrored: boolean } {
  const isMirrored = text.startsWith('!')
  const degrees = isMirrored ? text.slice(1) : text
  if (!DECIMAL.test(degrees) || Number(degrees) > 360) {
    throw badRequest('Expected a number from 0 to 360 for the rotation, ! before it to mirror')
  }
  return { rotation: Number(degrees) % 360, isMirrored }
}

/** A number as an address may have it: JavaScript writes small ones with an exponent. */
function plain(number: number): string {
  return number.toFixed(MOST_DECIMALS).replace(/\.?0+$/, '')
}

const MOST_DECIMALS = 10
const INTEGER = /^\d{1,10}$/
const DECIMAL = /^(\d{1,10}(\.\d{0,10})?|\.\d{1,10})$/

function isSame(a: Size, b: Size): boolean {
  return a.width === b.width && a.height === b.height
}

function isOneOf<T extends string>(values: readonly T[], value: string): value is T {
  return (values as readonly string[]).includes(value)
}
