/** The viewer's page in a real browser: what stands under a slide's name is of that slide. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Page } from 'playwright-core'
import { compressSlide } from '../../src/compress/compress.js'
import { createViewerServer } from '../../src/server/server.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { losslessCodec } from '../payload-codec.js'
import { openAddress, testInBrowser } from '../web/browser.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-viewer-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))
const codec = losslessCodec()
const DAMAGED = 'absent-or-damaged.cleric.tif'

test.before(async () => {
  await compressSlide(new SyntheticSlide('synthetic:600x400:2'), join(folder, 'sound.cleric.tif'), { codec })
  writeFileSync(join(folder, DAMAGED), 'no archive')
})

/** Opens the viewer of the folder with this after the "#". */
async function openViewer(t: ExecutionContext, hash = ''): Promise<Page> {
  const server = await createViewerServer(folder, { codec })
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  return openAddress(t, `http://127.0.0.1:${port}/${hash}`)
}

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
  t.timeout(300_000)
  const page = await openViewer(t, '#sound.cleric.tif')
  await page.locator('#view canvas').first().waitFor()
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
  await page.selectOption('#slides', DAMAGED)
  const empty = { title: 'cleric', facts: '', isShown: false, hasScale: false }
  t.deepEqual(await seen(page), { ...empty, message: `Loading ${DAMAGED} ...` })
  go()
  await page.getByText("can't be shown").waitFor()
  const { message, ...rest } = await seen(page)
  t.deepEqual(rest, empty)
  t.true(message.startsWith(`${DAMAGED} can't be shown: `), message)
  await page.selectOption('#slides', 'sound.cleric.tif')
  await page.locator('#view canvas').first().waitFor()
  t.like(await seen(page), { title: 'sound.cleric.tif - cleric', message: '' })
})

testInBrowser('no other slide stands in for one that is not there', async (t) => {
  t.timeout(300_000)
  const page = await openViewer(t, '#other.cleric.tif')
  await page.getByText('There is no other.cleric.tif here').waitFor()
  t.like(await seen(page), { title: 'cleric', facts: '', isShown: false })
  t.is(await page.locator('#slides').inputValue(), '')
  await page.selectOption('#slides', 'sound.cleric.tif')
  await page.locator('#view canvas').first().waitFor()
})

testInBrowser('an address that is no text is none', async (t) => {
  t.timeout(300_000)
  const page = await openViewer(t, '#%E0')
  await page.getByText("can't be shown").or(page.locator('#view canvas').first()).first().waitFor()
  t.not((await seen(page)).message, 'URI malformed')
})
