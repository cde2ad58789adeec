/** Decoded copies: the same pixels at the same cost everywhere, and nothing left behind, whatever ends the work. */
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import sharp, { type Sharp } from 'sharp'
import type { Image } from '../../src/image/image.js'
import { toImage } from '../../src/image/sharp.js'
import { DecodedCopy } from '../../src/slide/decoded-copy.js'
import { ImageFile } from '../../src/slide/image-file.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { run } from '../cli/run.js'
import { crop } from '../slides.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'cleric-copies-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let folders = 0
const emptyFolder = () => {
  const path = join(folder, `${folders++}`)
  mkdirSync(path)
  return path
}
const copies = (path: string) => readdirSync(path).filter((name) => name.startsWith('cleric-decoded-'))

const SIZE = { width: 1300, height: 1100 }
let drawn: Image
let small = ''
test.before(async () => {
  const region = { x: 0, y: 0, level: 0, ...SIZE }
  drawn = await new SyntheticSlide(`synthetic:${SIZE.width}x${SIZE.height}:4`).readRegion(region)
  small = join(folder, 'small.png')
  await pipeline().png().toFile(small)
})
const pipeline = () => sharp(drawn.data, { raw: { ...SIZE, channels: 3 } })

const FILES: Record<string, () => Sharp> = {
  'png of RGB': () => pipeline().png(),
  'png of grey': () => pipeline().greyscale().png(),
  'png with alpha': () => pipeline().ensureAlpha(0.4).png(),
  'png of a palette': () => pipeline().png({ palette: true }),
  'png of 16 bits': () => pipeline().toColourspace('rgb16').png(),
  'interlaced png': () => pipeline().png({ progressive: true }),
  'jpeg, chroma subsampled': () => pipeline().jpeg(),
  'progressive jpeg': () => pipeline().jpeg({ progressive: true, chromaSubsampling: '4:4:4' }),
  'jpeg of cmyk': () => pipeline().toColourspace('cmyk').jpeg(),
  'lossy webp': () => pipeline().webp(),
  'lossless webp': () => pipeline().webp({ lossless: true, effort: 0 }),
}

for (const [i, [what, make]] of Object.entries(FILES).entries()) {
  // Each is a process of its own; that the file has a name changes nothing about the pixels.
  const isNameless = i > 0
  test(`the pixels are those of the image: ${what}, ${isNameless ? 'nameless' : 'named'}`, async (t) => {
    const place = emptyFolder()
    const path = join(folder, `${what}, ${isNameless}`)
    await make().toFile(path)
    const whole = await toImage(sharp(path))
    const copy = await DecodedCopy.make(path, SIZE, { folder: place, isNameless })
    t.is(copies(place).length, isNameless ? 0 : 1)
    for (const [left, top, width, height] of [
      [0, 0, SIZE.width, SIZE.height],
      [500, 500, 30, 30],
      [512, 512, 512, 512],
      [1299, 1099, 1, 1],
      [3, 1000, 1290, 90],
    ] as const) {
      const { data } = await copy.read(left, top, { width, height })
      t.true(Buffer.from(data).equals(Buffer.from(crop(whole, left, top, width, height).data)), `${left}, ${top}`)
    }
    const beyond = await copy.read(-2, -2, { width: 3, height: 3 })
    t.deepEqual([...beyond.data.subarray(0, 24)], Array(24).fill(255))
    t.deepEqual([...beyond.data.subarray(24)], [...whole.data.subarray(0, 3)])
    copy.close()
    await until(t, 'the file stays', () => copies(place).length === 0)
  })
}

