/**
 * Codecs that are command-line tools, found on the PATH. To add one, add an entry to the table.
 *
 * Settings span about 28 to 40 dB of PSNR on H&E tissue.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Image } from '../image/image.js'
import type { BenchCodec, CodecFacts, MissingCodec, Size } from './codec.js'
import { readPpm, writePpm } from './ppm.js'
import { runTool, toolFailed, tryTool } from './run-tool.js'
import { fromYcbcr, toYcbcr } from './ycbcr.js'

interface ToolCodec extends CodecFacts {
  /** Words between spaces are arguments. {image} and {coded} are files. */
  readonly encode: string
  readonly decode: string
  /** Suffix of {coded}: some tools go by it. */
  readonly suffix: string
  /** What {image} holds. */
  readonly pixels: 'ppm' | 'yuv444p10le'
  /** Debian's package. */
  readonly package: string
  /** A command whose output, or whose {coded} file, tells the version. */
  readonly versionFrom: string
  readonly version: RegExp
  readonly name: string
}

const FFMPEG_RAW = '-f rawvideo -pix_fmt yuv444p10le'

const codecs: readonly ToolCodec[] = [
  {
    id: 'jpeg',
    label: 'JPEG',
    chroma: '4:4:4',
    setting: 'quality',
    settings: [10, 25, 50, 75, 88, 94],
    step: 1,
    encode: 'cjpeg -quality {setting} -optimize -sample 1x1 -dct int -outfile {coded} {image}',
    decode: 'djpeg -dct int -pnm -outfile {image} {coded}',
    suffix: '.jpg',
    pixels: 'ppm',
    package: 'libjpeg-turbo-progs',
    versionFrom: 'cjpeg -version',
    version: /version (\S+)/,
    name: 'libjpeg-turbo',
  },
  {
    id: 'jpeg2000',
    label: 'JPEG 2000',
    chroma: '4:4:4',
    setting: 'PSNR asked for, dB',
    settings: [26, 29, 32, 35, 38, 41],
    step: 0.01,
    encode: 'opj_compress -i {image} -o {coded} -I -q {setting}',
    decode: 'opj_decompress -i {coded} -o {image}',
    suffix: '.j2k',
    pixels: 'ppm',
    package: 'libopenjp2-tools',
    versionFrom: 'opj_compress -h',
    version: /openjp2 library v(\S+?)\.?\s/,
    name: 'OpenJPEG',
  },
  {
    id: 'htj2k',
    label: 'HTJ2K',
    chroma: '4:4:4',
    setting: 'quantization step',
    settings: [0.2, 0.12, 0.07, 0.04, 0.022, 0.013],
    step: 0.0001,
    encode: 'ojph_compress -i {image} -o {coded} -qstep {setting}',
    decode: 'ojph_expand -i {coded} -o {image}',
    suffix: '.j2c',
    pixels: 'ppm',
    package: 'openjph-tools',
    // It prints no version, but signs what it writes.
    versionFrom: 'ojph_compress -i {image} -o {coded} -qstep 0.1',
    version: /OpenJPH Ver (\d+(?:\.\d+)*)/,
    name: 'OpenJPH',
  },
  {
    id: 'jpeg-xl',
    label: 'JPEG XL',
    chroma: '4:4:4',
    setting: 'distance',
    settings: [15, 8, 4, 2, 1, 0.4],
    step: 0.01,
    encode: 'cjxl {image} {coded} -d {setting} -e 7 --num_threads=0 --quiet',
    decode: 'djxl {coded} {image} --num_threads=0 --quiet',
    suffix: '.jxl',
    pixels: 'ppm',
    package: 'libjxl-tools',
    versionFrom: 'cjxl --version',
    version: /cjxl v(\S+)/,
    name: 'libjxl',
  },
  {
    id: 'hevc',
    label: 'HEVC intra',
    chroma: '4:4:4',
    setting: 'QP',
    settings: [44, 39, 34, 29, 25, 21],
    step: 1,
    encode:
      `ffmpeg -v error -y ${FFMPEG_RAW} -s {width}x{height} -i {image} -frames:v 1 -c:v libx265 -preset slower -tune psnr ` +
      '-x265-params qp={setting}:keyint=1:info=0:pools=1:frame-threads=1:log-level=error -f hevc {coded}',
    decode: `ffmpeg -v error -y -threads 1 -f hevc -i {coded} ${FFMPEG_RAW} {image}`,
    suffix: '.hevc',
    pixels: 'yuv444p10le',
    package: 'ffmpeg',
    versionFrom: 'ffmpeg -f lavfi -i color=s=64x64 -frames:v 1 -c:v libx265 -f null -',
    version: /x265 \[info\]: HEVC encoder version (\S+)/,
    name: 'x265 (by FFmpeg)',
  },
]

