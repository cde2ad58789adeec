/** The viewer's page in a real browser: what stands under a slide's name is of that slide. */
import type { Page } from 'playwright-core'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { parsePlace } from '../../viewer/src/address.js'
import { testInBrowser } from '../web/browser.js'
import { serveViewer } from './viewer-server.js'

const DAMAGED = 'absent-or-damaged.cleric.tif'
const viewer = serveViewer({
  sound: new SyntheticSlide('synthetic:600x400:2'),
  other: new SyntheticSlide('synthetic:700x300:3'),
  'absent-or-damaged': 'no archive',
})

/** Follows the link of a slide in the list. */
const choose = (page: Page, name: string) => page.locator(`#slides a[data-name="${name}"]`).click()

/** What the page says, and whether a slide is on it. */
async function seen(page: Page) {
  const text = async (id: string) => ((await page.locator(`#${id}`).textContent()) ?? '').trim()
  return {
    title: await page.title(),
    facts: await text('facts'),
    message: (await page.locator('#message').isVisible()) ? await text('message') : '',
    isShown: (await page.locator('#view canvas').count()) > 0,
    hasScale: await page.locator('#scale').isVisible(),
  }
}

testInBrowser('a slide that can not be shown takes the one before off the page, with its facts', async (t) => {
  const page = await viewer.open(t, '#sound.cleric.tif')
  await page.locator('#scale').waitFor()
  t.like(await seen(page), { title: 'sound.cleric.tif - cleric', message: '', isShown: true })
  t.regex((await seen(page)).facts, /^600 x 400/)
  // The answer is held back: what is asked for is loading, and nothing else is there.
  let go = () => {}
  const told = new Promise<void>((resolve) => {
    go = resolve
  })
  await page.route(/slide\?name=/, async (route) => {
    await told
    await route.continue()
  })
  await choose(page, DAMAGED)
  // A click changes the address, which the page hears of a moment later.
  await page.locator('#progress', { hasText: `Loading ${DAMAGED} ...` }).waitFor()
  const empty = { title: 'cleric', facts: '', isShown: false, hasScale: false }
  t.deepEqual(await seen(page), { ...empty, message: '' })
  go()
  await page.getByText("can't be shown").waitFor()
  const { message, ...rest } = await seen(page)
  t.deepEqual(rest, empty)
  t.true(message.startsWith(`${DAMAGED} can't be shown: `), message)
  await choose(page, 'sound.cleric.tif')
  await page.locator('#scale').waitFor()
  t.like(await seen(page), { title: 'sound.cleric.tif - cleric', message: '' })
})

testInBrowser('no other slide stands in for one that is not there', async (t) => {
  const page = await viewer.open(t, '#gone.cleric.tif')
  await page.getByText('There is no gone.cleric.tif here').waitFor()
  t.like(await seen(page), { title: 'cleric', facts: '', isShown: false })
  t.is(await page.locator('#slides [aria-current]').count(), 0)
  await choose(page, 'sound.cleric.tif')
  await page.locator('#scale').waitFor()
})

testInBrowser('an address that is no text, or whose view is none, is said to be that', async (t) => {
  const page = await viewer.open(t, '#%E0')
  await page.getByText('The address names no slide: #%E0 is no percent-encoded text').waitFor()
  t.like(await seen(page), { title: 'cleric', facts: '', isShown: false })
  await page.evaluate(() => {
    location.hash = '#sound.cleric.tif@1,2'
  })
  await page.getByText('The address says @1,2: expected @x,y,zoom').waitFor()
})

testInBrowser('the address says what is seen, and Back leads to the slide before', async (t) => {
  const tiles: string[] = []
  const page = await viewer.open(t, '#sound.cleric.tif@100,50,2,90')
  page.on('request', (request) => tiles.push(request.url()))
  await page.locator('#scale').waitFor()
  const view = () => parsePlace(new URL(page.url()).hash)
  await page.waitForFunction(() => location.hash.startsWith('#sound.cleric.tif@100,50,2,90'))
  await page.locator('#view canvas').first().focus()
  await choose(page, 'other.cleric.tif')
  await page.waitForFunction(() => location.hash.startsWith('#other.cleric.tif@'))
  t.is(await page.title(), 'other.cleric.tif - cleric')
  await page.goBack()
  await page.waitForFunction(() => location.hash.startsWith('#sound.cleric.tif@100,50,2,90'))
  t.deepEqual(view(), { name: 'sound.cleric.tif', view: { x: 100, y: 50, zoom: 2, rotation: 90 } })
  await page.goForward()
  await page.waitForFunction(() => location.hash.startsWith('#other.cleric.tif@'))
  t.true(tiles.some((address) => /other.*icc=srgb/.test(address)))
})
