/** A folder that `cleric static` writes, on a plain web server, in a real browser. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { createCli } from '../../src/cli/commands.js'
import { compressSlide } from '../../src/compress/compress.js'
import type { Image } from '../../src/image/image.js'
import { shrink } from '../../src/image/shrink.js'
import { type Codec, openArchive, openCodec } from '../../src/index.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { writeStaticFolder } from '../../src/static/static-folder.js'
import { nanoModelFile } from '../network/golden.js'
import { memorySlide } from '../slides.js'
import { openAddress, type PageOptions, testInBrowser } from '../web/browser.js'
import { serveFolder } from '../web/folder-server.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-static-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const model = fileURLToPath(nanoModelFile)
const NAME = 'dräwn & 1.cleric.tif'
const path = join(folder, NAME)
const bad = join(folder, 'bad.cleric.tif')
const site = join(folder, 'site')
const [WIDTH, HEIGHT, TILE] = [1500, 1100, 256]
/** The tile that is damaged in one of the archives. */
const BAD = 'tile at level 0, column 2, row 1'

let codec: Codec
test.before(async () => {
  codec = await openCodec({ model, device: 'cpu' })
  using drawn = new SyntheticSlide(`synthetic:${WIDTH}x${HEIGHT}:3`)
  const whole = await drawn.readRegion({ x: 0, y: 0, level: 0, width: WIDTH, height: HEIGHT })
  const slide = memorySlide([whole], { mpp: { x: 0.5, y: 0.5 } })
  await compressSlide(slide, path, { codec, tile: TILE, levels: [0], background: 'keep' })
  const bytes = readFileSync(path)
  for (const { name, offset, length } of await parts()) {
    if (name === BAD) bytes[offset + length - 1] = (bytes[offset + length - 1] as number) ^ 1
  }
  writeFileSync(bad, bytes)
  await writeStaticFolder([path, bad], site, { models: [model] })
})
test.after.always(() => codec.close())

async function parts() {
  using archive = await openArchive(path, { codec })
  return [...archive.batches(1)].flatMap(({ parts }) => parts)
}

/** Opens a slide of the site with a view of it: the middle in pixels of level 0, and the zoom. */
async function openSite(t: ExecutionContext, name: string, view: string, options: PageOptions = {}) {
  const server = await serveFolder(t, site)
  const size = { width: 1000, height: 700 }
  const page = await openAddress(t, `${server.origin}/#${encodeURIComponent(name)}${view}`, {
    viewport: size,
    ...options,
  })
  return { page, server }
}

/** Goes to another view of the slide. */
async function look(page: Page, view: string): Promise<void> {
  await page.evaluate((view) => {
    location.hash = location.hash.replace(/@.*$/, view)
  }, view)
  await page.waitForFunction((view) => location.hash.endsWith(view), view)
}

/** Waits until no tile is loading, for some time. */
async function settle(page: Page): Promise<void> {
  await page
    .locator('#badge')
    .getByText(/decoded by|overview only/)
    .waitFor()
  let quiet = 0
  while (quiet < 6) {
    await page.waitForTimeout(250)
    quiet = (await page.locator('#progress').isHidden()) ? quiet + 1 : 0
  }
}

/** What is on the screen in the middle of the view, which has the size that is asked for. */
async function middle(page: Page, width: number, height: number): Promise<Image> {
  const box = await page.locator('#view').boundingBox()
  if (!box) throw new Error('no view')
  const clip = {
    x: Math.round(box.x + box.width / 2) - width / 2,
    y: Math.round(box.y + box.height / 2) - height / 2,
    width,
    height,
  }
  const { data, info } = await sharp(await page.screenshot({ clip }))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height, channels: 3 }
}

function meanError(a: Image, b: Image): number {
  return a.data.reduce((sum, value, i) => sum + Math.abs(value - (b.data[i] as number)), 0) / a.data.length
}

