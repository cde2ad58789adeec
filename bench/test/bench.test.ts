/** The sweep with its cache, the mean curves, and `cleric bench rd` from arguments to files. */

import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { type Image, psnr } from 'cleric'
import { fromImage, SyntheticSlide } from 'cleric/internal'
import { createCli } from '../../src/cli/commands.js'
import { dataPath, testWithData } from '../../test/data.js'
import { losslessCodec } from '../../test/payload-codec.js'
import type { BenchCodec } from '../src/codec.js'
import { bdRates, meanCurves } from '../src/curves.js'
import { halved, openImageSet } from '../src/image-set.js'
import { type Quality, quality } from '../src/quality.js'
import { ResultCache } from '../src/result-cache.js'
import { type Point, sweep } from '../src/sweep.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-bench-test-'))
const images = join(folder, 'images')
test.before(async () => {
  mkdirSync(images)
  const slide = new SyntheticSlide('synthetic:1200x1200:3')
  for (const [i, name] of ['a.png', 'b.png', 'c.png'].entries()) {
    const image = await slide.readRegion({ x: 300 * i, y: 400, level: 0, width: 360, height: 355 })
    await fromImage(image).png().toFile(join(images, name))
  }
})
test.after.always(() => rmSync(folder, { recursive: true }))

/** Shifts values up by the setting and counts its work. */
function shifter(version = '1'): BenchCodec & { runs: number } {
  const codec = {
    ...{ id: 'shift', label: 'Shift', chroma: '4:4:4' as const, setting: 'shift', settings: [8, 4], step: 1, version },
    commands: ['shift {setting}', 'as it is'],
    cacheable: true,
    runs: 0,
    encode: async (image: Image, setting: number) => {
      codec.runs++
      return image.data.slice(0, 1000 - 100 * setting).fill(setting)
    },
    decode: async (bytes: Uint8Array, { width, height }: Image): Promise<Image> => {
      const shift = bytes[0] as number
      return { data: new Uint8Array(width * height * 3).fill(shift), width, height, channels: 3 }
    },
  }
  return codec as unknown as BenchCodec & { runs: number }
}

test('a sweep visits every image, level and setting, and counts whole bitstreams', async (t) => {
  using set = await openImageSet(images, 1, 2)
  const seen: string[] = []
  const onProgress = (done: number, total: number, what: string) => seen.push(`${done}/${total} ${what}`)
  const { points, images: listed } = await sweep(set, [shifter()], {
    ...{ levels: [0, 1], measure: quality, cache: null, onProgress },
  })
  t.is(points.length, 8)
  t.deepEqual([seen[0], seen.at(-1)], ['1/8 a.png shift', '8/8 b.png shift'])
  t.like(points[0], { codec: 'shift', image: 'a.png', level: 0, setting: 8, bytes: 200, bpp: 1600 / (360 * 355) })
  const [original] = await set.read(0, [0])
  const grey = { ...(original?.image as Image), data: new Uint8Array(360 * 355 * 3).fill(8) }
  t.is(points[0]?.psnr, psnr(original?.image as Image, grey))
  t.like(listed[1], { name: 'a.png', level: 1, width: 180, height: 177 })
})

test('what is in the cache is not run again, unless version, setting or pixels differ', async (t) => {
  using set = await openImageSet(images, 0, 1)
  const path = join(folder, 'cache', 'results.jsonl')
  const run = async (codec: ReturnType<typeof shifter>) => {
    const { points } = await sweep(set, [codec], {
      ...{ levels: [0], measure: quality, cache: await ResultCache.open(path, quality) },
    })
    return { points, runs: codec.runs }
  }
  const first = await run(shifter())
  t.is(first.runs, 2)
  t.deepEqual(await run(shifter()), { points: first.points, runs: 0 })
  // A run that was killed in the middle of a line.
  appendFileSync(path, '{"key":"abc","by')
  t.is((await run(shifter('2'))).runs, 2)
  t.is((await run(shifter('2'))).runs, 0)
  t.is((await run(shifter())).runs, 0)
})

test('levels are halved by the mean of 2 x 2; a last odd column is dropped', (t) => {
  const values = [0, 10, 3, 20, 31, 7]
  const image: Image = { data: Uint8Array.from(values.flatMap((v) => [v, v, v])), width: 3, height: 2, channels: 3 }
  t.deepEqual(halved(image, 1), { data: Uint8Array.of(15, 15, 15), width: 1, height: 1, channels: 3 })
})

test('a slide gives patches of tissue, of one size on every level', async (t) => {
  using set = await openImageSet('synthetic:3000x3000:2', 1, 2)
  t.is(set.names.length, 2)
  const [fine, coarse] = await set.read(1, [0, 1])
  t.deepEqual([fine?.image.width, coarse?.image.width], [512, 512])
  t.not(fine?.digest, coarse?.digest)
})

