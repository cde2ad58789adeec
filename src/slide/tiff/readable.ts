/**
 * Which images of TIFFs the reader here reads, and why not the others: one row a rule, the first that holds says what
 * is in the way. What passes is decoded right, whatever the tags say otherwise.
 */
import { placeName, type StoredTiffImage } from '../../tiff/stored-image.js'
import { TAGS } from '../../tiff/tags.js'

/** Most bytes of a tile or strip once it is unpacked: what is asked of memory before a decoder sees it. */
export const MOST_SEGMENT_BYTES = 2 ** 28
const MOST_SIDE = 2 ** 31

export const PHOTOMETRIC_NAMES: Readonly<Record<number, string>> = {
  ...{ 0: 'WhiteIsZero', 1: 'BlackIsZero', 2: 'RGB', 3: 'palette', 4: 'mask', 5: 'CMYK', 6: 'YCbCr', 8: 'CIELab' },
  ...{ 9: 'ICCLab', 10: 'ITULab', 32803: 'CFA', 32844: 'LogL', 32845: 'LogLuv', 34892: 'LinearRaw' },
}

export const COMPRESSION_NAMES: Readonly<Record<number, string>> = {
  ...{ 1: 'none', 2: 'CCITT RLE', 3: 'CCITT Group 3', 4: 'CCITT Group 4', 5: 'LZW', 6: 'old-style JPEG', 7: 'JPEG' },
  ...{ 8: 'deflate', 9: 'JBIG', 10: 'JBIG', 32766: 'NeXT', 32773: 'PackBits', 32809: 'ThunderScan' },
  ...{ 32946: 'deflate', 33003: 'JPEG 2000', 33004: 'JPEG 2000', 33005: 'JPEG 2000', 34661: 'JBIG' },
  ...{ 34676: 'SGILog', 34677: 'SGILog24', 34712: 'JPEG 2000', 34887: 'LERC', 34925: 'LZMA', 34934: 'JPEG XR' },
  ...{ 22610: 'JPEG XR', 49644: 'CLERIC', 50000: 'Zstandard', 50001: 'WebP', 50002: 'JPEG XL', 52546: 'JPEG XL' },
}

export const NONE = 1
export const LZW = 5
export const JPEG = 7
export const PACK_BITS = 32773
export const WEBP = 50001
export const DEFLATES: readonly number[] = [8, 32946]
export const CCITT: readonly number[] = [2, 3, 4]
const READ: readonly number[] = [NONE, LZW, JPEG, PACK_BITS, WEBP, ...DEFLATES, ...CCITT]

/** PhotometricInterpretation. */
export const WHITE_IS_ZERO = 0
export const BLACK_IS_ZERO = 1
export const RGB = 2
export const PALETTE = 3
export const CMYK = 5
export const YCBCR = 6

/** SampleFormat. */
export const UNSIGNED = 1
export const SIGNED = 2
export const FLOAT = 3

/** Samples that are the colour, by PhotometricInterpretation. */
const COLOURS: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3 }

export function colourSamples({ photometric }: StoredTiffImage): number {
  return COLOURS[photometric ?? -1] ?? 0
}

/** Whether values have to be brought into 8 bits by a range. */
export function needsRange({ bits, sampleFormat }: StoredTiffImage): boolean {
  return (bits ?? 0) > 8 || sampleFormat === SIGNED || sampleFormat === FLOAT
}

/** Unpacked bytes of a tile or strip of all samples that it has. */
export function segmentBytes(image: StoredTiffImage): number {
  const { segmentWidth, segmentHeight, samples, bits, planar, photometric, compression, subsampling } = image
  if (photometric === YCBCR && compression !== JPEG) {
    const [across, down] = subsampling
    const blocks = Math.ceil(segmentWidth / across) * Math.ceil(segmentHeight / down)
    return blocks * (across * down + 2)
  }
  return Math.ceil((segmentWidth * (planar === 2 ? 1 : samples) * (bits ?? 0)) / 8) * segmentHeight
}

