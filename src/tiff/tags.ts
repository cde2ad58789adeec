/** The tags, types and numbers of TIFF 6, BigTIFF and this format (docs/format.md) that archives and readers use. */

/** Field types that archives have, with the bytes that one value takes. */
export const TYPES = {
  BYTE: { code: 1, size: 1 },
  ASCII: { code: 2, size: 1 },
  SHORT: { code: 3, size: 2 },
  LONG: { code: 4, size: 4 },
  RATIONAL: { code: 5, size: 8 },
  UNDEFINED: { code: 7, size: 1 },
  LONG8: { code: 16, size: 8 },
  IFD8: { code: 18, size: 8 },
} as const
export type TypeName = keyof typeof TYPES

export const TAGS = {
  NewSubfileType: 254,
  /** Older files have it; 3 is one page of several. */
  SubfileType: 255,
  ImageWidth: 256,
  ImageLength: 257,
  BitsPerSample: 258,
  Compression: 259,
  PhotometricInterpretation: 262,
  FillOrder: 266,
  ImageDescription: 270,
  StripOffsets: 273,
  Orientation: 274,
  SamplesPerPixel: 277,
  RowsPerStrip: 278,
  StripByteCounts: 279,
  XResolution: 282,
  YResolution: 283,
  PlanarConfiguration: 284,
  /** Name of an associated image. */
  PageName: 285,
  T4Options: 292,
  T6Options: 293,
  ResolutionUnit: 296,
  Software: 305,
  Predictor: 317,
  ColorMap: 320,
  TileWidth: 322,
  TileLength: 323,
  TileOffsets: 324,
  TileByteCounts: 325,
  SubIFDs: 330,
  InkSet: 332,
  ExtraSamples: 338,
  SampleFormat: 339,
  JPEGTables: 347,
  YCbCrCoefficients: 529,
  YCbCrSubSampling: 530,
  ReferenceBlackWhite: 532,
  XMP: 700,
  ImageDepth: 32997,
  IccProfile: 34675,
  /** Hamamatsu's NDPI files have it, and no others. */
  NdpiFormat: 65420,
  /** Height of an NDPI file's focal plane. */
  NdpiFocalOffset: 65424,
  /** Facts that all tiles have in common, as JSON. */
  ClericTileHead: 65100,
  /** Facts about the slide, as JSON. */
  ClericSlide: 65101,
  /** Red, green, blue and kind of every tile. */
  ClericTileColours: 65102,
  /** Length of the head, length of the file, CRC-32C of the head. */
  ClericSeal: 65103,
  /** CRC-32C of the bytes of every tile, or of the strip. */
  ClericChecksums: 65104,
  /** PSNR and kind of every tile. */
  ClericTileChecks: 65105,
} as const
export type Tag = (typeof TAGS)[keyof typeof TAGS]

export const COMPRESSION = { none: 1, jpeg: 7, deflate: 8, cleric: 49644, webp: 50001 } as const
export const PHOTOMETRIC = { rgb: 2, ycbcr: 6 } as const
export const CENTIMETRE = 3
/** NewSubfileType of an image that is another of the same file at a lower resolution. */
export const REDUCED = 1
/** NewSubfileType of one image among several that aren't versions of each other. */
export const PAGE = 2
/** NewSubfileType of an SVS file's macro image. */
export const MACRO = 9
/** Predictor: each value is stored as its difference from the same channel's in the pixel to the left. */
export const HORIZONTAL = 2
