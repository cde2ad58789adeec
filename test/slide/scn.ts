/**
 * A Leica SCN file, as small as OpenSlide reads one: a BigTIFF whose first description says in XML which directories show
 * which parts of the glass, in nanometres.
 */
import { deflateSync } from 'node:zlib'
import { fill, paste, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { type BareDirectory, bareTiff } from './bare-tiff.js'

/** A part of the glass that was scanned: images of the same part, each half the size of the one before. */
export interface ScnRegion {
  readonly images: readonly Image[]
  /** Place of its top left corner on the glass, in pixels of the finest image. */
  readonly left: number
  readonly top: number
}

export interface ScnSlide {
  /** Size of the glass in pixels of the finest images. */
  readonly width: number
  readonly height: number
  /** Nanometres a pixel of the finest images. */
  readonly nanometres: number
  readonly objective: number
  readonly regions: readonly ScnRegion[]
  /** Shows all of the glass. */
  readonly macro: Image
}

const TILE = 128

export function scnFile(slide: ScnSlide): Buffer {
  const { nanometres: nm } = slide
  const directories: BareDirectory[] = []
  const dimension = (image: Image, r: number, directory: BareDirectory) => {
    directories.push(directory)
    return `<dimension sizeX="${image.width}" sizeY="${image.height}" r="${r}" ifd="${directories.length - 1}"/>`
  }
  const xmlOf = (
    dimensions: readonly string[],
    view: string,
  ) => `<image><pixels>${dimensions.join('')}</pixels><view ${view}/>
    <creationDate>2026-01-01T00:00:00Z</creationDate><device model="none" version="1"/><scanSettings>
    <objectiveSettings><objective>${slide.objective}</objective></objectiveSettings><illuminationSettings>
    <numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>
    </illuminationSettings></scanSettings></image>`
  const across = `sizeX="${slide.width * nm}" sizeY="${slide.height * nm}"`
  const scans = slide.regions.map(({ images, left, top }) => {
    const finest = images[0] as Image
    const view = `sizeX="${finest.width * nm}" sizeY="${finest.height * nm}" offsetX="${left * nm}" offsetY="${top * nm}"`
    return xmlOf(
      images.map((image, r) => dimension(image, r, tiled(image, nm * 2 ** r))),
      view,
    )
  })
  const macro = xmlOf([dimension(slide.macro, 0, strip(slide.macro))], `${across} offsetX="0" offsetY="0"`)
  const xml = `<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
    <collection name="drawn" ${across}><barcode>ZHJhd24=</barcode>${macro}${scans.join('')}</collection></scn>`
  const chain = directories.map((directory, i) =>
    i === 0 ? { ...directory, tags: { ...directory.tags, 270: xml } } : directory,
  )
  return bareTiff(chain, { isLittle: true, isBig: true })
}

const RGB = { 258: [8, 8, 8], 259: [8], 262: [2], 277: [3], 284: [1] }

const CENTIMETRE = 3

function tiled(image: Image, nanometres: number): BareDirectory {
  const segments: Uint8Array[] = []
  for (let y = 0; y < image.height; y += TILE) {
    for (let x = 0; x < image.width; x += TILE) {
      const tile = fill(TILE, TILE, WHITE)
      paste(image, tile, -x, -y)
      segments.push(deflateSync(tile.data))
    }
  }
  const resolution = [1e7 / nanometres]
  const tags = { 256: [image.width], 257: [image.height], 282: resolution, 283: resolution, 296: [CENTIMETRE] }
  return { tags: { ...RGB, ...tags, 322: [TILE], 323: [TILE] }, segments }
}

function strip(image: Image): BareDirectory {
  const tags = { ...RGB, 256: [image.width], 257: [image.height], 278: [image.height] }
  return { tags, segments: [deflateSync(image.data)] }
}