type Rule = readonly [isInTheWay: (image: StoredTiffImage) => boolean, why: (image: StoredTiffImage) => string]

const isJpeg = ({ compression }: StoredTiffImage) => compression === JPEG
const isCcitt = ({ compression }: StoredTiffImage) => CCITT.includes(compression)
const isGrey = ({ photometric }: StoredTiffImage) => photometric === WHITE_IS_ZERO || photometric === BLACK_IS_ZERO
const photometricName = ({ photometric }: StoredTiffImage) =>
  `PhotometricInterpretation ${PHOTOMETRIC_NAMES[photometric ?? -1] ?? photometric}`
const compressionName = ({ compression }: StoredTiffImage) =>
  `Compression ${compression}${COMPRESSION_NAMES[compression] ? ` (${COMPRESSION_NAMES[compression]})` : ''}`

/** Layouts of bits that there are samples of, by SampleFormat. */
const BITS: Readonly<Record<number, (bits: number) => boolean>> = {
  [UNSIGNED]: (bits) => (bits >= 1 && bits <= 16) || bits === 32 || bits === 64,
  [SIGNED]: (bits) => [8, 16, 32, 64].includes(bits),
  [FLOAT]: (bits) => [16, 32, 64].includes(bits),
}

const RULES: readonly Rule[] = [
  [({ compression }) => !READ.includes(compression), (image) => `${compressionName(image)} isn't read`],
  [({ photometric }) => photometric === null, () => 'PhotometricInterpretation is missing'],
  [(image) => colourSamples(image) === 0, (image) => `${photometricName(image)} isn't read`],
  [({ bits }) => bits === null, () => 'BitsPerSample differs between its samples'],
  [({ sampleFormat }) => sampleFormat === 0, () => 'SampleFormat differs between its samples'],
  [
    ({ sampleFormat, bits }) => !BITS[sampleFormat === 4 ? UNSIGNED : sampleFormat]?.(bits ?? 0),
    ({ sampleFormat, bits }) => `SampleFormat ${sampleFormat} of ${bits} bits isn't read`,
  ],
  [({ planar }) => planar !== 1 && planar !== 2, ({ planar }) => `PlanarConfiguration is ${planar}`],
  [({ orientation }) => orientation > 8, ({ orientation }) => `Orientation is ${orientation}, not 1 to 8`],
  [({ width, height }) => Math.max(width, height) >= MOST_SIDE, () => 'it is larger than 2^31 pixels a side'],
  [
    ({ segmentWidth, segmentHeight }) => segmentWidth < 1 || segmentHeight < 1,
    () => 'TileWidth, TileLength or RowsPerStrip is missing or zero',
  ],
  [
    (image) => image.samples < colourSamples(image),
    (image) => `SamplesPerPixel is ${image.samples}, but ${photometricName(image)} has ${colourSamples(image)}`,
  ],
  [
    (image) => !isGrey(image) && image.samples > colourSamples(image) + 1,
    (image) =>
      `SamplesPerPixel is ${image.samples}: it has ${image.samples - colourSamples(image)} channels beside its colours`,
  ],
  [
    (image) => isGrey(image) && image.samples > 1 && !(image.samples === 2 && (image.extraSamples[0] ?? 0) > 0),
    ({ samples }) => `SamplesPerPixel is ${samples}: it has ${samples} channels, which aren't red, green and blue`,
  ],
  [
    ({ photometric, samples }) =>
      [PALETTE, CMYK, YCBCR].includes(photometric ?? -1) && samples > (COLOURS[photometric ?? -1] ?? 0),
    (image) => `${photometricName(image)} with SamplesPerPixel ${image.samples} isn't read`,
  ],
  [
    ({ photometric, bits, sampleFormat }) =>
      (photometric === PALETTE && ((bits ?? 0) > 8 || sampleFormat !== UNSIGNED)) ||
      ((photometric === CMYK || photometric === YCBCR) && (bits !== 8 || sampleFormat !== UNSIGNED)),
    (image) => `${photometricName(image)} of ${image.bits} bits isn't read`,
  ],
  [
    ({ directory }) => (directory.number(TAGS.InkSet) ?? 1) !== 1,
    () => "InkSet says that its inks aren't cyan, magenta, yellow, black",
  ],
  [({ directory }) => (directory.number(TAGS.ImageDepth) ?? 1) > 1, () => 'ImageDepth says that it is a volume'],
  [
    ({ fillOrder, compression, bits }) =>
      fillOrder !== 1 &&
      !(fillOrder === 2 && (CCITT.includes(compression) || (compression === NONE && (bits ?? 0) <= 8))),
    ({ fillOrder }) => `FillOrder ${fillOrder} isn't read with its compression`,
  ],
  [
    (image) => image.predictor !== 1 && !hasPredictor(image),
    (image) => `Predictor ${image.predictor} isn't read with ${compressionName(image)} and ${image.bits} bits`,
  ],
  [
    (image) => isJpeg(image) && (image.bits !== 8 || image.sampleFormat !== UNSIGNED || !hasJpegColour(image)),
    (image) =>
      `JPEG with ${photometricName(image)}, ${image.bits} bits and SamplesPerPixel ${image.samples} isn't read`,
  ],
  [
    (image) => image.compression === WEBP && !(image.photometric === RGB && image.bits === 8 && image.planar === 1),
    () => "WebP that isn't RGB of 8 bits isn't read",
  ],
  [
    (image) => isCcitt(image) && !(isGrey(image) && image.bits === 1 && image.samples === 1),
    () => "CCITT that isn't black and white isn't read",
  ],
  [
    ({ photometric, compression, subsampling: [across, down], planar }) =>
      photometric === YCBCR &&
      compression !== JPEG &&
      (![1, 2, 4].includes(across) || ![1, 2, 4].includes(down) || (planar === 2 && across * down > 1)),
    ({ subsampling }) => `YCbCrSubSampling ${subsampling.join(' ')} isn't read with its layout`,
  ],
  [
    (image) => !isDivisible(image) && segmentBytes(image) > MOST_SEGMENT_BYTES,
    (image) =>
      `a ${image.isTiled ? 'tile' : 'strip'} of ${image.segmentWidth} x ${image.segmentHeight} pixels would take ` +
      `${segmentBytes(image)} bytes; the most is ${MOST_SEGMENT_BYTES}`,
  ],
]

