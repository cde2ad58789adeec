/**
 * The attributes of a VL Whole Slide Microscopy Image: a level of a slide, or its label, macro image or thumbnail. Source:
 * DICOM PS3.3, A.32.8 and C.8.12.4; codes of PS3.16, CID 8103, 8122 and 8123.
 *
 * What a slide doesn't say is empty where DICOM allows that (patient, study), and else a word or date that says nothing:
 * nothing is invented, and nothing that identifies is taken from the slide's properties.
 */
import type { Size } from '../image/image.js'
import type { Resolution } from '../slide/source.js'
import { type DataSet, decimal } from './data-set.js'
import { TRANSFER_SYNTAX, type TransferSyntax, WHOLE_SLIDE_CLASS } from './instance-file.js'
import { uidOf } from './uid.js'

/** Third value of ImageType. */
export type Flavour = 'VOLUME' | 'LABEL' | 'OVERVIEW' | 'THUMBNAIL'

/** What all instances of a slide have in common. */
export interface SeriesFacts {
  /** The finest level's, in pixels. */
  readonly size: Size
  readonly mpp: Resolution
  readonly objectivePower: number | null
}

export interface Lossy {
  readonly method: string
  /** Uncompressed bytes over compressed ones. */
  readonly ratio: number
}

export interface InstanceFacts extends Size {
  readonly flavour: Flavour
  /** Whether its pixels were made of those of a finer level. */
  readonly isResampled: boolean
  /** Number in the series, from 1. */
  readonly number: number
  readonly frame: Size
  readonly frames: number
  readonly transferSyntax: TransferSyntax
  /** What its pixels have gone through that lost something, in order. */
  readonly lossy: readonly Lossy[]
  readonly iccProfile: Uint8Array
  readonly isSrgb: boolean
}

/** The UIDs of a slide's instances, all made of what is in them. */
export interface Identity {
  /** Hash of all that is in the series. */
  readonly series: Uint8Array
  /** Hash of all that is in the instance. */
  readonly instance: Uint8Array
}

/** A date and time that say nothing, where there has to be one. */
const NO_DATE = '20000101'
const NO_TIME = '000000'
/** What has to be said and isn't known. */
const UNKNOWN = 'UNKNOWN'
/** In mm. How deep the focus reaches isn't known: a micrometre, as other converters have it. */
const DEPTH = 0.001
const OPTICAL_PATH = '0'

