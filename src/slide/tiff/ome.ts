/**
 * What the OME-XML in a TIFF's first ImageDescription says of its images.
 * Source: https://docs.openmicroscopy.org/ome-model/ (OME-TIFF, 2016-06).
 */
import type { Element } from '@xmldom/xmldom'
import type { Resolution } from '../source.js'

/** An Image of OME: planes of one size, one for each channel, height and time. */
export interface OmeImage {
  readonly name: string
  readonly channels: number
  readonly heights: number
  readonly times: number
  /** Numbers of its planes' directories in the main chain. */
  readonly pages: readonly number[]
  /** Its finest level's. */
  readonly mpp: Resolution | null
  /** Whether planes of it are in other files. */
  readonly isElsewhere: boolean
}

/** Micrometres, by the names of units. */
const UNITS: Readonly<Record<string, number>> = {
  ...{ '\u00b5m': 1, '\u03bcm': 1, um: 1, nm: 1e-3, '\u00c5': 1e-4, mm: 1e3, cm: 1e4, dm: 1e5, m: 1e6, in: 25_400 },
}

export function isOme(description: string): boolean {
  return /^\s*(<\?xml[^>]*>)?\s*(<!--[\s\S]{0,4096}?-->\s*)*<(\w+:)?OME[\s>]/.test(description)
}

/** The images in their order; null for XML that isn't well-formed or isn't complete. */
export async function readOme(description: string): Promise<readonly OmeImage[] | null> {
  const { DOMParser } = await import('@xmldom/xmldom')
  try {
    const parser = new DOMParser({
      onError: (level, message) => {
        if (level !== 'warning') throw new Error(message)
      },
    })
    const root = parser.parseFromString(description.trim(), 'text/xml').documentElement
    if (root?.localName !== 'OME') return null
    let next = 0
    let left = MOST_PLANES
    return children(root, 'Image').map((image) => {
      const read = omeImage(image, root.getAttribute('UUID') ?? '', next, left)
      left -= read.pages.length
      next = read.pages.reduce((most, page) => Math.max(most, page + 1), next)
      return read
    })
  } catch {
    return null
  }
}

/** @param most planes that it may list */
function omeImage(image: Element, file: string, next: number, most: number): OmeImage {
  const pixels = children(image, 'Pixels')[0]
  const size = (name: string) => Math.max(1, Number(pixels?.getAttribute(name)) || 1)
  const samples = pixels ? Number(children(pixels, 'Channel')[0]?.getAttribute('SamplesPerPixel') ?? 1) || 1 : 1
  const [channels, heights, times] = [Math.ceil(size('SizeC') / samples), size('SizeZ'), size('SizeT')]
  const planes = channels * heights * times
  const pages: number[] = []
  let isElsewhere = false
  for (const data of pixels ? children(pixels, 'TiffData') : []) {
    const uuid = children(data, 'UUID')[0]?.textContent?.trim() ?? ''
    if (uuid !== '' && file !== '' && uuid !== file) {
      isElsewhere = true
      continue
    }
    const first = data.getAttribute('IFD')
    const start = first === null ? next : Number(first)
    const count = Number(data.getAttribute('PlaneCount') ?? (first === null ? planes : 1))
    // A file may state any number, and as often as it likes.
    const listed = Math.min(count, planes, most - pages.length)
    for (let i = 0; i < listed; i++) pages.push(start + i)
  }
  return { name: image.getAttribute('Name') ?? '', channels, heights, times, pages, mpp: mppOf(pixels), isElsewhere }
}

/** The most that all images of a file have together; a TIFF with more directories is not read. */
const MOST_PLANES = 100_000

function mppOf(pixels: Element | undefined): Resolution | null {
  const size = (axis: string) => {
    const unit = UNITS[pixels?.getAttribute(`PhysicalSize${axis}Unit`) ?? '\u00b5m']
    const value = Number(pixels?.getAttribute(`PhysicalSize${axis}`) ?? Number.NaN)
    return unit !== undefined && Number.isFinite(value) && value > 0 ? value * unit : null
  }
  const [x, y] = [size('X'), size('Y')]
  return x !== null && y !== null ? { x, y } : null
}

function children(parent: Element, name: string): Element[] {
  return Array.from(parent.childNodes).filter(
    (node): node is Element => node.nodeType === 1 && (node as Element).localName === name,
  )
}