test('mean curves and BD-rates: half the bits of JPEG is -50 %, for each image as well', (t) => {
  const codec = (id: string) => ({ ...shifter(), id, settings: [1, 2, 3] })
  const codecs = [codec('jpeg'), codec('half')]
  const points: Point<Quality>[] = ['a', 'b'].flatMap((image, i) =>
    codecs.flatMap(({ id, settings }) =>
      settings.map((setting) => {
        const bpp = (i + 1) * 2 ** setting * (id === 'half' ? 0.5 : 1)
        return { codec: id, image, level: 0, setting, bytes: 1, bpp, psnr: 25 + 5 * setting + i, msSsim: null }
      }),
    ),
  )
  const curves = meanCurves(points, codecs, [0])
  t.deepEqual(curves[0]?.points[0], { setting: 1, bpp: 3, psnr: 30.5, msSsim: null })
  const entries = bdRates(curves, points, ['jpeg', 'avif'])
  t.is(entries.length, 4)
  for (const { metric, percent, imageMean, images: count } of entries) {
    if (metric === 'msSsim') t.deepEqual([percent, imageMean, count], [null, null, 0])
    else t.deepEqual([Math.round(percent as number), Math.round(imageMean as number), count], [-50, -50, 2])
  }
})

async function cli(...argv: string[]) {
  let [stdout, stderr] = ['', '']
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    codec: losslessCodec(),
  }
  const [bench = 'rd', ...rest] = argv[0]?.startsWith('-') ? ['rd', ...argv] : argv
  const status = await createCli(io).run(['bench', bench, '--data', images, '--no-cache', ...rest])
  return { status, stdout, stderr }
}

