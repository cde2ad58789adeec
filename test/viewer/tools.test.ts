/** What the page can do with a slide, in a real browser. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import type { Image } from '../../src/image/image.js'
import { openArchive } from '../../src/index.js'
import { parsePlace, type View } from '../../viewer/src/address.js'
import { DENSITIES_TO_AMOUNTS, STAINS } from '../../viewer/src/colours/stains.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide, memorySlide } from '../slides.js'
import { testInBrowser } from '../web/browser.js'
import { middle, serveViewer, settled } from './viewer-server.js'

const WIDTH = 1400
const HEIGHT = 1000
const drawn = new DrawnSlide(`synthetic:${WIDTH}x${HEIGHT}:4`)
const small = new DrawnSlide('synthetic:600x400:2')
const image = await small.readRegion({ x: 0, y: 0, level: 0, width: 600, height: 400 })
const viewer = serveViewer({
  drawn,
  other: new DrawnSlide(`synthetic:${WIDTH}x${HEIGHT}:5`),
  unknown: memorySlide([image]),
  oblong: memorySlide([image], { mpp: { x: 0.5, y: 1 } }),
})

/** The view that the address tells of. */
async function view(page: Page): Promise<View> {
  return parsePlace(await page.evaluate(() => location.hash))?.view as View
}

/** Waits until something is so: how fast things are drawn depends on the machine. */
async function becomes(t: ExecutionContext, what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    if (await isSo()) return
    await setTimeout(200)
  }
  t.fail(`never: ${what}`)
}

/** Lets the browser draw what has changed. */
async function drawAnew(page: Page): Promise<void> {
  for (let frame = 0; frame < 4; frame++) await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)))
}

async function viewIs(t: ExecutionContext, page: Page, expected: Partial<View>): Promise<void> {
  await becomes(t, JSON.stringify(expected), async () => {
    const found = await view(page)
    return Object.entries(expected).every(([key, value]) => found[key as keyof View] === value)
  })
}

async function scaleIs(t: ExecutionContext, page: Page, text: string): Promise<void> {
  await becomes(t, text, async () => (await page.locator('#scale-text').textContent()) === text)
}

/** Pixels of a rectangle of the page, as people see them. */
async function pixels(page: Page, x: number, y: number, width: number, height: number): Promise<Image> {
  const png = await page.screenshot({ clip: { x, y, width, height } })
  const { data } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  return { data: new Uint8Array(data), width, height, channels: 3 }
}

/** Mean and largest difference of two images. */
function difference(a: Image, b: Image): { mean: number; most: number } {
  let [sum, most] = [0, 0]
  a.data.forEach((value, i) => {
    const error = Math.abs(value - (b.data[i] as number))
    sum += error
    most = Math.max(most, error)
  })
  return { mean: sum / a.data.length, most }
}

testInBrowser(
  'the page shows the tissue that the archive holds, also in a saved picture, with a scale bar',
  async (t) => {
    const page = await viewer.open(t, '#drawn.cleric.tif@700,500,1')
    await settled(page)
    const { x, y } = await middle(page)
    const shown = await pixels(page, x - 100, y - 100, 200, 200)
    using archive = await openArchive(join(viewer.folder, 'drawn.cleric.tif'), { codec: losslessCodec() })
    const region = await archive.readRegion({ x: 600, y: 400, level: 0, width: 200, height: 200 })
    // The viewer's JPEG, and half a pixel where the stage has an odd side.
    t.true(difference(shown, region).mean < 12, JSON.stringify(difference(shown, region)))
    const glass = { ...region, data: region.data.map(() => 244) }
    t.true(difference(shown, glass).mean > 30)
    const saving = page.waitForEvent('download')
    await page.keyboard.press('s')
    const saved = sharp(await (await saving).path())
    const { width = 0, height = 0 } = await saved.metadata()
    const box = (await page.locator('#view').boundingBox()) as { width: number; height: number }
    t.deepEqual([width, height], [box.width, box.height].map(Math.round))
    const [left, top] = [Math.round(box.width / 2) - 100, Math.round(box.height / 2) - 100]
    const part = await saved.extract({ left, top, width: 200, height: 200 }).removeAlpha().raw().toBuffer()
    t.true(difference({ ...shown, data: new Uint8Array(part) }, shown).mean < 3)
    // 100 px of 0.5 µm: "50 µm".
    await scaleIs(t, page, '50 µm')
    const bar = await sharp(await (await saving).path())
      .extract({ left: 16, top: height - 18, width: 140, height: 1 })
      .removeAlpha()
      .raw()
      .toBuffer()
    const dark = Array.from({ length: 140 }, (_, i) => (bar[3 * i] as number) < 60).filter(Boolean).length
    t.is(dark, 100)
  },
)

