/**
 * DICOM files of a slide, as small as OpenSlide 4 reads them: one a level and associated image, of one series, with
 * uncompressed frames in rows. Source: DICOM PS3.3 (VL Whole Slide Microscopy Image), PS3.5 and PS3.10.
 */

import { fill, paste, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'

export interface DicomImage {
  readonly image: Image
  /** Third value of ImageType. */
  readonly flavour: 'VOLUME' | 'LABEL' | 'OVERVIEW' | 'THUMBNAIL'
  /** Side of a frame; default: one frame has all of the image. */
  readonly tile?: number
  /** Millimetres a pixel: down, across. */
  readonly spacing: readonly [row: number, column: number]
  readonly objectivePower: number
  readonly iccProfile?: Uint8Array
  /** Number of the file in its series. */
  readonly instance: number
}

const SLIDE_CLASS = '1.2.840.10008.5.1.4.1.1.77.1.6'
const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1'
const SERIES = '1.2.826.0.1.3680043.10.1.1'

/** Value representations whose length has four bytes. */
const LONG = ['OB', 'OW', 'SQ']

export function dicomFile(slide: DicomImage): Buffer {
  const { image, spacing, instance } = slide
  const [width, height] = slide.tile === undefined ? [image.width, image.height] : [slide.tile, slide.tile]
  const frames = framesOf(image, width, height)
  const uid = `${SERIES}.${instance}`
  const meta = [
    element(0x0002, 0x0001, 'OB', Buffer.from([0, 1])),
    element(0x0002, 0x0002, 'UI', text(SLIDE_CLASS, '\0')),
    element(0x0002, 0x0003, 'UI', text(uid, '\0')),
    element(0x0002, 0x0010, 'UI', text(EXPLICIT_LITTLE_ENDIAN, '\0')),
    element(0x0002, 0x0012, 'UI', text(`${SERIES}.0`, '\0')),
  ]
  const optics = [
    ...(slide.iccProfile ? [element(0x0028, 0x2000, 'OB', even(slide.iccProfile))] : []),
    element(0x0048, 0x0112, 'DS', text(String(slide.objectivePower))),
  ]
  const measures = [element(0x0028, 0x0030, 'DS', text(spacing.join('\\')))]
  const data = [
    element(0x0008, 0x0008, 'CS', text(`ORIGINAL\\PRIMARY\\${slide.flavour}\\NONE`)),
    element(0x0008, 0x0016, 'UI', text(SLIDE_CLASS, '\0')),
    element(0x0008, 0x0018, 'UI', text(uid, '\0')),
    element(0x0008, 0x0060, 'CS', text('SM')),
    element(0x0010, 0x0010, 'PN', text('Nobody^Drawn')),
    element(0x0020, 0x000d, 'UI', text(`${SERIES}.100`, '\0')),
    element(0x0020, 0x000e, 'UI', text(SERIES, '\0')),
    element(0x0020, 0x9311, 'CS', text('TILED_FULL')),
    element(0x0028, 0x0002, 'US', short(3)),
    element(0x0028, 0x0004, 'CS', text('RGB')),
    element(0x0028, 0x0006, 'US', short(0)),
    element(0x0028, 0x0008, 'IS', text(String(frames.length))),
    element(0x0028, 0x0010, 'US', short(height)),
    element(0x0028, 0x0011, 'US', short(width)),
    element(0x0028, 0x0100, 'US', short(8)),
    element(0x0028, 0x0101, 'US', short(8)),
    element(0x0028, 0x0102, 'US', short(7)),
    element(0x0028, 0x0103, 'US', short(0)),
    element(0x0048, 0x0006, 'UL', long(image.width)),
    element(0x0048, 0x0007, 'UL', long(image.height)),
    element(0x0048, 0x0105, 'SQ', item(optics)),
    element(0x5200, 0x9229, 'SQ', item([element(0x0028, 0x9110, 'SQ', item(measures))])),
    element(0x7fe0, 0x0010, 'OW', even(Buffer.concat(frames))),
  ]
  const length = meta.reduce((sum, bytes) => sum + bytes.length, 0)
  const preamble = [Buffer.alloc(128), Buffer.from('DICM'), element(0x0002, 0x0000, 'UL', long(length))]
  return Buffer.concat([...preamble, ...meta, ...data])
}

function framesOf(image: Image, width: number, height: number): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (let y = 0; y < image.height; y += height) {
    for (let x = 0; x < image.width; x += width) {
      const frame = fill(width, height, WHITE)
      paste(image, frame, -x, -y)
      frames.push(frame.data)
    }
  }
  return frames
}

function element(group: number, number: number, representation: string, value: Uint8Array): Buffer {
  const isLong = LONG.includes(representation)
  const head = Buffer.alloc(isLong ? 12 : 8)
  head.writeUInt16LE(group, 0)
  head.writeUInt16LE(number, 2)
  head.write(representation, 4, 'latin1')
  if (isLong) head.writeUInt32LE(value.length, 8)
  else head.writeUInt16LE(value.length, 6)
  return Buffer.concat([head, value])
}

/** One item of a sequence. */
function item(elements: readonly Buffer[]): Buffer {
  const body = Buffer.concat(elements)
  return Buffer.concat([Buffer.from([0xfe, 0xff, 0x00, 0xe0]), long(body.length), body])
}

/** Values have an even number of bytes. */
function even(bytes: Uint8Array, padding = '\0'): Buffer {
  return Buffer.concat([bytes, Buffer.from(bytes.length % 2 === 0 ? '' : padding)])
}

const text = (value: string, padding = ' ') => even(Buffer.from(value, 'latin1'), padding)
const short = (value: number) => Buffer.from([value & 255, value >> 8])

function long(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