test('an image that can not be decoded fails, and leaves nothing', async (t) => {
  const place = emptyFolder()
  const path = join(folder, 'cut.png')
  writeFileSync(path, readFileSync(small).subarray(0, 100_000))
  for (const isNameless of [true, false]) {
    const error = { code: 'ERR_UNSUPPORTED_SLIDE', message: /cut\.png can't be decoded: / }
    await t.throwsAsync(DecodedCopy.make(path, SIZE, { folder: place, isNameless }), error)
    t.deepEqual(copies(place), [])
  }
})

test('a disk without room is told before the work', async (t) => {
  const side = 2 ** 22
  const error = {
    code: 'ERR_DISK_FULL',
    message: /small\.png takes 5\d\d\d\d\.\d GB once it is decoded, and .* GB left/,
  }
  await t.throwsAsync(DecodedCopy.make(small, { width: side, height: side }, { folder }), error)
})

test('a disk that is full on the way is told as such', async (t) => {
  const place = emptyFolder()
  const script = `
    import { DecodedCopy } from './src/slide/decoded-copy.ts'
    DecodedCopy.make(${JSON.stringify(small)}, ${JSON.stringify(SIZE)}, { folder: ${JSON.stringify(place)} })
      .catch(({ code, message }) => console.log(JSON.stringify({ code, message })))`
  // No file may have more than a megabyte.
  const command = `ulimit -f 1024; exec "$0" --import=tsx --input-type=module --eval "$1"`
  const { stdout } = await promisify(execFile)('bash', ['-c', command, process.execPath, script], { cwd: root })
  t.like(JSON.parse(stdout), { code: 'ERR_DISK_FULL' })
  t.regex(JSON.parse(stdout).message, /small\.png can't be decoded into a file: File too large$/)
  t.deepEqual(copies(place), [])
})

test('a folder that takes no file is named', async (t) => {
  const absent = join(folder, 'absent')
  const error = {
    code: 'ERR_NOT_WRITABLE',
    message: /absent can't take a decoded copy of .*small\.png \(--cache-dir, TMPDIR\)/,
  }
  await t.throwsAsync(DecodedCopy.make(small, SIZE, { folder: absent }), error)
  const { status, stderr } = await run(
    'region',
    await large(),
    '-o',
    join(folder, 'x.png'),
    '--width',
    '9',
    '--height',
    '9',
    '--cache-dir',
    absent,
  )
  t.is(status, 1)
  t.regex(stderr, /absent can't take a decoded copy/)
})

/** A PNG of 95 megapixels, white but for a column at the right and the last rows: quick to decode, and not at once. */
let largeFile: Promise<string> | undefined
const LARGE = { width: 10_000, height: 9500 }
function large(): Promise<string> {
  largeFile ??= (async () => {
    const path = join(folder, 'large.png')
    const image = sharp({ create: { ...LARGE, channels: 3, background: 'white' }, limitInputPixels: false })
    const part = { input: await pipeline().png().toBuffer(), left: LARGE.width - 1300, top: LARGE.height - 1100 }
    await image.composite([part]).png({ compressionLevel: 1 }).toFile(path)
    return path
  })()
  return largeFile
}

/** Milliseconds that reading a corner takes, and the pixels. */
async function timed(image: ImageFile, x: number, y: number) {
  const started = performance.now()
  const { data } = await image.readRegion({ x, y, level: 0, width: 512, height: 512 })
  return { milliseconds: performance.now() - started, data }
}

test('a large image is decoded once: its last rows cost what its first ones do', async (t) => {
  using image = await ImageFile.open(await large())
  const first = await timed(image, 0, 0)
  const [left, top] = [LARGE.width - 512, LARGE.height - 512]
  const [above, below] = [await timed(image, 0, 0), await timed(image, left, top)]
  t.true(above.milliseconds < first.milliseconds / 4 && below.milliseconds < first.milliseconds / 4)
  t.true(above.data.every((value) => value === 255))
  t.true(Buffer.from(below.data).equals(Buffer.from(crop(drawn, 1300 - 512, 1100 - 512, 512, 512).data)))
})

test('an image that is decoded into a file stands upright', async (t) => {
  for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const path = join(folder, `turned-${orientation}.jpg`)
    await pipeline().withMetadata({ orientation }).jpeg().toFile(path)
    using image = await ImageFile.open(path, { keepBytes: 0 })
    const upright = await toImage(sharp(path, { autoOrient: true }))
    t.like(image.levels[0], { width: upright.width, height: upright.height })
    const region = { x: 100, y: 300, level: 0, width: 700, height: 800 }
    const { data } = crop(upright, 100, 300, 700, 800)
    t.true(Buffer.from((await image.readRegion(region)).data).equals(Buffer.from(data)), `orientation ${orientation}`)
  }
})

/** Whether the process is there, and no zombie. */
function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}/status`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
}

/** The processes that a process has started. */
const childrenOf = (pid: number) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)

const isDecoder = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('decode-process')

async function until(t: ExecutionContext, what: string, isSo: () => boolean): Promise<void> {
  for (let waited = 0; waited < 10_000; waited += 20) {
    if (isSo()) return
    await setTimeout(20)
  }
  t.fail(what)
}

// Serial: the only decoder of this process is its own.
test.serial('who gives up hears it at once, and the decoder ends with the last of them', async (t) => {
  using image = await ImageFile.open(await large(), { folder: emptyFolder() })
  const stop = new AbortController()
  const reading = image.readRegion({ x: 0, y: 0, level: 0, width: 9, height: 9 }, stop.signal)
  let decoders: number[] = []
  await until(t, 'no decoder starts', () => {
    decoders = childrenOf(process.pid).filter(isDecoder)
    return decoders.length > 0
  })
  stop.abort()
  const started = performance.now()
  await t.throwsAsync(reading, { name: 'AbortError' })
  t.true(performance.now() - started < 200)
  await until(t, 'a decoder runs on', () => !decoders.some(isRunning))
})

for (const isNameless of [true, false]) {
  for (const moment of ['while it is decoded', 'while it is used']) {
    test(`a kill leaves no decoder, and no file that stays: ${moment}, ${isNameless ? 'nameless' : 'named'}`, async (t) => {
      const place = emptyFolder()
      const isDecoding = moment === 'while it is decoded'
      const path = isDecoding ? await large() : small
      const program = join(place, 'program.mts')
      writeFileSync(
        program,
        `import { ImageFile } from ${JSON.stringify(join(root, 'src/slide/image-file.ts'))}
         const options = ${JSON.stringify({ folder: place, isNameless, keepBytes: 0 })}
         const image = await ImageFile.open(${JSON.stringify(path)}, options)
         await image.readRegion({ x: 0, y: 0, level: 0, width: 9, height: 9 })
         process.send?.('read')`,
      )
      const victim = fork(program, { execArgv: ['--import=tsx'], cwd: root })
      let decoders: number[] = []
      if (isDecoding) {
        await until(t, 'no decoder starts', () => {
          decoders = childrenOf(victim.pid as number).filter((pid) => isDecoder(pid))
          return decoders.length > 0
        })
      } else await once(victim, 'message')
      victim.kill('SIGKILL')
      await once(victim, 'exit')
      await until(t, 'a decoder runs on', () => !decoders.some(isRunning))
      t.is(copies(place).length, isNameless ? 0 : 1)
      // The next one tidies up, and leaves alone what others use.
      const next = await DecodedCopy.make(small, SIZE, { folder: place, isNameless: false })
      t.is(copies(place).length, 1)
      const other = await DecodedCopy.make(small, SIZE, { folder: place })
      t.is(copies(place).length, 1)
      next.close()
      other.close()
      await until(t, 'copies stay', () => copies(place).length === 0)
    })
  }
}
