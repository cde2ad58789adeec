import { extname } from 'node:path'
import { InvalidArgumentError } from 'commander'
import { openArchive } from '../archive/archive.js'
import { type CodecChoice, MISSING_LATENTS, type MissingLatents } from '../codec/arguments.js'
import { writeWhole } from '../files/partial-file.js'
import { type Cli, codecOptions } from './cli.js'
import { placeOptions } from './place.js'
import { integerFrom, oneOf } from './quantities.js'
import { checkImageOutput } from './write-image.js'

interface Options extends CodecChoice {
  readonly output: string
  readonly level: number
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly missing: MissingLatents
}

const SIZE = integerFrom(1, 2 ** 23)

export function addLatents(cli: Cli): void {
  cli.add<Options>(
    'latents <archive>',
    'Write the latents of a region as a NumPy array, float32, channels x height / 16 x width / 16',
    (command) =>
      placeOptions(codecOptions(command))
        .requiredOption('-o, --output <file>', 'array to write (.npy)', npyPath)
        .requiredOption('--width <pixels>', "width, in the level's pixels", SIZE)
        .requiredOption('--height <pixels>', "height, in the level's pixels", SIZE)
        .option(
          '--missing <mode>',
          'what the file has none of: analyse (the pixels) or nan',
          oneOf(MISSING_LATENTS),
          'analyse',
        ),
    async (session, options, file) => {
      const { output, x, y, level, width, height, missing, model } = options
      checkImageOutput({ path: output }, file as string, model)
      using archive = await openArchive(file as string, session.opening(options))
      const region = { x, y, level, width, height }
      const { data, stored, ...latents } = await archive.readLatents(region, { missing, signal: session.signal })
      const shape = [latents.channels, latents.height, latents.width]
      const bytes = npy(data, shape)
      await writeWhole(output, bytes)
      const { left, top } = latents
      const share = stored.reduce((sum, each) => sum + each, 0) / stored.length
      return {
        json: { output, bytes: bytes.length, shape, left, top, level, stored: share },
        text: `${output}: ${shape.join(' x ')} from ${left}, ${top} of level ${level}, ${(100 * share).toFixed(1)} % of the places as stored`,
      }
    },
    'cleric latents slide.cleric.tif -o region.npy --x 9000 --y 7000 --width 1024 --height 768',
  )
}

function npyPath(text: string): string {
  if (extname(text).toLowerCase() !== '.npy') throw new InvalidArgumentError('Expected a name that ends in .npy.')
  return text
}

/** Bytes that the head of an array ends at a multiple of, and that stand before its text. */
const [NPY_ALIGNMENT, NPY_PREFIX] = [64, 10]

/** A NumPy array file. Source: NumPy's format specification, version 1.0 (`numpy.lib.format`). */
function npy(data: Float32Array, shape: readonly number[]): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`
  // The text ends with a newline, and spaces before that.
  const length = Math.ceil((NPY_PREFIX + text.length + 1) / NPY_ALIGNMENT) * NPY_ALIGNMENT
  const bytes = Buffer.alloc(length + data.byteLength, ' ')
  bytes.write('\x93NUMPY\x01\x00', 'latin1')
  bytes.writeUInt16LE(length - NPY_PREFIX, 8)
  bytes.write(text, NPY_PREFIX, 'latin1')
  bytes.write('\n', length - 1, 'latin1')
  const values = new DataView(bytes.buffer, bytes.byteOffset + length)
  for (let i = 0; i < data.length; i++) values.setFloat32(4 * i, data[i] as number, true)
  return bytes
}