testInBrowser('keys and buttons move the view by objectives, parts of the screen and angles', async (t) => {
  const page = await viewer.open(t, '#drawn.cleric.tif@700,500,1')
  await settled(page)
  await page.keyboard.press('3')
  // The slide was scanned at 20x.
  await viewIs(t, page, { x: 700, y: 500, zoom: 0.5 })
  await page.getByRole('button', { name: '40x' }).click()
  await viewIs(t, page, { zoom: 2 })
  t.is(await page.locator('#zoom').textContent(), '200 % = 40x')
  await page.keyboard.press('r')
  await viewIs(t, page, { rotation: 90 })
  await page.keyboard.press('R')
  await page.keyboard.press(']')
  await viewIs(t, page, { rotation: 5 })
  await page.keyboard.press('[')
  await viewIs(t, page, { rotation: 0, x: 700 })
  await page.keyboard.press('ArrowRight')
  const { width } = (await page.locator('#view').boundingBox()) as { width: number }
  await becomes(t, 'right', async () => Math.abs((await view(page)).x - 700 - width / 8 / 2) < 1)
  await page.keyboard.press('0')
  await becomes(t, 'all', async () => (await view(page)).zoom < 1)
  await page.keyboard.press('?')
  await page.getByRole('dialog').getByText('Turn right by 90°').waitFor()
  // A key that closes the help does nothing else.
  await page.keyboard.press('r')
  await page.keyboard.press('Escape')
  await viewIs(t, page, { rotation: 0 })
  // Where nothing tells how large pixels are there are no objectives.
  await page.keyboard.press('PageDown')
  await page.waitForFunction(() => document.title.startsWith('oblong'))
  t.true(await page.locator('#powers').isVisible())
  await page.locator('#slides a[data-name="unknown.cleric.tif"]').click()
  await page.waitForFunction(() => document.title.startsWith('unknown'))
  t.false(await page.locator('#powers').isVisible())
  await page.getByRole('button', { name: '1:1' }).click()
  await scaleIs(t, page, '100 px')
})

testInBrowser('lengths and areas are measured by mouse and by keyboard, in micrometres or pixels', async (t) => {
  const page = await viewer.open(t, '#oblong.cleric.tif@300,200,2')
  await settled(page)
  const { x, y } = await middle(page)
  const cursor = async () => (await page.locator('#cursor').textContent()) ?? ''
  await page.mouse.move(x, y)
  t.deepEqual(
    (await cursor())
      .split(/,? /)
      .slice(0, 2)
      .map((n) => Math.round(Number(n))),
    [150, 200],
  )
  await page.getByRole('button', { name: 'Length' }).click()
  await page.mouse.click(x, y)
  await page.mouse.click(x, y - 160)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Annotations' }).click()
  const list = page.locator('#annotations-list')
  // 80 pixels up, of 1 µm.
  t.regex((await list.textContent()) ?? '', /LineString80 µm/)
  await page.keyboard.press('Escape')
  // A box of 50 x 50 pixels, from the middle on, without the mouse: 25 µm x 50 µm.
  await page.keyboard.press('b')
  await page.keyboard.press('Space')
  await page.evaluate(() => {
    location.hash = '#oblong.cleric.tif@350,250,2'
  })
  await drawAnew(page)
  await page.keyboard.press('Space')
  await page.keyboard.press('n')
  t.regex((await list.textContent()) ?? '', /Polygon1,250 µm², perimeter 150 µm/)
  await page.keyboard.press('Delete')
  t.notRegex((await list.textContent()) ?? '', /Polygon/)
  // The bar of 0.5 µm pixels across is that of 1 µm ones when the slide is turned.
  await scaleIs(t, page, '20 µm')
  await page.keyboard.press('r')
  await scaleIs(t, page, '50 µm')
  await page.goto(`${viewer.origin()}/#unknown.cleric.tif@300,200,2`)
  await settled(page)
  await page.keyboard.press('m')
  const at = await middle(page)
  await page.mouse.click(at.x, at.y)
  await page.mouse.dblclick(at.x + 60, at.y + 80)
  t.regex((await list.textContent()) ?? '', /LineString50 px/)
})