test('the folder has the page, the decoder, the model once, the archives as they are, and a list', (t) => {
  const { slides } = JSON.parse(readFileSync(join(site, 'slides.json'), 'utf8'))
  const file = `models/${codec.model.hash}.safetensors`
  t.like(slides, [
    { name: NAME, archive: `archives/${encodeURIComponent(NAME)}`, model: file },
    { name: 'bad.cleric.tif', archive: 'archives/bad.cleric.tif', model: file },
  ])
  t.deepEqual(readdirSync(join(site, 'models')), [`${codec.model.hash}.safetensors`])
  t.deepEqual(readFileSync(join(site, file)), readFileSync(model))
  t.deepEqual(readFileSync(join(site, 'archives', NAME)), readFileSync(path))
  for (const name of ['index.html', 'viewer.js', 'viewer.css', 'cleric-web.js'])
    t.true(existsSync(join(site, name)), name)
  for (const { thumbnail } of slides) t.true(existsSync(join(site, thumbnail)))
  t.false(existsSync(`${site}.partial`))
})

test('a folder that is there stays, unless it may be replaced and is such a folder', async (t) => {
  const other = join(folder, 'other')
  const options = { models: [model] }
  await writeStaticFolder([path], other, options)
  await t.throwsAsync(writeStaticFolder([path], other, options), { code: 'ERR_FILE_EXISTS' })
  await writeStaticFolder([bad], other, { ...options, overwrite: true })
  t.deepEqual(readdirSync(join(other, 'archives')), ['bad.cleric.tif'])
  const mine = join(folder, 'mine')
  mkdirSync(mine)
  writeFileSync(join(mine, 'thesis.txt'), 'mine')
  await t.throwsAsync(writeStaticFolder([path], mine, { ...options, overwrite: true }), { code: 'ERR_FILE_EXISTS' })
  t.deepEqual(readdirSync(mine), ['thesis.txt'])
})

test('what can not be shown is refused before anything is copied', async (t) => {
  const output = join(folder, 'never')
  const twin = join(folder, 'twin')
  mkdirSync(twin)
  copyFileSync(path, join(twin, NAME))
  const options = { models: [model] }
  await t.throwsAsync(writeStaticFolder([path, join(twin, NAME)], output, options), { code: 'ERR_FILE_EXISTS' })
  await t.throwsAsync(writeStaticFolder([path], output), { code: 'ERR_MODEL_MISMATCH' })
  await t.throwsAsync(writeStaticFolder([model], output, options), { code: 'ERR_ARCHIVE_UNSUPPORTED' })
  await t.throwsAsync(writeStaticFolder([path], output, { ...options, signal: AbortSignal.abort() }), {
    code: 'ERR_ABORTED',
  })
  t.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('never')),
    [],
  )
})

test('the command writes it and says how large it is', async (t) => {
  let text = ''
  const io = { stdout: { write: (more: string) => (text += more) }, stderr: { write() {} } }
  const status = await createCli(io).run(['static', path, '--model', model, '-o', join(folder, 'told'), '--json'])
  t.is(status, 0)
  const { slides, bytes } = JSON.parse(text)
  t.deepEqual(slides, [{ name: NAME, bytes: readFileSync(path).length, model: codec.model.name }])
  t.true(bytes > slides[0].bytes)
})

