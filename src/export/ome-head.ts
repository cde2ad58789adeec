/**
 * The directories of an OME-TIFF: the finest level with the others as its SubIFDs, then the associated images, each an Image of
 * the OME-XML in the first ImageDescription. Source: https://docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/, schema 2016-06.
 */
import { uuidOf, uuidText } from '../files/uuid.js'
import type { Resolution } from '../slide/source.js'
import { type Fields, type StoredImage, stripFields } from '../tiff/image-fields.js'
import { TAGS } from '../tiff/tags.js'
import { ascii, encodeTiff } from '../tiff/writer.js'
import { type ExportContents, levelFields } from './head.js'
import type { ExportLevel } from './pyramid.js'

export interface OmeContents extends Omit<ExportContents, 'description'> {
  readonly objectivePower: number | null
}

const NAMESPACE = 'http://www.openmicroscopy.org/Schemas/OME/2016-06'

/**
 * Bytes of the head. Their number depends on sizes and facts, not on where tiles are or how long.
 *
 * @param digest hash of all that comes after it, of which the file's UUID is made
 */
export function encodeOmeHead(contents: OmeContents, digest: Uint8Array): Uint8Array {
  const { images } = contents
  const tiled = levelFields(contents)
  const [finest, ...coarser] = tiled as [Fields, ...Fields[]]
  finest.push([TAGS.ImageDescription, ascii(omeXml(contents, digest))])
  const children = coarser.map((fields) => ({ fields: new Map(fields) }))
  const base = { fields: new Map(finest), ...(children.length > 0 ? { children } : {}) }
  const stripped = images.map((image: StoredImage) => ({ fields: new Map(stripFields(image, 0)) }))
  return encodeTiff([base, ...stripped]).bytes
}

function omeXml({ levels, images, mpp, objectivePower }: OmeContents, digest: Uint8Array): string {
  const { width, height } = (levels[0] as ExportLevel).level
  const slide = imageXml({ name: 'slide', width, height }, 0, mpp, objectivePower)
  const others = images.map((image, i) => imageXml(image, i + 1, null, null))
  const instrument =
    objectivePower === null
      ? ''
      : `<Instrument ID="Instrument:0"><Objective ID="Objective:0" NominalMagnification="${objectivePower}"/></Instrument>`
  const body = [instrument, slide, ...others].join('')
  const schema = `xmlns="${NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="${NAMESPACE} ${NAMESPACE}/ome.xsd"`
  const uuid = uuidText(uuidOf(body, digest))
  return `<?xml version="1.0" encoding="UTF-8"?><OME ${schema} Creator="cleric" UUID="urn:uuid:${uuid}">${body}</OME>`
}

interface NamedSize {
  readonly name: string
  readonly width: number
  readonly height: number
}

/** @param number of the Image, which is that of its directory too */
function imageXml(
  { name, width, height }: NamedSize,
  number: number,
  mpp: Resolution | null,
  objectivePower: number | null,
): string {
  const size = mpp
    ? ` PhysicalSizeX="${mpp.x}" PhysicalSizeXUnit="\u00b5m" PhysicalSizeY="${mpp.y}" PhysicalSizeYUnit="\u00b5m"`
    : ''
  const optics =
    objectivePower === null ? '' : '<InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0"/>'
  return (
    `<Image ID="Image:${number}" Name="${escaped(name)}">${optics}` +
    `<Pixels ID="Pixels:${number}" DimensionOrder="XYCZT" Type="uint8" SignificantBits="8" Interleaved="true" BigEndian="false" ` +
    `SizeX="${width}" SizeY="${height}" SizeZ="1" SizeC="3" SizeT="1"${size}>` +
    `<Channel ID="Channel:${number}:0" SamplesPerPixel="3"/><TiffData IFD="${number}" PlaneCount="1"/></Pixels></Image>`
  )
}

/** Text as an attribute's value; characters that XML 1.0 doesn't have are left out. */
function escaped(text: string): string {
  const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '')
    .replace(/[&<>"]/g, (c) => escapes[c] ?? c)
}
