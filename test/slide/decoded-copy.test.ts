/** Decoded copies: the same pixels at the same cost everywhere, and nothing left behind, whatever ends the work. */
import { execFile, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import sharp, { type Sharp } from 'sharp'
import type { Image } from '../../src/image/image.js'
import { toImage } from '../../src/image/sharp.js'
import { decodeTiles } from '../../src/slide/decode-tiles.js'
import { type Decode, DecodedCopy } from '../../src/slide/decoded-copy.js'
import { ImageFile } from '../../src/slide/image-file.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { crop } from '../slides.js'
import { TYPESCRIPT } from '../typescript.js'

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

/** What the decoding process does, without the time that its start takes. */
const decode: Decode = (job, output) => decodeTiles({ ...job, output: `/proc/self/fd/${output.fd}` })

/** More than a tile either way. */
const SIZE = { width: 700, height: 600 }
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

async function checkPixels(t: ExecutionContext, copy: DecodedCopy, whole: Image): Promise<void> {
  for (const [left, top, width, height] of [
    [0, 0, SIZE.width, SIZE.height],
    [500, 500, 30, 30],
    [512, 512, 188, 88],
    [699, 599, 1, 1],
    [3, 510, 690, 90],
  ] as const) {
    const { data } = await copy.read(left, top, { width, height })
    t.true(Buffer.from(data).equals(Buffer.from(crop(whole, left, top, width, height).data)), `${left}, ${top}`)
  }
  const beyond = await copy.read(-2, -2, { width: 3, height: 3 })
  t.deepEqual([...beyond.data.subarray(0, 24)], Array(24).fill(255))
  t.deepEqual([...beyond.data.subarray(24)], [...whole.data.subarray(0, 3)])
}

for (const [what, make] of Object.entries(FILES)) {
  test(`the pixels are those of the image: ${what}`, async (t) => {
    const path = join(folder, what)
    await make().toFile(path)
    const copy = await DecodedCopy.make(path, SIZE, { folder, decode })
    await checkPixels(t, copy, await toImage(sharp(path)))
    copy.close()
  })
}

for (const isNameless of [true, false]) {
  test(`a process of its own decodes into a file, ${isNameless ? 'nameless' : 'named'}, that goes when it is closed`, async (t) => {
    const place = emptyFolder()
    const copy = await DecodedCopy.make(small, SIZE, { folder: place, isNameless })
    t.is(copies(place).length, isNameless ? 0 : 1)
    await checkPixels(t, copy, drawn)
    copy.close()
    await until(t, 'the file stays', () => copies(place).length === 0)
  })
}

test('an image that can not be decoded fails, and leaves nothing', async (t) => {
  const place = emptyFolder()
  const path = join(folder, 'cut.png')
  writeFileSync(path, readFileSync(small).subarray(0, 100_000))
  const error = { code: 'ERR_UNSUPPORTED_SLIDE', message: /cut\.png can't be decoded: / }
  await t.throwsAsync(DecodedCopy.make(path, SIZE, { folder: place }), error)
  for (const isNameless of [true, false]) {
    await t.throwsAsync(DecodedCopy.make(path, SIZE, { folder: place, isNameless, decode }), error)
    t.deepEqual(copies(place), [])
  }
})

test('an image of which a decoder only warns fails as well', async (t) => {
  const bytes = await pipeline().jpeg().toBuffer()
  // A restart marker where none belongs.
  bytes.set([0xff, 0xd3], bytes.length >> 1)
  const path = join(folder, 'warned.jpg')
  writeFileSync(path, bytes)
  await t.notThrowsAsync(toImage(sharp(path, { failOn: 'error' })))
  const error = { code: 'ERR_UNSUPPORTED_SLIDE', message: /warned\.jpg can't be decoded: / }
  await t.throwsAsync(DecodedCopy.make(path, SIZE, { folder, decode }), error)
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
  const command = `ulimit -f 1024; exec "$0" ${TYPESCRIPT} --input-type=module --eval "$1"`
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
})

/** Milliseconds that reading a corner takes, and the pixels. */
async function timed(image: ImageFile, x: number, y: number) {
  const started = performance.now()
  const { data } = await image.readRegion({ x, y, level: 0, width: 300, height: 200 })
  return { milliseconds: performance.now() - started, data }
}

test('an image is decoded once: its last rows cost what its first ones do', async (t) => {
  const path = join(folder, 'once.png')
  copyFileSync(small, path)
  using image = await ImageFile.open(path, { keepBytes: 0 })
  const first = await timed(image, 0, 0)
  // Whoever decoded it again would fail.
  renameSync(path, `${path}.away`)
  const [left, top] = [SIZE.width - 300, SIZE.height - 200]
  const [above, below] = [await timed(image, 0, 0), await timed(image, left, top)]
  t.true(above.milliseconds < first.milliseconds / 4 && below.milliseconds < first.milliseconds / 4)
  t.true(Buffer.from(above.data).equals(Buffer.from(first.data)))
  t.true(Buffer.from(above.data).equals(Buffer.from(crop(drawn, 0, 0, 300, 200).data)))
  t.true(Buffer.from(below.data).equals(Buffer.from(crop(drawn, left, top, 300, 200).data)))
})

test('an image of more bytes of pixels than may be kept is decoded into a file, and no other', async (t) => {
  const bytes = SIZE.width * SIZE.height * 3
  for (const keepBytes of [bytes, bytes - 1]) {
    let decoded = 0
    const counting: Decode = (job, output) => {
      decoded++
      return decode(job, output)
    }
    using image = await ImageFile.open(small, { keepBytes, decode: counting })
    for (const y of [0, 400]) await timed(image, 0, y)
    t.is(decoded, keepBytes < bytes ? 1 : 0)
  }
})

test('nothing stays if the signal fires when the work is all but done', async (t) => {
  const place = emptyFolder()
  const stop = new AbortController()
  const late: Decode = async (job, output) => {
    const error = await decode(job, output)
    setImmediate(() => stop.abort())
    return error
  }
  const making = DecodedCopy.make(small, SIZE, { folder: place, isNameless: false, decode: late }, stop.signal)
  await t.throwsAsync(making, { name: 'AbortError' })
  await until(t, 'the file stays', () => copies(place).length === 0)
})

test('nothing stays of an image that was replaced while it was decoded', async (t) => {
  const place = emptyFolder()
  const path = join(place, 'replaced.png')
  copyFileSync(small, path)
  const replacing: Decode = async (job, output) => {
    const error = await decode(job, output)
    writeFileSync(path, 'another')
    return error
  }
  using image = await ImageFile.open(path, { keepBytes: 0, folder: place, isNameless: false, decode: replacing })
  await t.throwsAsync(timed(image, 0, 0), { code: 'ERR_FILE_CHANGED' })
  await until(t, 'the file stays', () => copies(place).length === 0)
})

test('an image that is decoded into a file stands upright', async (t) => {
  const image = pipeline().resize(70, 60)
  for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const path = join(folder, `turned-${orientation}.jpg`)
    await image.clone().withMetadata({ orientation }).jpeg().toFile(path)
    using turned = await ImageFile.open(path, { keepBytes: 0, decode })
    const upright = await toImage(sharp(path, { autoOrient: true }))
    t.like(turned.levels[0], { width: upright.width, height: upright.height })
    const region = { x: 10, y: 20, level: 0, width: 40, height: 35 }
    const { data } = crop(upright, 10, 20, 40, 35)
    t.true(Buffer.from((await turned.readRegion(region)).data).equals(Buffer.from(data)), `orientation ${orientation}`)
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

/** A pipe that nobody writes to: who reads it waits for ever. */
function endless(name: string): string {
  const path = join(emptyFolder(), name)
  execFileSync('mkfifo', [path])
  return path
}

async function untilDecoders(t: ExecutionContext, pid: number, count: number): Promise<number[]> {
  let decoders: number[] = []
  await until(t, `${count} decoders don't start`, () => {
    decoders = childrenOf(pid).filter(isDecoder)
    return decoders.length === count
  })
  return decoders
}

// Serial: the only decoder of this process is its own.
test.serial('who gives up hears it at once, and the decoder ends with the last of them', async (t) => {
  const path = endless('given-up.png')
  const pipe = `${path}.pipe`
  renameSync(path, pipe)
  copyFileSync(small, path)
  using image = await ImageFile.open(path, { folder: emptyFolder(), keepBytes: 0 })
  renameSync(pipe, path)
  const [first, last] = [new AbortController(), new AbortController()]
  const region = { x: 0, y: 0, level: 0, width: 9, height: 9 }
  const readings = [first, last].map(({ signal }) => image.readRegion(region, signal))
  const decoders = await untilDecoders(t, process.pid, 1)
  for (const [i, stop] of [first, last].entries()) {
    t.true(decoders.every(isRunning))
    stop.abort()
    const started = performance.now()
    await t.throwsAsync(readings[i] as Promise<Image>, { name: 'AbortError' })
    t.true(performance.now() - started < 200)
  }
  await until(t, 'a decoder runs on', () => !decoders.some(isRunning))
})

test('a kill leaves no decoder, and no file that stays: of what is decoded and what is used, nameless and named', async (t) => {
  const place = emptyFolder()
  const program = join(place, 'program.mts')
  const module = (name: string) => JSON.stringify(join(root, 'src', 'slide', name))
  writeFileSync(
    program,
    `import { DecodedCopy } from ${module('decoded-copy.ts')}
     import { decodeTiles } from ${module('decode-tiles.ts')}
     const decode = (job, output) => decodeTiles({ ...job, output: '/proc/self/fd/' + output.fd })
     const [size, folder] = ${JSON.stringify([SIZE, place])}
     globalThis.used = []
     for (const isNameless of [true, false]) {
       used.push(await DecodedCopy.make(${JSON.stringify(small)}, size, { folder, isNameless, decode }))
       DecodedCopy.make(${JSON.stringify(endless('decoded.png'))}, size, { folder, isNameless })
     }
     process.send?.('used')`,
  )
  const victim = fork(program, { execArgv: [TYPESCRIPT], cwd: root })
  await once(victim, 'message')
  const decoders = await untilDecoders(t, victim.pid as number, 2)
  victim.kill('SIGKILL')
  await once(victim, 'exit')
  await until(t, 'a decoder runs on', () => !decoders.some(isRunning))
  // That which was used, and that which was being made.
  t.is(copies(place).length, 2)
  // The next one tidies up, and leaves alone what others use.
  const next = await DecodedCopy.make(small, SIZE, { folder: place, isNameless: false, decode })
  t.is(copies(place).length, 1)
  const other = await DecodedCopy.make(small, SIZE, { folder: place, isNameless: true, decode })
  t.is(copies(place).length, 1)
  next.close()
  other.close()
  await until(t, 'copies stay', () => copies(place).length === 0)
})
