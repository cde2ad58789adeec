/**
 * Codecs that are command-line tools, found on the PATH. To add one, add an entry to the table.
 *
 * Settings span about 28 to 40 dB of PSNR on H&E tissue.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Image } from 'cleric'
import type { BenchCodec, CodecFacts, MissingCodec, Size } from './codec.js'
import { fileAbove, findTool } from './find-tool.js'
import { readPpm, writePpm } from './ppm.js'
import { runTool, toolFailed, tryTool } from './run-tool.js'
import { fromYcbcr, toYcbcr } from './ycbcr.js'

interface ToolCodec extends CodecFacts {
  /** Words between spaces are arguments. {image}, {coded} and {config} are files. */
  readonly encode: string
  readonly decode: string
  /** Suffix of {coded}: some tools go by it. */
  readonly suffix: string
  /** What {image} holds. */
  readonly pixels: 'ppm' | 'yuv444p10le'
  /** What brings it, for people. */
  readonly install: string
  /** A command whose output, or whose {coded} file, tells the version. */
  readonly versionFrom: string
  readonly version: RegExp
  readonly name: string
  /** What may stand after the names of the programs, as builds of VTM that are linked statically have it. */
  readonly ending?: string
  /** What {config} is: a file beside the encoder, or in one of the folders above it, as in the tool's source tree. */
  readonly config?: string
  /** How long a run may take, where it is more than {@link runTool} allows by itself. */
  readonly limitMs?: number
}

const FFMPEG_RAW = '-f rawvideo -pix_fmt yuv444p10le'

const CODECS: readonly ToolCodec[] = [
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
    install: 'Debian: apt install libjpeg-turbo-progs',
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
    install: 'Debian: apt install libopenjp2-tools',
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
    install: 'Debian: apt install openjph-tools',
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
    install: 'Debian: apt install libjxl-tools',
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
    install: 'Debian: apt install ffmpeg',
    versionFrom: 'ffmpeg -f lavfi -i color=s=64x64 -frames:v 1 -c:v libx265 -f null -',
    version: /x265 \[info\]: HEVC encoder version (\S+)/,
    name: 'x265 (by FFmpeg)',
  },
  {
    id: 'vtm',
    label: 'VVC intra (VTM)',
    chroma: '4:4:4',
    setting: 'QP',
    settings: [37, 32, 27, 22],
    step: 1,
    encode:
      'EncoderApp -c {config} --InputFile={image} --SourceWidth={width} --SourceHeight={height} --InputBitDepth=10 ' +
      '--InputChromaFormat=444 --FrameRate=1 --FramesToBeEncoded=1 --TemporalSubsampleRatio=1 --QP={setting} ' +
      '--ReconFile= --BitstreamFile={coded}',
    decode: 'DecoderApp -b {coded} -o {image} -d 10',
    suffix: '.vvc',
    pixels: 'yuv444p10le',
    install: 'build VTM-17.0 from its source; docs/bench.md says how',
    versionFrom: 'EncoderApp',
    version: /VTM Encoder Version (\S+)/,
    name: 'VTM',
    ending: 'Static',
    config: 'cfg/encoder_intra_vtm.cfg',
    limitMs: 14_400_000,
  },
]

/** Names and sweeps of them all, whether they are there or not. */
export const TOOL_CODECS: readonly CodecFacts[] = CODECS

/** The codec of that id, or why it can't be run. */
export async function openToolCodec(id: string, signal?: AbortSignal): Promise<BenchCodec | MissingCodec> {
  const tool = CODECS.find((codec) => codec.id === id) as ToolCodec
  const { label, chroma, setting, settings, step, limitMs } = tool
  const missing = (reason: string) => ({ id, label, reason: `${reason} (${tool.install})` })
  const programs = new Map<string, string>()
  let encoder = ''
  for (const command of [tool.encode, tool.decode, tool.versionFrom]) {
    const name = programOf(command)
    const path = findTool([name, ...(tool.ending === undefined ? [] : [name + tool.ending])])
    if (path === null) return missing(`${name} with ${tool.name} is not on the PATH`)
    programs.set(name, basename(path))
    if (command === tool.encode) encoder = path
  }
  const config = tool.config === undefined ? '' : fileAbove(encoder, tool.config)
  if (config === null) return missing(`${tool.config} is neither beside ${encoder} nor in a folder above it`)
  const version = await findVersion(tool, programs, signal)
  if (version === null) return missing(`${programOf(tool.versionFrom)} with ${tool.name} is not on the PATH`)
  const run = async (command: string, values: Values, signal?: AbortSignal) => {
    const words = argv(command, { ...values, config }, programs)
    await runTool(words, signal, limitMs)
    return words
  }
  return {
    ...{ id, label, chroma, setting, settings, step },
    version: `${tool.name} ${version}${config === '' ? '' : ` (${basename(config)} ${await digest(config)})`}`,
    commands: [tool.encode, tool.decode],
    cacheable: true,
    encode: (image, value, signal) =>
      inFolder(tool, async (files) => {
        await writeFile(files.image, tool.pixels === 'ppm' ? writePpm(image) : toYcbcr(image))
        await run(tool.encode, { ...files, ...sizeOf(image), setting: String(value) }, signal)
        return readFile(files.coded)
      }),
    decode: (bytes, size, signal) =>
      inFolder(tool, async (files) => {
        await writeFile(files.coded, bytes)
        const words = await run(tool.decode, { ...files, ...sizeOf(size) }, signal)
        const image =
          tool.pixels === 'ppm' ? readPpm(await readFile(files.image)) : fromYcbcr(await readFile(files.image), size)
        if (image?.width === size.width && image.height === size.height) return image
        throw toolFailed(words, `its output is no image of ${size.width} x ${size.height}`)
      }),
  }
}

type Values = Readonly<Record<string, string>>

interface Files {
  readonly image: string
  readonly coded: string
}

/** null if the program lacks the codec. */
async function findVersion(
  tool: ToolCodec,
  programs: ReadonlyMap<string, string>,
  signal?: AbortSignal,
): Promise<string | null> {
  return inFolder(tool, async (files) => {
    const grey: Image = { data: new Uint8Array(64 * 64 * 3).fill(128), width: 64, height: 64, channels: 3 }
    await writeFile(files.image, writePpm(grey))
    const result = await tryTool(argv(tool.versionFrom, { ...files }, programs), signal)
    if (result === null) return null
    const written = await readFile(files.coded, 'latin1').catch(() => '')
    return tool.version.exec(`${result.output}\n${written}`)?.[1] ?? null
  })
}

async function inFolder<T>(tool: ToolCodec, work: (files: Files & Values) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'cleric-bench-'))
  try {
    const image = join(folder, tool.pixels === 'ppm' ? 'image.ppm' : 'image.yuv')
    return await work({ image, coded: join(folder, `coded${tool.suffix}`) })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function argv(command: string, values: Values, programs: ReadonlyMap<string, string>): string[] {
  const [name, ...rest] = command.split(' ') as [string, ...string[]]
  const filled = rest.map((word) => word.replace(/\{(\w+)\}/g, (_, key: string) => values[key] ?? ''))
  return [programs.get(name) ?? name, ...filled]
}

function sizeOf({ width, height }: Size) {
  return { width: String(width), height: String(height) }
}

function programOf(command: string): string {
  return command.split(' ')[0] as string
}

/** What a configuration says is part of what a result depends on. */
async function digest(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
    .slice(0, 12)
}