testInBrowser('annotations come and go as GeoJSON, and are kept for their slide', async (t) => {
  const page = await viewer.open(t, '#drawn.cleric.tif@700,500,1')
  await settled(page)
  const ring = [
    [600, 400],
    [800, 400],
    [800, 600],
    [600, 600],
    [600, 400],
  ]
  const classification = { name: 'Tumor', color: [200, 0, 0] }
  const feature = {
    type: 'Feature',
    id: '0c4e3ba9-7e24-4b6c-9c2c-f66d3a3b7f10',
    geometry: { type: 'Polygon', coordinates: [ring] },
    properties: { objectType: 'annotation', name: 'gland', classification, isLocked: false },
  }
  const file = (name: string, text: string) => ({ name, mimeType: 'application/geo+json', buffer: Buffer.from(text) })
  await page.keyboard.press('n')
  await page.locator('#annotations-file').setInputFiles(file('bad.geojson', '{"type":"Topology"}'))
  await page.getByText("bad.geojson can't be read: This is no GeoJSON").waitFor()
  await page.locator('#annotations-file').setInputFiles(file('a.geojson', JSON.stringify([feature])))
  const item = page.locator('#annotations-list button', { hasText: 'gland' })
  await item.waitFor()
  t.regex((await page.locator('#annotations-list').textContent()) ?? '', /0.01 mm², perimeter 400 µm/)
  // Its outline lies where its pixels are.
  const { x, y } = await middle(page)
  const edge = await pixels(page, Math.round(x) - 100 - 3, Math.round(y) + 50, 7, 1)
  const reds = Array.from({ length: 7 }, (_, i) => [...edge.data.subarray(3 * i, 3 * i + 3)])
  t.true(
    reds.some(([r = 0, g = 0, b = 0]) => r > 180 && g < 40 && b < 40),
    JSON.stringify(reds),
  )
  // A corner is moved by keys.
  await page.locator('[data-corner="0"]').focus()
  await page.keyboard.press('Shift+ArrowLeft')
  await page.getByLabel('Name').fill('big gland')
  await page.getByLabel('Name').press('Enter')
  await page.reload()
  await settled(page)
  await page.keyboard.press('n')
  const saving = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Save GeoJSON' }).click()
  const saved = JSON.parse(readFileSync(await (await saving).path(), 'utf8'))
  const [[cornerX, cornerY]] = saved.features[0].geometry.coordinates[0]
  t.true(Math.abs(cornerX - 590) < 0.6 && Math.abs(cornerY - 400) < 0.6, `${cornerX}, ${cornerY}`)
  t.deepEqual(saved.features[0].properties, { ...feature.properties, name: 'big gland' })
  await page.locator('#slides a[data-name="other.cleric.tif"]').click()
  await page.getByText('0 on this slide').waitFor()
})

testInBrowser('colours change in the shader: a stain alone is what colour deconvolution says', async (t) => {
  const page = await viewer.open(t, '#drawn.cleric.tif@700,500,2')
  await settled(page)
  await page.keyboard.press('c')
  await drawAnew(page)
  const { x, y } = await middle(page)
  const look = () => pixels(page, Math.round(x) - 60, Math.round(y) - 60, 120, 120)
  const plain = await look()
  const expected = (change: (r: number, g: number, b: number) => readonly number[]): Image => {
    const data = new Uint8Array(plain.data.length)
    for (let i = 0; i < data.length; i += 3) {
      const [r = 0, g = 0, b = 0] = [...plain.data.subarray(i, i + 3)].map((value) => value / 255)
      data.set(
        change(r, g, b).map((value) => Math.round(255 * Math.min(1, Math.max(0, value)))),
        i,
      )
    }
    return { ...plain, data }
  }
  for (const stain of [0, 1]) {
    await page.getByLabel('Stain').selectOption(String(stain))
    await drawAnew(page)
    const [direction, row] = [STAINS[stain] as readonly number[], DENSITIES_TO_AMOUNTS[stain] as readonly number[]]
    const alone = expected((...colour) => {
      const amount = colour.reduce((sum, value, c) => sum - (row[c] as number) * Math.log(Math.max(value, 1 / 255)), 0)
      return direction.map((density) => Math.exp(-Math.max(amount, 0) * density))
    })
    const { most } = difference(await look(), alone)
    t.true(most <= 2, `stain ${stain}: ${most}`)
    t.true(difference(plain, alone).mean > 5)
  }
  await page.getByLabel('Stain').selectOption('-1')
  await page.locator('[name=contrast]').fill('150')
  await page.locator('[name=gamma]').fill('50')
  await page.locator('[name=brightness]').fill('10')
  await drawAnew(page)
  const changed = expected((...colour) => colour.map((v) => Math.min(1, Math.max(0, (v - 0.5) * 1.5 + 0.6)) ** 2))
  t.true(difference(await look(), changed).most <= 2)
  await page.getByRole('button', { name: 'As it is' }).click()
  await drawAnew(page)
  t.is(difference(await look(), plain).most, 0)
})

