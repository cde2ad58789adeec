/**
 * Whose slide a file says that it is, by what scanners write and OpenSlide looks for. Such a slide is never read as a
 * plain image: that would lose levels, label and resolution, and may show a preview in place of the slide.
 */
import { extname } from 'node:path'
import type { TiffFile } from '../tiff/file.js'
import { TAGS } from '../tiff/tags.js'

/** Extensions that no other programs use for images. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  ...{ '.svs': 'Aperio', '.ndpi': 'Hamamatsu', '.vms': 'Hamamatsu', '.vmu': 'Hamamatsu', '.scn': 'Leica' },
  ...{ '.mrxs': 'MIRAX', '.bif': 'Ventana', '.svslide': 'Sakura', '.czi': 'Zeiss', '.isyntax': 'Philips' },
  ...{ '.vsi': 'Olympus', '.kfb': 'KFBio', '.dcm': 'DICOM', '.sdpc': 'TEKSQRAY', '.mdsx': 'Motic' },
}

export interface Vendor {
  readonly name: string
  /** What tells it, for messages. */
  readonly by: string
  /** The first version of OpenSlide that reads its slides, where not all do. */
  readonly openSlide?: number
}

const DICOM = { name: 'DICOM', openSlide: 4 }
const DICOM_PREAMBLE_BYTES = 128

/** Whether the first bytes of a file are those of DICOM. */
export function isDicom(start: Uint8Array): boolean {
  const mark = start.subarray(DICOM_PREAMBLE_BYTES, DICOM_PREAMBLE_BYTES + 4)
  return String.fromCharCode(...mark) === 'DICM'
}

/** The vendor by the first bytes of what is no TIFF; null if they tell none. */
export function vendorByBytes(start: Uint8Array): Vendor | null {
  return isDicom(start) ? { ...DICOM, by: 'its first bytes' } : null
}

/** The vendor by a TIFF's tags; null if it is anybody's. */
export function vendorByTags(file: TiffFile): Vendor | null {
  const first = file.pages[0]?.directory
  if (!first) return null
  const description = first.text(TAGS.ImageDescription)
  const software = first.text(TAGS.Software)
  if (first.has(TAGS.NdpiFormat)) return { name: 'Hamamatsu', by: `its tag ${TAGS.NdpiFormat}` }
  if (description.startsWith('Aperio')) return { name: 'Aperio', by: 'its ImageDescription' }
  if (/http:\/\/www\.leica-microsystems\.com\/scn\//.test(description)) {
    return { name: 'Leica', by: 'its ImageDescription' }
  }
  if (software.startsWith('Philips') && /<DataObject[\s>]/.test(description)) {
    return { name: 'Philips', by: 'its Software and ImageDescription' }
  }
  if (software.startsWith('MedScan')) return { name: 'Trestle', by: 'its Software' }
  const hasIScan = file.pages.some(({ directory }) => /<iScan[\s>]/.test(directory.text(TAGS.XMP)))
  if (hasIScan) return { name: 'Ventana', by: 'its XMP' }
  return null
}

/** The vendor by the file's name; null if its extension is anybody's. */
export function vendorByName(path: string): Vendor | null {
  const extension = extname(path).toLowerCase()
  const name = EXTENSIONS[extension]
  if (name === undefined) return null
  return { ...(name === DICOM.name ? DICOM : { name }), by: `its extension ${extension}` }
}