/** Names and sweeps of them all, whether they are there or not. */
export const toolCodecs: readonly CodecFacts[] = codecs

/** The codec of that id, or why it can't be run. */
export async function openToolCodec(id: string, signal?: AbortSignal): Promise<BenchCodec | MissingCodec> {
  const tool = codecs.find((codec) => codec.id === id) as ToolCodec
  const version = await findVersion(tool, signal)
  if (version === null) return { id, label: tool.label, reason: absent(tool, programOf(tool.versionFrom)) }
  for (const command of [tool.encode, tool.decode]) {
    // Without arguments they all print their usage, or complain, and end.
    if ((await tryTool([programOf(command)], signal)) === null) {
      return { id, label: tool.label, reason: absent(tool, programOf(command)) }
    }
  }
  const { label, chroma, setting, settings, step } = tool
  return {
    ...{ id, label, chroma, setting, settings, step },
    version: `${tool.name} ${version}`,
    commands: [tool.encode, tool.decode],
    cacheable: true,
    encode: (image, value, signal) =>
      inFolder(tool, async (files) => {
        await writeFile(files.image, tool.pixels === 'ppm' ? writePpm(image) : toYcbcr(image))
        await runTool(argv(tool.encode, { ...files, ...sizeOf(image), setting: String(value) }), signal)
        return readFile(files.coded)
      }),
    decode: (bytes, size, signal) =>
      inFolder(tool, async (files) => {
        const command = argv(tool.decode, { ...files, ...sizeOf(size) })
        await writeFile(files.coded, bytes)
        await runTool(command, signal)
        const image =
          tool.pixels === 'ppm' ? readPpm(await readFile(files.image)) : fromYcbcr(await readFile(files.image), size)
        if (image?.width === size.width && image.height === size.height) return image
        throw toolFailed(command, `its output is no image of ${size.width} x ${size.height}`)
      }),
  }
}

interface Files {
  readonly image: string
  readonly coded: string
}

/** null if the program isn't there, or lacks the codec. */
async function findVersion(tool: ToolCodec, signal?: AbortSignal): Promise<string | null> {
  return inFolder(tool, async (files) => {
    const grey: Image = { data: new Uint8Array(64 * 64 * 3).fill(128), width: 64, height: 64, channels: 3 }
    await writeFile(files.image, writePpm(grey))
    const result = await tryTool(argv(tool.versionFrom, { ...files }), signal)
    if (result === null) return null
    const written = await readFile(files.coded, 'latin1').catch(() => '')
    return tool.version.exec(`${result.output}\n${written}`)?.[1] ?? null
  })
}

async function inFolder<T>(tool: ToolCodec, work: (files: Files) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'cleric-bench-'))
  try {
    const image = join(folder, tool.pixels === 'ppm' ? 'image.ppm' : 'image.yuv')
    return await work({ image, coded: join(folder, `coded${tool.suffix}`) })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function argv(command: string, values: Readonly<Record<string, string>>): string[] {
  return command.split(' ').map((word) => word.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? ''))
}

function sizeOf({ width, height }: Size) {
  return { width: String(width), height: String(height) }
}

function programOf(command: string): string {
  return command.split(' ')[0] as string
}

function absent(tool: ToolCodec, program: string): string {
  return `${program} with ${tool.name} is not on the PATH (Debian: apt install ${tool.package})`
}
