/** What a directory of a TIFF says about how its image is stored, with the defaults of TIFF 6 filled in. */
import type { FileDirectory } from './file.js'
import { TAGS } from './tags.js'

/** Where an image is among those of a file. */
export interface ImagePlace {
  /** Number of its directory in the main chain, from 0. */
  readonly page: number
  /** Number among the SubIFDs of that directory, from 0; null for the directory itself. */
  readonly subIfd: number | null
}

export interface StoredTiffImage extends ImagePlace {
  readonly directory: FileDirectory
  readonly width: number
  readonly height: number
  readonly isTiled: boolean
  /** Sides of a tile; of a strip, the image's width and the rows of all but the last. */
  readonly segmentWidth: number
  readonly segmentHeight: number
  /** Samples a pixel, those of the colour and others. */
  readonly samples: number
  /** Bits a sample; null if the samples differ. */
  readonly bits: number | null
  /** 1 unsigned, 2 signed, 3 floating point, 4 not said ... */
  readonly sampleFormat: number
  readonly photometric: number | null
  readonly compression: number
  readonly predictor: number
  /** 1: the samples of a pixel lie together; 2: each has segments of its own. */
  readonly planar: number
  readonly fillOrder: number
  /** 1 to 8, as in Exif: where the first row and column are to be shown. */
  readonly orientation: number
  /** What the samples beyond the colour are: 0 not said, 1 premultiplied alpha, 2 alpha. */
  readonly extraSamples: readonly number[]
  /** Horizontal and vertical factor by which Cb and Cr are fewer than Y. */
  readonly subsampling: readonly [number, number]
  /** NewSubfileType: bit 0 a reduced version of another image, bit 2 a mask. */
  readonly subfile: number
}

/**
 * Reads a directory.
 *
 * @returns what is wrong with it, if it says too little to tell how large the image is
 */
export function storedImage(directory: FileDirectory, place: ImagePlace): StoredTiffImage | string {
  const value = (tag: number, fallback: number) => directory.number(tag) ?? fallback
  const width = value(TAGS.ImageWidth, 0)
  const height = value(TAGS.ImageLength, 0)
  if (width < 1 || height < 1) return `${placeName(place)} has no ImageWidth or ImageLength`
  const isTiled = directory.has(TAGS.TileWidth)
  const samples = value(TAGS.SamplesPerPixel, 1)
  const bits = directory.numbers(TAGS.BitsPerSample)
  const formats = directory.numbers(TAGS.SampleFormat)
  const [across = 2, down = 2] = directory.numbers(TAGS.YCbCrSubSampling)
  const old = directory.number(TAGS.SubfileType)
  return {
    ...place,
    directory,
    width,
    height,
    isTiled,
    segmentWidth: isTiled ? value(TAGS.TileWidth, 0) : width,
    segmentHeight: isTiled ? value(TAGS.TileLength, 0) : Math.min(height, value(TAGS.RowsPerStrip, height)),
    samples,
    bits: bits.every((each) => each === bits[0]) ? (bits[0] ?? 1) : null,
    sampleFormat: formats.every((each) => each === formats[0]) ? (formats[0] ?? 1) : 0,
    photometric: directory.number(TAGS.PhotometricInterpretation) ?? null,
    compression: value(TAGS.Compression, 1),
    predictor: value(TAGS.Predictor, 1),
    planar: value(TAGS.PlanarConfiguration, 1),
    fillOrder: value(TAGS.FillOrder, 1),
    // Zero is written by programs that mean that they don't know.
    orientation: value(TAGS.Orientation, 1) || 1,
    extraSamples: directory.numbers(TAGS.ExtraSamples),
    subsampling: [across, down],
    subfile: value(TAGS.NewSubfileType, old === 2 ? 1 : 0),
  }
}

/** Sides of an image as it is to be shown: orientations from 5 on swap them. */
export function shownSize({ width, height, orientation }: StoredTiffImage): { width: number; height: number } {
  return orientation >= 5 ? { width: height, height: width } : { width, height }
}

/** "directory 3", or "SubIFD 0 of directory 3". */
export function placeName({ page, subIfd }: ImagePlace): string {
  return subIfd === null ? `directory ${page}` : `SubIFD ${subIfd} of directory ${page}`
}