testInBrowser('another slide is compared at the same place, beside the first or behind a line', async (t) => {
  const page = await viewer.open(t, '#drawn.cleric.tif@700,500,1')
  await settled(page)
  await page.getByRole('button', { name: 'Compare' }).click()
  await page.locator('#compare-slide').selectOption('other.cleric.tif')
  await page.locator('#second canvas').first().waitFor()
  await page.getByLabel('one over the other').check()
  const { x, y } = await middle(page)
  const parts = async () => ({
    left: await pixels(page, Math.round(x) - 110, Math.round(y) - 50, 100, 100),
    right: await pixels(page, Math.round(x) + 10, Math.round(y) - 50, 100, 100),
  })
  // What is right of the line is the second slide's, what is left of it the first one's.
  const at = { level: 0, width: 100, height: 100, y: 450 }
  const other = new DrawnSlide(`synthetic:${WIDTH}x${HEIGHT}:5`)
  const [left, right] = [await drawn.readRegion({ ...at, x: 590 }), await other.readRegion({ ...at, x: 710 })]
  const [notLeft, notRight] = [await other.readRegion({ ...at, x: 590 }), await drawn.readRegion({ ...at, x: 710 })]
  /** Tissue is like tissue, and the stage may be half a pixel off: the right one is far nearer than the other. */
  const isNearer = (seen: Image, to: Image, than: Image) =>
    difference(seen, to).mean < 0.6 * difference(seen, than).mean
  await becomes(t, 'the second slide', async () => isNearer((await parts()).right, right, notRight))
  t.true(isNearer((await parts()).left, left, notLeft))
  await page.getByRole('slider', { name: 'Line between' }).fill('100')
  await becomes(t, 'the first slide', async () => isNearer((await parts()).right, notRight, right))
  // Whichever is moved, the other follows.
  await page.getByLabel('side by side').check()
  await drawAnew(page)
  const second = (await page.locator('#second').boundingBox()) as {
    x: number
    y: number
    width: number
    height: number
  }
  await page.mouse.move(second.x + 200, second.y + 300)
  await page.mouse.down()
  await page.mouse.move(second.x + 150, second.y + 300, { steps: 2 })
  // Whoever holds still in between goes on with the same drag.
  await setTimeout(500)
  await page.mouse.move(second.x + 100, second.y + 300, { steps: 2 })
  await drawAnew(page)
  await page.mouse.up()
  await becomes(t, 'moved by 100', async () => Math.abs((await view(page)).x - 800) < 40)
  await page.getByRole('button', { name: 'Stop' }).click()
  t.false(await page.locator('#second').isVisible())
})

testInBrowser('details tell of the slide; tiles are coloured by their checks', async (t) => {
  const page = await viewer.open(t, '#drawn.cleric.tif@700,500,0.7')
  await settled(page)
  const { x, y } = await middle(page)
  await page.keyboard.press('i')
  const panel = page.locator('#details')
  await panel.getByText(`${WIDTH} x ${HEIGHT} pixels (700 µm x 500 µm)`).waitFor()
  await panel.getByText('PSNR, median').waitFor()
  await panel.getByRole('img', { name: 'label of the slide' }).waitFor()
  await panel.getByText('Properties').click()
  await panel.getByText('cleric.synthetic.seed').waitFor()
  const look = () => pixels(page, Math.round(x) - 200, Math.round(y) - 30, 60, 60)
  const plain = await look()
  for (const kind of ['psnr', 'codec']) {
    await page.getByLabel('Colour tiles by').selectOption(kind)
    await becomes(t, kind, async () => difference(await look(), plain).mean > 10)
  }
  await page.getByLabel('Colour tiles by').selectOption('none')
  await drawAnew(page)
  t.is(difference(await look(), plain).most, 0)
})

testInBrowser('a tile that does not come is hatched and named, and can be asked for again', async (t) => {
  const page = await viewer.open(t)
  await settled(page)
  const failing = /other\.cleric\.tif_files\/11\/1_0/
  await page.route(failing, (route) => {
    // Chromium itself reports answers that are no success, so this one is one that can't be read.
    return route.fulfill({ status: 200, contentType: 'image/jpeg', body: 'no picture' })
  })
  await page.evaluate(() => {
    location.hash = '#other.cleric.tif@700,400,1'
  })
  const hatch = page.locator('.hatch')
  await hatch.waitFor()
  t.regex((await hatch.textContent()) ?? '', /^Tile 1, 0 of level 11: /)
  await page.getByText("A tile can't be shown").waitFor()
  await page.unroute(failing)
  await page.getByRole('button', { name: 'Try again' }).click()
  await hatch.waitFor({ state: 'detached' })
  await settled(page)
  t.is(await hatch.count(), 0)
})

testInBrowser('the list is searched, and leads to slides', async (t) => {
  const page = await viewer.open(t)
  await settled(page)
  await page.keyboard.press('/')
  await page.keyboard.type('TIF unk')
  await page.getByText('1 of 4', { exact: true }).waitFor()
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.title === 'unknown.cleric.tif - cleric')
  t.true(
    await page
      .locator('#slides img')
      .first()
      .evaluate((img: HTMLImageElement) => img.naturalWidth > 0),
  )
})