testInBrowser('the page zooms in to the pixels of the archive, and fetches it by ranges', async (t) => {
  t.timeout(300_000)
  const { page, server } = await openSite(t, NAME, '@640,384,0.3')
  await settle(page)
  await look(page, '@640,384,1')
  await settle(page)
  t.is(await page.locator('#badge').textContent(), 'decoded by the browser')
  t.regex((await page.locator('#badge').getAttribute('title')) ?? '', /swiftshader|\(browser\)/i)
  using archive = await openArchive(path, { codec })
  const expected = await archive.readRegion({ x: 640 - 100, y: 384 - 100, level: 0, width: 200, height: 200 })
  const error = meanError(await middle(page, 200, 200), expected)
  t.true(error < 2, `mean error ${error}`)
  const name = `/archives/${NAME}`
  t.false(server.whole.includes(name))
  const asked = server.ranges.filter((range) => range.path === name)
  const fetched = (await parts()).filter(({ offset, length }) =>
    asked.some(({ first, last }) => length > 0 && first >= 65536 && first <= offset && offset + length - 1 <= last),
  )
  t.true(fetched.length > 0, `${fetched.length} parts`)
})

testInBrowser('a corrupt tile is hatched where it is seen', async (t) => {
  t.timeout(300_000)
  // Far from the tile that is damaged, and so near that a corner of the slide is all that there is.
  const { page } = await openSite(t, 'bad.cleric.tif', '@1450,1050,4')
  await settle(page)
  await look(page, `@${2.5 * TILE},${1.5 * TILE},2`)
  await settle(page)
  // Magenta and white in stripes, which are more of a picture than noise of a decoder could be.
  const { data } = await middle(page, 128, 128)
  const isStripe = (at: number) => (data[at] as number) > 200 && (data[at + 1] as number) < 20
  const isWhite = (at: number) => (data[at] as number) > 250 && (data[at + 1] as number) > 250
  const pixels = Array.from({ length: data.length / 3 }, (_, i) => 3 * i)
  const [striped, white] = [pixels.filter(isStripe).length, pixels.filter(isWhite).length]
  t.true(striped > 0.4 * pixels.length && white > 0.4 * pixels.length, `${striped}, ${white} of ${pixels.length}`)
})

testInBrowser('without WebGPU the page says so, and shows the overview', async (t) => {
  t.timeout(300_000)
  const { page } = await openSite(t, NAME, '@750,550,0.4', { hasNoGpu: true })
  await settle(page)
  t.is(await page.locator('#badge').textContent(), 'overview only')
  t.regex((await page.locator('#badge').getAttribute('title')) ?? '', /WebGPU.*only the overview/)
  t.true(await page.locator('#message').isHidden())
  using archive = await openArchive(path, { codec })
  const whole = shrink(await archive.readRegion({ x: 496, y: 296, level: 0, width: 504, height: 504 }), 8)
  const { data, info } = await sharp(whole.data, { raw: { width: 63, height: 63, channels: 3 } })
    .resize(200, 200)
    .raw()
    .toBuffer({ resolveWithObject: true })
  const error = meanError(await middle(page, 200, 200), { data, width: info.width, height: info.height, channels: 3 })
  t.true(error < 20, `mean error ${error}`)
})

testInBrowser('an archive that is dropped on the page opens, and a file that is none is refused by name', async (t) => {
  t.timeout(300_000)
  const { page } = await openSite(t, NAME, '@640,384,0.5')
  await settle(page)
  const drop = (name: string, bytes: Buffer) =>
    page.evaluate(
      async ({ name, base64 }) => {
        const response = await fetch(`data:application/octet-stream;base64,${base64}`)
        const dataTransfer = new DataTransfer()
        dataTransfer.items.add(new File([await response.blob()], name))
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
      },
      { name, base64: bytes.toString('base64') },
    )
  await drop('mine.cleric.tif', readFileSync(path))
  await page.waitForFunction(() => document.title === 'mine.cleric.tif - cleric')
  await settle(page)
  t.is(await page.locator('#badge').textContent(), 'decoded by the browser')
  t.is(await page.locator('#slides [aria-current]').getAttribute('data-name'), 'mine.cleric.tif')
  await drop('notes.txt', Buffer.from('no archive'))
  await page.getByText("notes.txt can't be shown").waitFor()
  t.like(
    { title: await page.title(), badge: await page.locator('#badge').isVisible() },
    { title: 'cleric', badge: false },
  )
})