test.serial('bench rd writes results and figures, and prints the same JSON', async (t) => {
  t.timeout(120_000)
  const output = join(folder, 'out')
  const argv = ['--codecs', 'mozjpeg,cleric,webp', '--levels', '0,1', '--limit', '2', '--output', output, '--json']
  const { status, stdout, stderr } = await cli(...argv)
  t.is(status, 0, stderr)
  const report = JSON.parse(stdout)
  t.deepEqual(report, JSON.parse(readFileSync(join(output, 'results.json'), 'utf8')))
  t.like(report, { format: 'cleric-bench-rd/1', data: images, levels: [0, 1], missing: [] })
  t.deepEqual(
    report.codecs.map(({ id, chroma }: { id: string; chroma: string }) => [id, chroma]),
    [
      ['cleric', '4:4:4'],
      ['mozjpeg', '4:4:4'],
      ['webp', '4:2:0'],
    ],
  )
  t.is(report.points.length, 2 * 2 * (8 + 6 + 6))
  // The codec of this test loses nothing, and JSON has no infinity.
  t.like(report.points[0], { codec: 'cleric', psnr: null })
  for (const name of ['psnr.svg', 'ms-ssim.svg', 'levels.svg', 'crop.svg']) {
    const svg = readFileSync(join(output, name), 'utf8')
    t.true(svg.startsWith('<svg ') && svg.trimEnd().endsWith('</svg>'), name)
    t.notRegex(svg.replace(/base64,[^"]*/g, ''), /NaN|undefined/)
  }
  t.regex(readFileSync(join(output, 'psnr.svg'), 'utf8'), /WebP \(4:2:0\)/)
  t.is(readFileSync(join(output, 'crop.svg'), 'utf8').split('data:image/png;base64,').length - 1, 3)
})

test.serial(
  'bench nuclei: a codec that loses nothing changes nothing, JPEG the less the more bits it has',
  async (t) => {
    const output = join(folder, 'nuclei')
    const argv = ['--codecs', 'cleric,mozjpeg', '--limit', '1', '--output', output, '--json']
    const { status, stdout, stderr } = await cli('nuclei', ...argv)
    t.is(status, 0, stderr)
    const report = JSON.parse(stdout)
    t.like(report, { format: 'cleric-bench-nuclei/1', levels: [0] })
    t.like(report.curves[0].points[0], { f1: 1, countError: 0, haematoxylin: 0, eosin: 0 })
    const jpeg = report.curves[1].points
    t.true(jpeg[0].f1 < jpeg.at(-1).f1 && jpeg.at(-1).f1 > 0.8, `${jpeg[0].f1} ${jpeg.at(-1).f1}`)
    t.true(jpeg[0].haematoxylin > jpeg.at(-1).haematoxylin)
    t.true(readFileSync(join(output, 'nuclei.svg'), 'utf8').includes('F1 of nuclei'))
    t.regex((await cli('nuclei', '--codecs', 'mozjpeg', '--limit', '1')).stdout, /F1 of nuclei/)
  },
)

test.serial('bench ablation: switches, parameters, and BD-rates against the first model', async (t) => {
  t.timeout(120_000)
  const nano = fileURLToPath(new URL('../../test/fixtures/nano.safetensors', import.meta.url))
  const output = join(folder, 'ablation')
  const argv = ['--models', nano, nano, '--limit', '1', '--levels', '2', '--codecs', 'mozjpeg', '--device', 'cpu']
  const { status, stdout, stderr } = await cli('ablation', ...argv, '--output', output, '--json')
  t.is(status, 0, stderr)
  const report = JSON.parse(stdout)
  t.like(report, { format: 'cleric-bench-ablation/1' })
  t.like(report.variants[0], { codec: 'nano', ls: true, drb: true, r2b: true })
  t.true(report.variants[0].parameters > 1000)
  t.is(report.variants[1].codec, 'nano (2)')
  const [first, second] = report.curves
  t.deepEqual(second.points, first.points)
  const against = report.bdRates.filter(({ anchor }: { anchor: string }) => anchor === 'nano')
  t.deepEqual([...new Set(against.map(({ codec }: { codec: string }) => codec))], ['nano (2)', 'mozjpeg'])
  t.true(existsSync(join(output, 'ablation.svg')))
})

testWithData(
  ['slides/CMU-1-Small-Region.svs'],
  'bench rd takes patches of a slide, MS-SSIM on every level',
  async (t) => {
    t.timeout(120_000)
    const slide = dataPath('slides/CMU-1-Small-Region.svs')
    const output = join(folder, 'slide')
    const argv = [
      '--data',
      slide,
      '--codecs',
      'cleric',
      '--levels',
      '0,2',
      '--limit',
      '1',
      '--output',
      output,
      '--json',
    ]
    const { status, stdout, stderr } = await cli(...argv)
    t.is(status, 0, stderr)
    const { images: listed, curves } = JSON.parse(stdout)
    t.deepEqual(
      listed.map(({ level, width, height }: { level: number; width: number; height: number }) => [
        level,
        width,
        height,
      ]),
      [
        [0, 512, 512],
        [2, 512, 512],
      ],
    )
    t.true(curves[1].points[0].msSsim > 0.999)
    t.true(existsSync(join(output, 'crop.svg')))
  },
)

test.serial('a codec whose tool is not there is named, with what to install', async (t) => {
  const { PATH } = process.env
  process.env.PATH = folder
  try {
    const argv = ['--codecs', 'jpeg,mozjpeg,hevc', '--levels', '0', '--limit', '1']
    const { status, stdout } = await cli(...argv)
    t.is(status, 0)
    t.regex(stdout, /JPEG: MISSING\. cjpeg with libjpeg-turbo is not on the PATH .*apt install libjpeg-turbo-progs/)
    t.regex(stdout, /HEVC intra is missing: ffmpeg with x265 .*apt install ffmpeg/)
    const { missing, codecs } = JSON.parse((await cli(...argv, '--json')).stdout)
    t.deepEqual([missing.length, codecs.length], [2, 1])
    // A timer that is left would keep the command from ending.
    t.false(process.getActiveResourcesInfo().includes('Timeout'))
  } finally {
    process.env.PATH = PATH
  }
})

test.serial('wrong arguments: exit status 2, and what was expected', async (t) => {
  for (const [argv, message] of [
    [['--codecs', 'jpg'], /Expected some of cleric,.*,jpeg,.*, not jpg/],
    [['--levels', '0,9'], /Expected level numbers from 0 to 4/],
    [['--limit', '0'], /Expected an integer from 1/],
  ] as const) {
    const { status, stderr } = await cli(...argv)
    t.is(status, 2)
    t.regex(stderr, message)
  }
  const { status, stderr } = await cli('--data', join(folder, 'nothing'), '--codecs', 'mozjpeg')
  t.is(status, 1)
  t.regex(stderr, /^cleric bench rd: .*nothing doesn't exist\n/)
  t.false(existsSync(join(folder, 'nothing')))
})

test.serial(
  'nothing that is read is touched, and a folder that can not be made is found out before the work',
  async (t) => {
    const image = join(images, 'a.png')
    const bytes = readFileSync(image)
    const touched = await cli('--data', image, '--codecs', 'mozjpeg', '--cache', image)
    t.is(touched.status, 1)
    t.regex(touched.stderr, /^cleric bench rd: .*a\.png is the file to read; choose another name\n$/)
    const unwritable = await cli('--codecs', 'mozjpeg', '--output', image)
    t.is(unwritable.status, 1)
    t.is(unwritable.stdout, '')
    t.regex(unwritable.stderr, /^cleric bench rd: EEXIST.*a\.png/)
    t.true(readFileSync(image).equals(bytes))
  },
)
