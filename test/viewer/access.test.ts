/** The page for people who see little, use no mouse, sit in the dark or hold a phone: checked by axe-core. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { ExecutionContext } from 'ava'
import type { Page } from 'playwright-core'
import { DrawnSlide } from '../slides.js'
import { testInBrowser } from '../web/browser.js'
import { serveViewer, settled } from './viewer-server.js'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const viewer = serveViewer({
  drawn: new DrawnSlide('synthetic:1400x1000:4'),
  other: new DrawnSlide('synthetic:600x400:5'),
})

interface Report {
  readonly violations: {
    readonly id: string
    readonly nodes: { readonly html: string; readonly failureSummary?: string }[]
  }[]
  readonly passes: unknown[]
}

/** Every rule that axe has, those of good practice too. */
async function check(t: ExecutionContext, page: Page, what: string): Promise<void> {
  await page.evaluate(AXE)
  const { violations, passes } = (await page.evaluate('axe.run()')) as Report
  t.true(passes.length > 8, what)
  const found = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`,
  )
  t.deepEqual(found, [], what)
}

for (const colorScheme of ['light', 'dark'] as const) {
  testInBrowser(`axe finds nothing in the ${colorScheme} theme, whatever is open`, async (t) => {
    const page = await viewer.open(t, '#drawn.cleric.tif@700,500,1', { colorScheme })
    await settled(page)
    await check(t, page, 'slide')
    await page.keyboard.press('b')
    await page.keyboard.press('Space')
    await page.keyboard.press('ArrowRight')
    await page.waitForTimeout(800)
    await page.keyboard.press('ArrowDown')
    await page.waitForTimeout(800)
    await page.keyboard.press('Space')
    for (const [key, panel] of [
      ['i', 'details'],
      ['c', 'colours'],
      ['n', 'annotations'],
    ] as const) {
      await page.keyboard.press(key)
      await page.locator(`#${panel}`).waitFor()
      await check(t, page, panel)
    }
    await page.keyboard.press('k')
    await page.locator('#second canvas').first().waitFor()
    await page.getByRole('button', { name: 'Compare' }).click()
    await page.getByLabel('one over the other').check()
    await check(t, page, 'compare')
    await page.keyboard.press('Escape')
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await check(t, page, 'help')
    await page.goto(`${viewer.origin()}/#gone.cleric.tif`)
    await page.getByText('There is no gone').waitFor()
    await check(t, page, 'message')
  })
}

testInBrowser('all that can be pressed is reached by Tab, and has a name', async (t) => {
  const page = await viewer.open(t, '#drawn.cleric.tif')
  await settled(page)
  const reached = new Set<string>()
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab')
    const id = await page.evaluate(() => {
      const { activeElement } = document
      return activeElement?.id || activeElement?.getAttribute('data-name') || activeElement?.className || ''
    })
    reached.add(id)
  }
  const expected = await page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('button, input, select, a')]
      .filter((element) => element.checkVisibility() && !(element as HTMLButtonElement).disabled)
      .map((element) => element.id || element.dataset.name || ''),
  )
  t.true(expected.length > 20)
  t.deepEqual(
    expected.filter((id) => !reached.has(id)),
    [],
  )
  t.true([...reached].some((name) => name.includes('openseadragon-canvas')))
})

testInBrowser('the theme follows the system until one is chosen, which is kept', async (t) => {
  const page = await viewer.open(t, '', { colorScheme: 'dark' })
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  t.is(await background(), 'rgb(22, 22, 26)')
  await page.keyboard.press('t')
  t.is(await background(), 'rgb(255, 255, 255)')
  await page.reload()
  t.is(await background(), 'rgb(255, 255, 255)')
  await page.getByRole('button', { name: 'Theme: light' }).click()
  t.is(await background(), 'rgb(22, 22, 26)')
})

testInBrowser('a phone shows the slide, without scrolling sideways, and opens one thing at a time', async (t) => {
  const viewport = { width: 390, height: 780 }
  const page = await viewer.open(t, '#drawn.cleric.tif', {
    viewport,
    hasTouch: true,
    isMobile: true,
    reducedMotion: 'reduce',
  })
  await settled(page)
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth)
  t.is(await wide(), 390)
  const stage = (await page.locator('#view').boundingBox()) as { width: number; height: number }
  t.is(stage.width, 390)
  t.true(stage.height > 500, `the slide has ${stage.height} of 780 pixels`)
  t.false(await page.locator('#shelf').isVisible())
  await check(t, page, 'phone')
  await page.getByRole('button', { name: 'Slides' }).click()
  await page.locator('#slides a[data-name="other.cleric.tif"]').click()
  await page.waitForFunction(() => document.title.startsWith('other'))
  t.false(await page.locator('#shelf').isVisible())
  await page.getByRole('button', { name: 'Details' }).click()
  await page.locator('#details').waitFor()
  t.is(await wide(), 390)
  await check(t, page, 'details on a phone')
  // Nothing turns for those who want no motion.
  t.is(
    await page.evaluate(() => getComputedStyle(document.getElementById('spinner') as HTMLElement).animationName),
    'none',
  )
})