export function wholeSlideImage(series: SeriesFacts, image: InstanceFacts, identity: Identity): DataSet {
  const uid = (what: string) => uidOf(what, identity.series)
  const imageType = [
    image.isResampled ? 'DERIVED' : 'ORIGINAL',
    'PRIMARY',
    image.flavour,
    image.isResampled ? 'RESAMPLED' : 'NONE',
  ]
  // Label and macro image are photographs by another camera, of which neither place nor scale is known.
  const isOfSlide = image.flavour === 'VOLUME' || image.flavour === 'THUMBNAIL'
  const showsLabel = image.flavour === 'LABEL' || image.flavour === 'OVERVIEW'
  const [width, height] = [(series.size.width * series.mpp.x) / 1000, (series.size.height * series.mpp.y) / 1000]
  const isJpeg = image.transferSyntax === TRANSFER_SYNTAX.jpegBaseline
  const optics = isOfSlide && series.objectivePower !== null ? { ObjectiveLensPower: series.objectivePower } : {}
  return {
    // Patient, study
    PatientName: '',
    PatientID: '',
    PatientBirthDate: '',
    PatientSex: '',
    StudyInstanceUID: uid('study'),
    StudyDate: '',
    StudyTime: '',
    ReferringPhysicianName: '',
    StudyID: '',
    AccessionNumber: '',
    // Series, equipment
    Modality: 'SM',
    SeriesInstanceUID: uid('series'),
    SeriesNumber: 1,
    FrameOfReferenceUID: uid('frame of reference'),
    PositionReferenceIndicator: 'SLIDE_CORNER',
    Manufacturer: 'cleric',
    ManufacturerModelName: 'cleric',
    DeviceSerialNumber: UNKNOWN,
    SoftwareVersions: 'cleric',
    // Image
    SOPClassUID: WHOLE_SLIDE_CLASS,
    SOPInstanceUID: uidOf('instance', identity.series, identity.instance, String(image.number)),
    InstanceNumber: image.number,
    ImageType: imageType,
    ContentDate: NO_DATE,
    ContentTime: NO_TIME,
    AcquisitionDateTime: `${NO_DATE}${NO_TIME}`,
    ...(isOfSlide ? { PyramidUID: uid('pyramid') } : {}),
    ...(isOfSlide ? { ImagedVolumeWidth: width, ImagedVolumeHeight: height, ImagedVolumeDepth: DEPTH * 1000 } : {}),
    TotalPixelMatrixColumns: image.width,
    TotalPixelMatrixRows: image.height,
    TotalPixelMatrixFocalPlanes: 1,
    // The pixels' rows run along the glass, and its far corner is the origin, so that all coordinates are positive.
    TotalPixelMatrixOriginSequence: [
      isOfSlide
        ? { XOffsetInSlideCoordinateSystem: height, YOffsetInSlideCoordinateSystem: width }
        : { XOffsetInSlideCoordinateSystem: 0, YOffsetInSlideCoordinateSystem: 0 },
    ],
    ImageOrientationSlide: [0, -1, 0, -1, 0, 0],
    SamplesPerPixel: 3,
    // As C.8.12.4.1.5 has it, whether or not the JPEGs' chroma has a lower resolution: they say that themselves.
    PhotometricInterpretation: isJpeg ? 'YBR_FULL_422' : 'RGB',
    PlanarConfiguration: 0,
    NumberOfFrames: image.frames,
    Rows: image.frame.height,
    Columns: image.frame.width,
    BitsAllocated: 8,
    BitsStored: 8,
    HighBit: 7,
    PixelRepresentation: 0,
    LossyImageCompression: image.lossy.length > 0 ? '01' : '00',
    ...(image.lossy.length > 0
      ? {
          // Padded, so that its length doesn't depend on the ratio.
          LossyImageCompressionRatio: image.lossy.map(({ ratio }) => decimal(Number(ratio.toPrecision(6))).padEnd(16)),
          LossyImageCompressionMethod: image.lossy.map(({ method }) => method),
        }
      : {}),
    VolumetricProperties: 'VOLUME',
    SpecimenLabelInImage: showsLabel ? 'YES' : 'NO',
    BurnedInAnnotation: showsLabel ? 'YES' : 'NO',
    FocusMethod: 'AUTO',
    ExtendedDepthOfField: 'NO',
    ...(image.flavour === 'LABEL' ? { BarcodeValue: '', LabelText: '' } : {}),
    // Frames
    DimensionOrganizationSequence: [{ DimensionOrganizationUID: uid('dimensions') }],
    DimensionOrganizationType: 'TILED_FULL',
    DimensionIndexSequence: [
      {
        DimensionOrganizationUID: uid('dimensions'),
        DimensionIndexPointer: 'RowPositionInTotalImagePixelMatrix',
        FunctionalGroupPointer: 'PlanePositionSlideSequence',
      },
      {
        DimensionOrganizationUID: uid('dimensions'),
        DimensionIndexPointer: 'ColumnPositionInTotalImagePixelMatrix',
        FunctionalGroupPointer: 'PlanePositionSlideSequence',
      },
    ],
    SharedFunctionalGroupsSequence: [
      {
        PixelMeasuresSequence: [
          isOfSlide ? { SliceThickness: DEPTH, PixelSpacing: [height / image.height, width / image.width] } : {},
        ],
        WholeSlideMicroscopyImageFrameTypeSequence: [{ FrameType: imageType }],
        OpticalPathIdentificationSequence: [{ OpticalPathIdentifier: OPTICAL_PATH }],
      },
    ],
    // Optics
    NumberOfOpticalPaths: 1,
    OpticalPathSequence: [
      {
        OpticalPathIdentifier: OPTICAL_PATH,
        IlluminationTypeCodeSequence: [code('111744', 'DCM', 'Brightfield illumination')],
        IlluminationColorCodeSequence: [code('414298005', 'SCT', 'Full Spectrum')],
        ICCProfile: image.iccProfile,
        ...(image.isSrgb ? { ColorSpace: 'SRGB' } : {}),
        ...optics,
      },
    ],
    // Specimen
    AcquisitionContextSequence: [],
    ContainerIdentifier: UNKNOWN,
    IssuerOfTheContainerIdentifierSequence: [],
    ContainerTypeCodeSequence: [code('433466003', 'SCT', 'Microscope slide')],
    SpecimenDescriptionSequence: [
      {
        SpecimenIdentifier: UNKNOWN,
        SpecimenUID: uid('specimen'),
        IssuerOfTheSpecimenIdentifierSequence: [],
        SpecimenPreparationSequence: [],
      },
    ],
  }
}

function code(CodeValue: string, CodingSchemeDesignator: string, CodeMeaning: string): DataSet {
  return { CodeValue, CodingSchemeDesignator, CodeMeaning }
}