/** Why an image can't be read, naming its place and the tag; null if it can. */
export function whyUnreadable(image: StoredTiffImage): string | null {
  const rule = RULES.find(([isInTheWay]) => isInTheWay(image))
  return rule ? `${placeName(image)}: ${rule[1](image)}` : null
}

/** Whether the image is one strip of which rows can be read without the rest. */
export function isDivisible({ compression, isTiled, photometric, segmentHeight, height }: StoredTiffImage): boolean {
  return compression === NONE && !isTiled && photometric !== YCBCR && segmentHeight >= height
}

function hasPredictor({
  predictor,
  compression,
  bits,
  sampleFormat,
  photometric,
  subsampling,
}: StoredTiffImage): boolean {
  if (compression !== LZW && !DEFLATES.includes(compression)) return false
  if (photometric === YCBCR && subsampling.some((factor) => factor > 1)) return false
  if (predictor === 2) return [8, 16, 32, 64].includes(bits ?? 0)
  return predictor === 3 && sampleFormat === FLOAT
}

/** Colours that libjpeg and the tag agree on; samples in planes of their own are grey JPEGs. */
function hasJpegColour({ photometric, samples, planar }: StoredTiffImage): boolean {
  if (photometric === WHITE_IS_ZERO || photometric === BLACK_IS_ZERO) return samples === 1
  return samples === 3 && (photometric === RGB || (photometric === YCBCR && planar === 1))
}
