import type { CodecChoice } from '../codec/arguments.js'
import { type ExportOptions, type ExportResult, exportSlide } from '../export/export.js'
import { EXPORT_FORMATS, type ExportFormat } from '../export/formats.js'
import { EXPORT_COMPRESSIONS, type ExportCompression } from '../export/tile-codec.js'
import type { SlideChoice } from '../slide/choice.js'
import type { IccMode } from '../slide/colour.js'
import { type Cli, cacheDirOption, codecOptions, type Session } from './cli.js'
import { filePath } from './inputs.js'
import { byteSize, counted, duration, integerFrom, oneOf } from './quantities.js'
import { slideOptions, warnOf } from './slide-options.js'
import { iccOption } from './write-image.js'

interface Options extends CodecChoice, SlideChoice {
  readonly output: string
  readonly format: ExportFormat
  readonly codec: ExportCompression
  readonly quality?: number
  readonly label: boolean
  readonly macro: boolean
  readonly cacheDir?: string
  readonly overwrite?: boolean
  readonly icc: IccMode
}

export function addExport(cli: Cli): void {
  cli.add<Options>(
    'export <file>',
    'Write an archive as a pyramidal TIFF, DICOM or OME-TIFF for OpenSlide, QuPath, PACS and others',
    (command) =>
      codecOptions(
        cacheDirOption(slideOptions(command))
          .requiredOption('-o, --output <path>', 'TIFF to write, or folder of DICOM files', filePath)
          .option('--format <name>', 'tiff, dicom or ome', oneOf(EXPORT_FORMATS), 'tiff' as const)
          .option(
            '--codec <name>',
            'jpeg; of tiff webp; of tiff and ome deflate, of dicom none, which lose nothing',
            oneOf(EXPORT_COMPRESSIONS),
            'jpeg' as const,
          )
          .option('--quality <number>', 'of jpeg or webp, 1 to 100 (default: 90)', integerFrom(1, 100))
          .option('--no-label', 'leave the label out, and all that may identify')
          .option('--no-macro', 'leave the macro image out, and all that may identify')
          .option('--overwrite', 'replace an existing file')
          .addOption(iccOption()),
      ),
    async (session, { codec, ...options }, file) => {
      const result = await exportWithProgress(session, file as string, { ...options, compression: codec })
      warnOf(session, file as string, result.warnings)
      return { json: result, text: describe(result) }
    },
    'cleric export slide.cleric.tif -o slide.tif',
  )
}

async function exportWithProgress(
  session: Session,
  file: string,
  { output, model, device, adapter, ...options }: ExportOptions & { output: string },
): Promise<ExportResult> {
  const progress = session.progress('export')
  try {
    return await exportSlide(file, output, {
      ...options,
      ...session.codec({ model, device, adapter }),
      signal: session.signal,
      onProgress: ({ tiles, totalTiles, pixels, totalPixels, bytes }) =>
        progress.update(pixels, totalPixels, `tile ${tiles} of ${totalTiles}, ${byteSize(bytes)}`),
    })
  } finally {
    progress.end()
  }
}

function describe({
  output,
  format,
  bytes,
  compression,
  quality,
  levels,
  tiles,
  associatedImages,
  seconds,
}: ExportResult) {
  const how = quality === null ? compression : `${compression} of quality ${quality}`
  const images = associatedImages.length > 0 ? `, with ${associatedImages.join(', ')}` : ''
  return `${output}: ${format}, ${byteSize(bytes)}, ${counted(levels.length, 'level')}, ${counted(tiles, 'tile')} of ${how}${images}, in ${duration(seconds)}`
}
