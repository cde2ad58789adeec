/** The formats of exports: what each can hold, and how it is begun and read back. */
import { basename, dirname, join } from 'node:path'
import { Archive } from '../archive/archive.js'
import { isOwnInstance } from '../dicom/instance-file.js'
import type { Lossy } from '../dicom/whole-slide.js'
import { UnsupportedError } from '../errors.js'
import { checkOutput } from '../files/output.js'
import { partialNames } from '../files/partial-file.js'
import { checkOutputFolder, type FolderOutput } from '../files/partial-folder.js'
import { srgbProfile } from '../image/sharp.js'
import type { Kept } from '../slide/identity.js'
import { openSlide } from '../slide/open.js'
import { openOpenSlide } from '../slide/openslide.js'
import type { SlideSource } from '../slide/source.js'
import type { Destination, Picture } from './destination.js'
import { DicomFolder, INSTANCE_NAME, imagesOf } from './dicom-folder.js'
import { describeSlide, encodeHead } from './head.js'
import { encodeOmeHead } from './ome-head.js'
import type { ExportLevel, TileFit } from './pyramid.js'
import type { OpenBack } from './read-back.js'
import { TiffFile } from './tiff-file.js'
import type { ExportCompression, TileCodec } from './tile-codec.js'

/** A pyramidal BigTIFF; a folder of DICOM files; an OME-TIFF. */
export const EXPORT_FORMATS = ['tiff', 'dicom', 'ome'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

/** Where an export is to be. */
export interface Place {
  readonly output: string
  /** Paths that are read for it. */
  readonly reads: readonly (string | undefined)[]
  readonly overwrite: boolean
}

/** What is exported. */
export interface Job extends Place {
  readonly slide: SlideSource
  readonly kept: Kept
  readonly levels: readonly ExportLevel[]
  readonly codec: TileCodec
  readonly compression: ExportCompression
  readonly signal: AbortSignal
}

export interface Format {
  readonly compressions: readonly ExportCompression[]
  /** @throws ClericError ERR_FILE_EXISTS, ERR_NOT_WRITABLE */
  check(place: Place): Promise<void>
  /** How tiles fit levels that are smaller than one. */
  tileFit(codec: TileCodec): TileFit
  /** Those of the associated images that can be in it. */
  held(images: readonly string[]): string[]
  begin(job: Job, pictures: readonly Picture[]): Promise<Destination>
  readonly openBack: OpenBack
}

const throughOpenSlide: OpenBack = async (path, signal) => {
  const slide = await openOpenSlide(path, signal)
  return { slide, reader: `OpenSlide ${slide.libraryVersion}` }
}

export const FORMATS: Readonly<Record<ExportFormat, Format>> = {
  tiff: {
    compressions: ['jpeg', 'deflate', 'webp'],
    check: async ({ output, ...rest }) => checkOutput({ names: partialNames(output), ...rest }),
    tileFit: ({ isOpenSlides }) => (isOpenSlides ? 'rounded' : 'within'),
    held: (images) => [...images],
    begin: ({ output, slide, kept, levels, codec, overwrite }, pictures) => {
      const { mpp, objectivePower } = slide
      const description = describeSlide({ properties: kept.properties, mpp, objectivePower }, levels[0] as ExportLevel)
      const contents = { levels, codec, mpp, description, iccProfile: kept.iccProfile }
      return TiffFile.create(output, {
        ...{ levels, pictures, overwrite, isHashed: false },
        encodeHead: (images) => encodeHead({ ...contents, images }),
      })
    },
    openBack: throughOpenSlide,
  },
  ome: {
    compressions: ['jpeg', 'deflate'],
    check: async ({ output, ...rest }) => checkOutput({ names: partialNames(output), ...rest }),
    tileFit: ({ isOpenSlides }) => (isOpenSlides ? 'rounded' : 'within'),
    held: (images) => [...images],
    begin: ({ output, slide, kept, levels, codec, overwrite }, pictures) => {
      const { mpp, objectivePower } = slide
      const contents = { levels, codec, mpp, objectivePower, iccProfile: kept.iccProfile }
      return TiffFile.create(output, {
        ...{ levels, pictures, overwrite, isHashed: true },
        encodeHead: (images, digest) => encodeOmeHead({ ...contents, images }, digest),
      })
    },
    // OpenSlide shows no SubIFDs, of which all levels but the finest are.
    openBack: async (path, signal) => ({ slide: await openSlide(path, { series: 0, signal }), reader: 'cleric' }),
  },
  dicom: {
    compressions: ['jpeg', 'none'],
    check: (place) => checkOutputFolder(folderOf(place)),
    tileFit: () => 'whole',
    held: imagesOf,
    begin: async (job, pictures) => {
      const { slide, kept, levels, compression, signal } = job
      const { mpp, objectivePower } = slide
      if (mpp === null) {
        const what = `${slide.path} doesn't say how large its pixels are, which DICOM has to say; export it as tiff or ome`
        throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what)
      }
      const { width, height } = (levels[0] as ExportLevel).level
      return DicomFolder.create({
        ...{ folder: folderOf(job), levels, pictures, signal, iccProfile: kept.iccProfile, srgb: await srgbProfile() },
        ...{ series: { size: { width, height }, mpp, objectivePower } },
        ...{ isJpeg: compression === 'jpeg', history: historyOf(slide) },
      })
    },
    // OpenSlide 4, too; an older one is told apart there.
    openBack: async (path, signal) => ({ slide: await openSlide(path, { signal }), reader: 'OpenSlide' }),
  },
}

function folderOf({ output, reads, overwrite }: Place): FolderOutput {
  // With a slash at its end, as shells complete it, names beside it would lie in it.
  return {
    output: join(dirname(output), basename(output)),
    reads,
    overwrite,
    isName: (name) => INSTANCE_NAME.test(name),
    isOwn: isOwnInstance,
  }
}

/** Bytes of pixels over bytes of the file up to which nothing can have been lost. */
const UNCOMPRESSED = 1.05

/**
 * What a slide's pixels have lost before they were exported. Nothing is known to have been kept where a file is smaller than its
 * pixels and says no more: that is called a loss by a method that isn't known.
 */
function historyOf(slide: SlideSource): Lossy[] {
  const raw = slide.levels.reduce((sum, { width, height }) => sum + 3 * width * height, 0)
  const ratio = slide.bytes > 0 ? raw / slide.bytes : 1
  if (ratio <= UNCOMPRESSED || /\.png$/i.test(slide.path)) return []
  if (slide instanceof Archive) return [{ method: 'CLERIC', ratio }]
  return [{ method: slide.jpegTiles?.(0) ? 'ISO_10918_1' : 'UNKNOWN', ratio }]
}
